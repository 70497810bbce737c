"""How many API calls each method makes: with a token in the cache, and looks at a pending state not counted."""

import contextlib
import sqlite3
import uuid
from collections import Counter
from collections.abc import Callable

import pytest

from cpi.contract.cloud import Cloud
from cpi.contract.units import MiB
from fixtures.clouds.openstack.lab import Lab
from tests.unit.drivers.openstack.conftest import MakeVm

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


def test_each_method_makes_so_many_calls(project: Lab, cloud: Cloud, make_vm: MakeVm) -> None:
    """No more than an operator would make by hand."""
    assert counts(project, cloud, make_vm) == MOST


def test_the_calls_do_not_grow_with_the_fleet(project: Lab, cloud: Cloud, make_vm: MakeVm) -> None:
    """The same numbers with two hundred servers, volumes and ports more in the project."""
    enlarge(project)
    assert counts(project, cloud, make_vm) == MOST


def enlarge(project: Lab) -> None:
    """Two hundred of each; the servers are in state ERROR: no host is so large; the volumes are copied rows."""
    sdk = project.sdk
    image = next(iter(sdk.image.images(visibility="private"))).id
    flavor = sdk.compute.find_flavor("m1.huge").id
    many = {"name": "fleet", "imageRef": image, "flavorRef": flavor, "networks": "none", "min_count": FLEET, "max_count": FLEET}
    assert sdk.compute.post("/servers", json={"server": many}, microversion="2.37").status_code == 202
    ports = [{"network_id": project.net_id, "name": f"fleet-{number}"} for number in range(FLEET)]
    assert sdk.network.post("/ports", json={"ports": ports}).status_code == 201
    one = sdk.block_storage.create_volume(size=1, name="fleet")
    sdk.block_storage.wait_for_status(one, "available", ["error"], interval=0.2, wait=60)
    with contextlib.closing(sqlite3.connect(project.plane.folder / "cinder.db", timeout=60)) as cinder, cinder:
        cinder.row_factory = sqlite3.Row
        row = dict(cinder.execute("select * from volumes where id = ?", (one.id,)).fetchone())
        columns, places = ", ".join(row), ", ".join("?" * len(row))
        copies = [tuple({**row, "id": str(uuid.uuid4())}.values()) for _ in range(FLEET)]
        cinder.executemany(f"insert into volumes ({columns}) values ({places})", copies)  # noqa: S608 - cinder's own names
