"""How many API calls each method makes: with a token in the cache, and looks at a pending state not counted."""

from collections import Counter
from collections.abc import Callable

import pytest

from cpi.connecting import connect
from cpi.contract.cloud import Cloud
from cpi.contract.units import MiB
from fixtures.clouds.openstack import ControlPlane
from fixtures.clouds.openstack.crowd import crowd
from fixtures.clouds.openstack.lab import Lab, lab
from tests.drivers.openstack.conftest import MakeVm, vm_maker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

MOST = {
    "has_vm": 1,
    "has_disk": 1,
    "create_disk": 2,
    "attach_disk": 3,
    "detach_disk": 2,
    "snapshot_disk": 2,
    "delete_disk": 2,
    "set_vm_metadata": 1,
    "delete_vm": 4,
    "create_vm": 6,
}
FLEET = 200


def counted(project: Lab, call: Callable[[], object]) -> int:
    """The calls that a method makes; the second and further looks at one thing are waiting."""
    project.forget_calls()
    call()
    calls = Counter((call.request.method, call.request.path) for proxy in project.proxies.values() for call in proxy.calls)
    assert not project.proxies["keystone"].calls, "the token was in the cache"
    return sum(1 if method == "GET" else times for (method, _), times in calls.items())


def counts(project: Lab, cloud: Cloud, make_vm: MakeVm) -> dict[str, int]:
    """Of every method, in the order of a VM's life."""
    found: dict[str, int] = {}
    made: dict[str, object] = {}

    def count(method: str, call: Callable[[], object]) -> None:
        def kept() -> None:
            made[method] = call()

        found[method] = counted(project, kept)

    count("create_vm", lambda: make_vm(cloud))
    vm_cid = made["create_vm"].cid  # type: ignore[attr-defined]  # it is a Vm
    count("create_disk", lambda: cloud.create_disk(MiB(1024), {}))
    disk_cid = made["create_disk"]
    count("has_vm", lambda: cloud.has_vm(vm_cid))
    count("has_disk", lambda: cloud.has_disk(disk_cid))  # type: ignore[arg-type]  # it is a DiskCid
    count("set_vm_metadata", lambda: cloud.set_vm_metadata(vm_cid, {"job": "db", "index": "0"}))
    count("attach_disk", lambda: cloud.attach_disk(vm_cid, disk_cid))  # type: ignore[arg-type]  # as above
    count("snapshot_disk", lambda: cloud.snapshot_disk(disk_cid, {"index": 0}))  # type: ignore[arg-type]  # as above
    cloud.delete_snapshot(made["snapshot_disk"])  # type: ignore[arg-type]  # a SnapshotCid
    count("detach_disk", lambda: cloud.detach_disk(vm_cid, disk_cid))  # type: ignore[arg-type]  # as above
    count("delete_disk", lambda: cloud.delete_disk(disk_cid))  # type: ignore[arg-type]  # as above
    count("delete_vm", lambda: cloud.delete_vm(vm_cid))
    return found


def test_each_method_makes_so_many_calls_whatever_the_fleet(openstack_plane: ControlPlane, image_path: str, folder: str) -> None:
    """No more than an operator would make by hand, with two hundred servers, volumes and ports more in the project."""
    with lab(openstack_plane) as project, connect(project.config(cache_folder=folder)) as cloud:
        stemcell_cid = cloud.create_stemcell(image_path, {"name": "tiny", "version": "1", "disk_format": "raw"}, {})
        crowd(project, FLEET)
        assert counts(project, cloud, vm_maker(project, stemcell_cid)) == MOST
        assert project.census()["servers"] == FLEET
