"""Services that are busy, broken for a moment, or cut off: asked again, as retry_config says."""

import time
import uuid

import pytest

from cpi.connecting import connect
from cpi.contract import errors
from cpi.contract.ids import VmCid
from cpi.contract.units import MiB
from fixtures.clouds.openstack.lab import Lab
from fixtures.proxy import Rule, effects
from tests.unit.drivers.openstack.test_faults import BROKEN

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.usefixtures("census_kept")]


def test_what_passes_is_repeated(project: Lab, folder: str) -> None:
    """Resets and broken answers of what may be asked twice."""
    with connect(
        project.config(cache_folder=folder, retry_config={"default": {"max_attempts": 5, "sleep_duration": 0.1}})
    ) as cloud:
        disk_cid = cloud.create_disk(MiB(1024), {})
        for effect in (effects.reset(), effects.lost_answer(), BROKEN):
            with project.rule("cinder", Rule("GET *", effect, times=2)) as rule:
                assert cloud.has_disk(disk_cid)
            assert rule.met == 2
        cloud.delete_disk(disk_cid)


@pytest.mark.parametrize("status", [413, 429, 503])
def test_a_busy_service_is_asked_again_when_it_says(project: Lab, folder: str, status: int) -> None:
    """A POST too: a refusal has made nothing."""
    busy = effects.answer(status, b'{"overLimit": {"message": "slow down"}}', {"Retry-After": "1"})
    with connect(project.config(cache_folder=folder)) as cloud:
        with project.rule("cinder", Rule("POST /v3/volumes", busy, times=1)) as rule:
            began = time.monotonic()
            disk_cid = cloud.create_disk(MiB(1024), {})
        assert rule.met == 1
        assert time.monotonic() - began >= 1
        cloud.delete_disk(disk_cid)


def test_retry_config_is_by_operation(project: Lab, folder: str) -> None:
    """One operation gives up where another goes on."""
    rules = {"default": {"max_attempts": 1}, "has_vm": {"max_attempts": 3, "sleep_duration": 0.1}}
    with connect(project.config(cache_folder=folder, retry_config=rules)) as cloud:
        with project.rule("nova", Rule("GET *", BROKEN, times=2)):
            assert cloud.has_vm(VmCid(str(uuid.uuid4()))) is False
        with project.rule("nova", Rule("GET *", BROKEN, times=1)), pytest.raises(errors.CloudError):
            cloud.get_disks(VmCid(str(uuid.uuid4())))
