"""What a project holds of CPIs is found by its metadata, with few calls; after a kill at any call a sweep finds everything."""

import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from cpi.connecting import connect
from cpi.contract.cloud import Cloud
from cpi.contract.ids import StemcellCid
from cpi.contract.model import CallContext, NetworkDefinition, Vm
from cpi.contract.operator import ListsTaggedResources
from cpi.contract.units import MiB
from fixtures.clouds.openstack.lab import Lab
from fixtures.proxy import Request
from tests.drivers.conftest import ForkServers
from tests.drivers.each_kill import DIRECTOR, Method, Scene, kill_after_each_call
from tests.drivers.openstack.conftest import MakeVm

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.usefixtures("census_kept")]

_GIB: Final = MiB(1024)
_NETWORK: Final = NetworkDefinition(range="10.77.0.0/24", gateway="10.77.0.1")


def test_listing_makes_6_calls(project: Lab, cloud: Cloud, vm: Vm, stemcell_cid: StemcellCid) -> None:
    """However much there is on one page."""
    disk_cid = cloud.create_disk(_GIB, {})
    assert isinstance(cloud, ListsTaggedResources)
    cloud.tagged_resources()  # the catalogue and the image service's login
    project.forget_calls()
    listed = {one.id: one for one in cloud.tagged_resources()}
    calls = sum(project.calls().values())
    cloud.delete_disk(disk_cid)
    assert calls == 6, project.calls()
    assert (listed[vm.cid].kind, listed[disk_cid].kind, listed[stemcell_cid].kind) == ("VM", "disk", "stemcell")
    assert [one.kind for one in listed.values() if one.attached_to == vm.cid] == ["interface"]


@pytest.fixture
def scene(project: Lab, vm: Vm, stemcell_cid: StemcellCid, fork_servers: ForkServers, tmp_path: Path) -> Iterator[Scene]:
    """A project in which another director has a VM, a stemcell and a disk."""
    document = project.config(cache_folder=str(tmp_path / "cache"))
    config = tmp_path / "cpi.json"
    config.write_text(json.dumps(document))
    with (
        connect(document, CallContext(director_uuid=DIRECTOR)) as cloud,
        connect(document, CallContext(director_uuid="d-of-another")) as another,
    ):
        others = another.create_disk(_GIB, {})
        start, proxies = fork_servers("openstack").start, list(project.proxies.values())
        yield Scene(cloud, config, start, proxies, project.census, [vm.cid, stemcell_cid], _is_look)
        another.delete_disk(others)


def _is_look(request: Request) -> bool:
    return request.method == "GET" or request.path.endswith("/auth/tokens")


def _methods(make_vm: MakeVm, image: str) -> Mapping[str, Method]:
    stemcell = {"name": "tiny", "version": "1", "disk_format": "raw"}

    def new_disk(cloud: Cloud) -> Any:
        return cloud.create_disk(_GIB, {})

    return {
        "create_vm": Method(lambda cloud, _: make_vm(cloud, str(uuid.uuid4()))),
        "create_disk": Method(lambda cloud, _: cloud.create_disk(_GIB, {}, None, str(uuid.uuid4()))),
        "snapshot_disk": Method(lambda cloud, disk: cloud.snapshot_disk(disk, {"job": "db"}), new_disk),
        "create_network": Method(lambda cloud, _: cloud.create_network(_NETWORK)),
        "create_stemcell": Method(lambda cloud, _: cloud.create_stemcell(image, stemcell, {})),
        "delete_vm": Method(lambda cloud, vm: cloud.delete_vm(vm), lambda cloud: make_vm(cloud).cid),
        "delete_disk": Method(lambda cloud, disk: cloud.delete_disk(disk), new_disk),
        "delete_snapshot": Method(
            lambda cloud, snapshot: cloud.delete_snapshot(snapshot), lambda cloud: cloud.snapshot_disk(new_disk(cloud), {})
        ),
        "delete_stemcell": Method(
            lambda cloud, cid: cloud.delete_stemcell(cid), lambda cloud: cloud.create_stemcell(image, stemcell, {})
        ),
    }


_CALLS: Final = {
    "create_vm": 3,
    "create_disk": 1,
    "snapshot_disk": 1,
    "create_network": 2,
    "create_stemcell": 2,
    "delete_vm": 2,
    "delete_disk": 1,
    "delete_snapshot": 1,
    "delete_stemcell": 1,
}


@pytest.mark.nightly
@pytest.mark.parametrize("method", _CALLS)
def test_after_a_kill_at_any_call_a_sweep_finds_everything(scene: Scene, make_vm: MakeVm, image_path: str, method: str) -> None:
    """0 left, and nothing of others touched. Calls that only look leave nothing, so nobody is killed after those."""
    assert kill_after_each_call(scene, _methods(make_vm, image_path)[method]) >= _CALLS[method]
