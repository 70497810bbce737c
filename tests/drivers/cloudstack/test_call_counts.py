"""How many API calls each method makes: looks at jobs not counted, and the zone known from an earlier call."""

import functools
from collections.abc import Iterator

import pytest

import cpi
from cpi.contract.cloud import Cloud
from cpi.contract.ids import VmCid
from cpi.contract.units import MiB
from fixtures.clouds.cloudstack.lab import Lab, lab
from tests.drivers.call_counts import of_a_life
from tests.drivers.cloudstack.conftest import Helper

_FLEET = 2000
_GIB = MiB(1024)

pytestmark = pytest.mark.slow

CALLS = {
    "create_vm": {
        "listTemplates": 1,
        "listNetworks": 1,
        "listDiskOfferings": 1,
        "listServiceOfferings": 1,
        "deployVirtualMachine": 1,
        "listVolumes": 1,
        "createTags": 1,
    },
    "has_vm": {"listVirtualMachines": 1},
    "has_vm, absent": {"listVirtualMachines": 3},
    "create_disk": {"listDiskOfferings": 1, "createVolume": 1, "createTags": 1},
    "has_disk": {"listVolumes": 1},
    "attach_disk": {"listVirtualMachines": 1, "listVolumes": 1, "attachVolume": 1},
    "get_disks": {"listVirtualMachines": 1, "listVolumes": 1},
    "snapshot_disk": {"listVolumes": 1, "createSnapshot": 1},
    "delete_snapshot": {"deleteSnapshot": 1},
    "set_vm_metadata": {"listVirtualMachines": 1, "createTags": 1},
    "set_disk_metadata": {"listVolumes": 1, "createTags": 1},
    "reboot_vm": {"listVirtualMachines": 1, "rebootVirtualMachine": 1},
    "detach_disk": {"listVolumes": 1, "detachVolume": 1},
    "resize_disk": {"listVolumes": 1, "listDiskOfferings": 1, "resizeVolume": 1},
    "update_disk": {"listVolumes": 1, "listDiskOfferings": 1, "changeOfferingForVolume": 1},
    "delete_disk": {"listVolumes": 1, "deleteVolume": 1},
    "delete_vm": {"listVirtualMachines": 1, "listVolumes": 2, "destroyVirtualMachine": 1},
}


def test_each_method_makes_these_calls(cloudstack: Lab, cloud: Cloud, helper: Helper) -> None:
    """And no other."""
    helper.vm(cloud)  # the zone is known from here on
    assert _counted(cloudstack, cloud, helper) == CALLS


def test_with_2000_vms_every_method_makes_the_same_calls(crowded: Lab, tmp_path: str) -> None:
    """No list of everything."""
    with cpi.connect(crowded.config(cache_folder=str(tmp_path))) as cloud:
        helper = Helper(crowded)
        first = helper.vm(cloud)
        assert _counted(crowded, cloud, helper) == CALLS
        cloud.delete_vm(first.cid)


def test_a_zone_is_looked_up_once_for_many_processes(cloudstack: Lab, helper: Helper, tmp_path: str) -> None:
    """Its id does not change."""
    for looked_up in (1, 0):
        with cpi.connect(cloudstack.config(cache_folder=str(tmp_path))) as cloud:
            cloudstack.proxy.forget_calls()
            cloud.delete_disk(cloud.create_disk(_GIB, {}))
            assert cloudstack.calls()["listZones"] == looked_up


@pytest.fixture
def crowded() -> Iterator[Lab]:
    """With 2,000 VMs and 4,000 disks."""
    with lab(_FLEET) as found:
        yield found


def _counted(cloudstack: Lab, cloud: Cloud, helper: Helper) -> dict[str, dict[str, int]]:
    make_vm = functools.partial(helper.vm, cloud, disk=1024)
    return of_a_life(cloudstack, cloud, make_vm, VmCid("nothing"), _GIB, {"disk_offering": "fast.custom"})
