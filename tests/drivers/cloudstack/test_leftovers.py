"""What an account holds of CPIs is found by its tags, with few calls; after a kill at any call a sweep finds everything."""

import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

import cpi
from cpi.contract.cloud import Cloud
from cpi.contract.model import CallContext
from cpi.contract.operator import ListsTaggedResources
from cpi.contract.units import MiB
from cpi.sweeping.leftovers import NO_DIRECTOR
from fixtures.clouds.cloudstack.lab import Lab
from tests.drivers.cloudstack.conftest import Helper
from tests.drivers.conftest import ForkServers
from tests.drivers.each_kill import DIRECTOR, Method, Scene, kill_after_each_call

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_GIB: Final = MiB(1024)


def test_listing_makes_4_calls(cloudstack: Lab, cloud: Cloud, helper: Helper) -> None:
    """However much there is on one page."""
    vm, disk_cid = helper.vm(cloud).cid, cloud.create_disk(_GIB, {})
    assert isinstance(cloud, ListsTaggedResources)
    cloudstack.proxy.forget_calls()
    listed = cloud.tagged_resources()
    calls = cloudstack.proxy.counts()
    cloud.delete_disk(disk_cid)
    assert calls == {"listVirtualMachines": 1, "listVolumes": 1, "listTemplates": 1, "listSnapshots": 1}
    assert {one.kind: one.id for one in listed if not one.attached_to} == {"VM": vm, "disk": disk_cid}


@pytest.fixture
def scene(cloudstack: Lab, helper: Helper, fork_servers: ForkServers, tmp_path: Path) -> Iterator[Scene]:
    """An account in which a VM and a disk are known, and another director has a disk."""
    document = cloudstack.config(cache_folder=str(tmp_path / "cache"), retry_interval=0.1)
    config = tmp_path / "cpi.json"
    config.write_text(json.dumps(document))
    with (
        cpi.connect(document, CallContext(director_uuid=DIRECTOR)) as cloud,
        cpi.connect(document, CallContext(director_uuid="d-of-another")) as another,
    ):
        vm, disk, others = helper.vm(cloud).cid, cloud.create_disk(_GIB, {}), another.create_disk(_GIB, {})
        start, both = fork_servers("cloudstack").start, frozenset({DIRECTOR, NO_DIRECTOR})
        known, proxies = [vm, disk], [cloudstack.proxy]
        yield Scene(
            cloud, config, start, proxies, cloudstack.census, known, lambda one: one.action == "queryAsyncJobResult", both
        )
        another.delete_disk(others)
        cloud.delete_disk(disk)


def _methods(helper: Helper) -> Mapping[str, Method]:
    def new_disk(cloud: Cloud) -> Any:
        return cloud.create_disk(_GIB, {})

    return {
        "create_vm": Method(lambda cloud, _: helper.passing_vm(cloud, str(uuid.uuid4()))),
        "create_disk": Method(lambda cloud, _: cloud.create_disk(_GIB, {}, None, str(uuid.uuid4()))),
        "delete_vm": Method(lambda cloud, vm: cloud.delete_vm(vm), lambda cloud: helper.passing_vm(cloud, str(uuid.uuid4()))),
        "delete_disk": Method(lambda cloud, disk: cloud.delete_disk(disk), new_disk),
    }


_CALLS: Final = {"create_vm": 5, "create_disk": 3, "delete_vm": 3, "delete_disk": 2}


@pytest.mark.nightly
@pytest.mark.parametrize("method", _CALLS)
def test_after_a_kill_at_any_call_a_sweep_finds_everything(scene: Scene, helper: Helper, method: str) -> None:
    """0 left, and nothing of others touched: also between a disk's making and its tags, which are two calls here."""
    assert kill_after_each_call(scene, _methods(helper)[method]) >= _CALLS[method]
