"""How many API calls each method makes: looks at tasks not counted, the vDC and the catalogs known from an earlier call."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

import cpi
from cpi.contract.cloud import Cloud
from cpi.contract.ids import VmCid
from cpi.contract.units import MiB
from fixtures.clouds.vcloud.lab import Lab, lab
from tests.unit.drivers.vcloud.conftest import Bench

T = TypeVar("T")

_FLEET = 2000
_SIZE = MiB(100)
_ABSENT = VmCid("urn:vcloud:vm:00000000-0000-4000-8000-000000000000")

pytestmark = pytest.mark.slow

CALLS = {
    "create_vm": {
        "GET /api/vdc/{id}": 1,
        "GET /api/catalogItem/{id}": 1,
        "GET /api/vAppTemplate/vappTemplate-{id}": 1,
        "POST /api/vdc/{id}/action/composeVApp": 1,
        "GET /api/vApp/vapp-{id}": 1,
        "POST /api/vApp/vm-{id}/action/reconfigureVm": 1,
        "PUT /api/vApp/vm-{id}/productSections": 1,
        "POST /api/catalog/{id}/action/upload": 1,
        "GET /api/media/{id}": 1,
        "PUT /transfer/{id}": 1,
        "POST /api/vApp/vm-{id}/media/action/insertMedia": 1,
        "POST /api/vApp/vm-{id}/metadata": 1,
        "POST /api/vApp/vm-{id}/power/action/powerOn": 1,
    },
    "has_vm": {"GET /api/vApp/vm-{id}": 1},
    "has_vm, absent": {"GET /api/vApp/vm-{id}": 1, "GET /api/query vm": 1},
    "create_disk": {"POST /api/vdc/{id}/disk": 1, "POST /api/disk/{id}/metadata": 1},
    "has_disk": {"GET /api/disk/{id}": 1},
    "attach_disk": {"GET /api/vApp/vm-{id}": 2, "POST /api/vApp/vm-{id}/disk/action/attach": 1},
    "get_disks": {"GET /api/vApp/vm-{id}": 1},
    "set_vm_metadata": {"POST /api/vApp/vm-{id}/metadata": 1},
    "set_disk_metadata": {"POST /api/disk/{id}/metadata": 1},
    "reboot_vm": {"GET /api/vApp/vm-{id}": 1, "POST /api/vApp/vm-{id}/power/action/reboot": 1},
    "detach_disk": {"POST /api/vApp/vm-{id}/disk/action/detach": 1},
    "resize_disk": {"GET /api/disk/{id}": 1, "GET /api/disk/{id}/attachedVms": 1, "PUT /api/disk/{id}": 1},
    "update_disk": {
        "GET /api/disk/{id}": 1,
        "GET /api/disk/{id}/attachedVms": 1,
        "GET /api/vdc/{id}": 1,
        "PUT /api/disk/{id}": 1,
    },
    "delete_disk": {"DELETE /api/disk/{id}": 1},
    "delete_vm": {
        "GET /api/vApp/vm-{id}": 1,
        "GET /api/vApp/vapp-{id}": 1,
        "POST /api/vApp/vapp-{id}/action/undeploy": 1,
        "DELETE /api/vApp/vapp-{id}": 1,
        "GET /api/query media": 1,
        "DELETE /api/media/{id}": 1,
    },
}


def test_each_method_makes_these_calls(vcloud: Lab, cloud: Cloud, bench: Bench) -> None:
    """And no other."""
    bench.vm(cloud)  # the vDC and the catalogs are known from here on
    assert _counted(vcloud, cloud, bench) == CALLS


def test_with_2000_vms_every_method_makes_the_same_calls(crowded: Lab, tmp_path: Path) -> None:
    """No list of everything."""
    with cpi.connect(crowded.config(cache_folder=str(tmp_path))) as cloud:
        bench = Bench(crowded)
        first = bench.vm(cloud)
        assert _counted(crowded, cloud, bench) == CALLS
        cloud.delete_vm(first.cid)


def test_a_login_and_the_vdc_serve_many_processes(vcloud: Lab, tmp_path: Path) -> None:
    """They are kept between them."""
    for asked in (1, 0):
        with cpi.connect(vcloud.config(cache_folder=str(tmp_path))) as cloud:
            vcloud.proxy.forget_calls()
            cloud.delete_disk(cloud.create_disk(_SIZE, {}))
            calls = vcloud.calls()
            looked = [calls[name] for name in ("POST /cloudapi/1.0.0/sessions", "GET /api/versions", "GET /api/query orgVdc")]
            assert looked == [asked] * 3


@pytest.fixture
def crowded() -> Iterator[Lab]:
    """With 2,000 VMs and 2,000 disks."""
    with lab(_FLEET) as found:
        yield found


def _counted(vcloud: Lab, cloud: Cloud, bench: Bench) -> dict[str, dict[str, int]]:
    """Of every method, in the order of a VM's life."""
    found: dict[str, dict[str, int]] = {}

    def count(method: str, call: Callable[[], T]) -> T:
        vcloud.proxy.forget_calls()
        answer = call()
        found[method] = dict(vcloud.calls())
        return answer

    vm = count("create_vm", lambda: bench.vm(cloud, disk=1024)).cid
    count("has_vm", lambda: cloud.has_vm(vm))
    count("has_vm, absent", lambda: cloud.has_vm(_ABSENT))
    disk = count("create_disk", lambda: cloud.create_disk(_SIZE, {}))
    count("has_disk", lambda: cloud.has_disk(disk))
    count("attach_disk", lambda: cloud.attach_disk(vm, disk))
    count("get_disks", lambda: cloud.get_disks(vm))
    count("set_vm_metadata", lambda: cloud.set_vm_metadata(vm, {"job": "db"}))
    count("set_disk_metadata", lambda: cloud.set_disk_metadata(disk, {"job": "db"}))
    count("reboot_vm", lambda: cloud.reboot_vm(vm))
    count("detach_disk", lambda: cloud.detach_disk(vm, disk))
    count("resize_disk", lambda: cloud.resize_disk(disk, MiB(200)))
    count("update_disk", lambda: cloud.update_disk(disk, MiB(300), {"storage_profile": "fast"}))
    count("delete_disk", lambda: cloud.delete_disk(disk))
    count("delete_vm", lambda: cloud.delete_vm(vm))
    return found
