"""How many API calls each method makes: looks at tasks not counted, the vDC and the catalogs known from an earlier call."""

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

import cpi
from cpi.contract.cloud import Cloud
from cpi.contract.ids import VmCid
from cpi.contract.units import MiB
from fixtures.clouds.vcloud.lab import Lab, lab
from tests.drivers.call_counts import of_a_life
from tests.drivers.vcloud.conftest import Helper

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


def test_each_method_makes_these_calls(vcloud: Lab, cloud: Cloud, helper: Helper) -> None:
    """And no other."""
    helper.vm(cloud)  # the vDC and the catalogs are known from here on
    assert _counted(vcloud, cloud, helper) == CALLS


def test_with_2000_vms_every_method_makes_the_same_calls(crowded: Lab, tmp_path: Path) -> None:
    """No list of everything."""
    with cpi.connect(crowded.config(cache_folder=str(tmp_path))) as cloud:
        helper = Helper(crowded)
        first = helper.vm(cloud)
        assert _counted(crowded, cloud, helper) == CALLS
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


def _counted(vcloud: Lab, cloud: Cloud, helper: Helper) -> dict[str, dict[str, int]]:
    make_vm = functools.partial(helper.vm, cloud, disk=1024)
    return of_a_life(vcloud, cloud, make_vm, _ABSENT, _SIZE, {"storage_profile": "fast"})
