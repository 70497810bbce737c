"""How many API calls each method makes: exact, so that a change that costs calls is seen. Waits are not counted."""

import pytest

from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid
from cpi.contract.model import Network
from fixtures.clouds.google.lab import ZONE, Lab
from tests.drivers.google.conftest import GIB, Counted, Helper


def test_has_vm_makes_1_call(cloud: Cloud, helper: Helper, counted: Counted) -> None:
    """By a filter over all zones: a VM's CID does not tell its zone."""
    vm = helper.vm()
    assert counted(lambda: cloud.has_vm(vm.cid)) == {"GET instances": 1}


def test_has_disk_makes_1_call(cloud: Cloud, helper: Helper, counted: Counted) -> None:
    """The CID tells the zone; one of the official CPI does not, and is looked for."""
    disk_cid = helper.disk()
    assert counted(lambda: cloud.has_disk(disk_cid)) == {"GET disks/{name}": 1}
    assert counted(lambda: cloud.has_disk(DiskCid("disk-1ff0bb6f-a4f8-4d13-4cf6-5d1dae9d3c02"))) == {"GET disks": 1}


def test_create_disk_makes_2_calls(cloud: Cloud, helper: Helper, counted: Counted) -> None:
    """The VM tells the zone."""
    vm = helper.vm()
    assert counted(lambda: cloud.create_disk(GIB, {}, vm.cid)) == {"GET instances": 1, "POST disks": 1}
    assert counted(lambda: cloud.create_disk(GIB, {"zone": ZONE}, None, "token")) == {"POST disks": 1}


def test_attach_disk_makes_3_calls(cloud: Cloud, helper: Helper, counted: Counted) -> None:
    """Settings are kept true by the third. Again: none that changes anything."""
    vm, disk_cid = helper.vm(), helper.disk()
    attached = counted(lambda: cloud.attach_disk(vm.cid, disk_cid))
    assert attached == {"GET instances": 1, "POST instances/{name}/attachDisk": 1, "POST instances/{name}/setMetadata": 1}
    assert counted(lambda: cloud.attach_disk(vm.cid, disk_cid)) == {"GET instances": 1}


def test_detach_disk_makes_3_calls(cloud: Cloud, helper: Helper, counted: Counted) -> None:
    """As many as attach_disk."""
    vm, disk_cid = helper.vm(), helper.disk()
    cloud.attach_disk(vm.cid, disk_cid)
    detached = counted(lambda: cloud.detach_disk(vm.cid, disk_cid))
    assert detached == {"GET instances": 1, "POST instances/{name}/detachDisk": 1, "POST instances/{name}/setMetadata": 1}


def test_snapshots_make_1_call(cloud: Cloud, helper: Helper, counted: Counted) -> None:
    """Each way."""
    disk_cid, made = helper.disk(), []
    assert counted(lambda: made.append(cloud.snapshot_disk(disk_cid, {}))) == {"POST disks/{name}/createSnapshot": 1}
    assert counted(lambda: cloud.delete_snapshot(made[0])) == {"DELETE snapshots/{name}": 1}


def test_delete_disk_makes_1_call(cloud: Cloud, helper: Helper, counted: Counted) -> None:
    """The CID tells the zone."""
    disk_cid = helper.disk()
    assert counted(lambda: cloud.delete_disk(disk_cid)) == {"DELETE disks/{name}": 1}


def test_metadata_make_2_or_3_calls_and_the_same_again_makes_1(cloud: Cloud, helper: Helper, counted: Counted) -> None:
    """Of VMs, whose guest can read it as well, and disks."""
    vm, disk_cid = helper.vm(), helper.disk()
    of_vm = {"GET instances": 1, "POST instances/{name}/setLabels": 1, "POST instances/{name}/setMetadata": 1}
    assert counted(lambda: cloud.set_vm_metadata(vm.cid, {"job": "db"})) == of_vm
    assert counted(lambda: cloud.set_vm_metadata(vm.cid, {"job": "db"})) == {"GET instances": 1}
    of_disk = {"GET disks/{name}": 1, "POST disks/{name}/setLabels": 1}
    assert counted(lambda: cloud.set_disk_metadata(disk_cid, {"job": "db"})) == of_disk


def test_delete_vm_makes_2_calls(cloud: Cloud, helper: Helper, counted: Counted) -> None:
    """Without load balancers."""
    vm = helper.vm()
    assert counted(lambda: cloud.delete_vm(vm.cid)) == {"GET instances": 1, "DELETE instances/{name}": 1}


def test_create_vm_makes_1_call(helper: Helper, counted: Counted) -> None:
    """One more for an address that Google chooses, one for disks, or one for the zones that an earlier call may have used."""
    dynamic = {"default": Network(type="dynamic")}
    assert counted(helper.vm) == {"POST instances": 1}
    assert counted(lambda: helper.vm(networks=dynamic)) == {"POST instances": 1, "GET instances/{name}": 1}
    near = (helper.disk(),)
    calls = counted(lambda: helper.vm(networks=dynamic, disk_cids=near, token="a", zone=None))  # noqa: S106 - not secret
    assert calls == {"GET disks": 1, "POST instances": 1, "GET instances/{name}": 1}
    calls = counted(lambda: helper.vm(networks=dynamic, token="b", zones=["europe-west1-c"]))  # noqa: S106 - not secret
    assert calls == {"GET instances": 1, "POST instances": 1, "GET instances/{name}": 1}


def test_resize_disk_makes_2_calls_and_none_that_changes_for_the_same_size(
    cloud: Cloud, helper: Helper, counted: Counted
) -> None:
    """1025 MiB and 2 GiB are the same size at Google."""
    disk_cid = helper.disk()
    assert counted(lambda: cloud.resize_disk(disk_cid, GIB)) == {"GET disks/{name}": 1}
    assert counted(lambda: cloud.resize_disk(disk_cid, 1025)) == {"GET disks/{name}": 1, "POST disks/{name}/resize": 1}  # type: ignore[arg-type]  # MiB
    assert counted(lambda: cloud.resize_disk(disk_cid, 2048)) == {"GET disks/{name}": 1}  # type: ignore[arg-type]  # MiB


@pytest.mark.slow
def test_with_2000_vms_every_method_makes_the_same_calls(google: Lab, cloud: Cloud, helper: Helper, counted: Counted) -> None:
    """As in an empty project."""
    google.control("populate", vms=2000, zone=ZONE)
    made = []
    assert counted(lambda: made.append(helper.vm().cid)) == {"POST instances": 1}
    vm_cid, disk_cid = made[0], helper.disk()
    assert counted(lambda: cloud.has_vm(vm_cid)) == {"GET instances": 1}
    assert counted(lambda: cloud.has_disk(disk_cid)) == {"GET disks/{name}": 1}
    assert counted(lambda: cloud.create_disk(GIB, {}, vm_cid)) == {"GET instances": 1, "POST disks": 1}
    assert sum(counted(lambda: cloud.attach_disk(vm_cid, disk_cid)).values()) == 3
    assert sum(counted(lambda: cloud.set_vm_metadata(vm_cid, {"job": "db"})).values()) == 3
    assert sum(counted(lambda: cloud.snapshot_disk(disk_cid, {})).values()) == 1
    assert sum(counted(lambda: cloud.detach_disk(vm_cid, disk_cid)).values()) == 3
    assert sum(counted(lambda: cloud.delete_disk(disk_cid)).values()) == 1
    assert sum(counted(lambda: cloud.delete_vm(vm_cid)).values()) == 2
