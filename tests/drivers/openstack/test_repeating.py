"""Services that are busy, broken for a moment, or cut off: asked again, as retry_config says."""

import contextlib
import time
import uuid

import pytest

from cpi.connecting import connect
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import VmCid
from cpi.contract.units import MiB
from fixtures.clouds.openstack.lab import Lab
from fixtures.proxy import Effect, Rule, effects
from tests.drivers.openstack.conftest import MakeVm
from tests.drivers.openstack.test_faults import BROKEN

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.usefixtures("census_kept")]


def busy(status: int, *, seconds: int = 0) -> Effect:
    """A service's word for "later"."""
    headers = {"Retry-After": str(seconds), "Content-Type": "application/json"}
    return effects.answer(status, b'{"overLimit": {"message": "slow down"}}', headers)


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
    with connect(project.config(cache_folder=folder)) as cloud:
        with project.rule("cinder", Rule("POST /v3/volumes", busy(status, seconds=1), times=1)) as rule:
            began = time.monotonic()
            disk_cid = cloud.create_disk(MiB(1024), {})
        assert rule.met == 1
        assert time.monotonic() - began >= 1
        cloud.delete_disk(disk_cid)


def test_each_call_that_changes_something_is_made_again(project: Lab, cloud: Cloud, make_vm: MakeVm) -> None:
    """From a VM's birth to its end; both words for it are in use. Every change is made once. How long is waited, see above."""
    attachments = "/v2.1/servers/{id}/os-volume_attachments"
    rules = {
        "neutron": [Rule("POST /v2.0/ports", busy(429), times=1), Rule("DELETE /v2.0/ports/{id}", busy(413), times=1)],
        "nova": [
            Rule("POST /v2.1/servers", busy(413), times=1),
            Rule(f"POST {attachments}", busy(429), times=1),
            Rule(f"DELETE {attachments}/{{id}}", busy(413), times=1),
            Rule("DELETE /v2.1/servers/{id}", busy(429), times=1),
        ],
        "cinder": [
            Rule("POST /v3/snapshots", busy(413), times=1),
            Rule("DELETE /v3/snapshots/{id}", busy(429), times=1),
            Rule("DELETE /v3/volumes/{id}", busy(413), times=1),
        ],
    }
    disk_cid = cloud.create_disk(MiB(1024), {})
    with contextlib.ExitStack() as stack:
        injected = [stack.enter_context(project.rule(service, rule)) for service, own in rules.items() for rule in own]
        vm = make_vm(cloud)
        cloud.attach_disk(vm.cid, disk_cid)
        cloud.detach_disk(vm.cid, disk_cid)
        cloud.delete_snapshot(cloud.snapshot_disk(disk_cid, {}))
        cloud.delete_vm(vm.cid)
        cloud.delete_disk(disk_cid)
    assert [rule.met for rule in injected] == [1] * len(injected)


def test_a_nova_that_stays_busy_is_told_and_nothing_is_left(project: Lab, brittle_cloud: Cloud, make_vm: MakeVm) -> None:
    """Its own words, and the port is removed."""
    with project.rule("nova", Rule("POST /v2.1/servers", busy(429))), pytest.raises(errors.CloudError, match="429 slow down"):
        make_vm(brittle_cloud)


def test_retry_config_is_by_operation(project: Lab, folder: str) -> None:
    """One operation gives up where another goes on."""
    rules = {"default": {"max_attempts": 1}, "has_vm": {"max_attempts": 3, "sleep_duration": 0.1}}
    with connect(project.config(cache_folder=folder, retry_config=rules)) as cloud:
        with project.rule("nova", Rule("GET *", BROKEN, times=2)):
            assert cloud.has_vm(VmCid(str(uuid.uuid4()))) is False
        with project.rule("nova", Rule("GET *", BROKEN, times=1)), pytest.raises(errors.CloudError):
            cloud.get_disks(VmCid(str(uuid.uuid4())))
