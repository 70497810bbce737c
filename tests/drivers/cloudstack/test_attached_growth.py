"""grow_attached_disk: on KVM while the VM runs; on other hypervisors it is refused by their name."""

from collections.abc import Callable

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.units import MiB
from cpi_drivers.cloudstack.cloud import CloudStackCloud
from fixtures.clouds.cloudstack.lab import Lab
from fixtures.proxy import effects
from fixtures.proxy.rules import Rule
from tests.drivers.cloudstack.conftest import Connect, Helper

pytestmark = pytest.mark.slow

_GIB, _TWO = MiB(1024), MiB(2048)


@pytest.fixture
def own(cloud: Cloud) -> CloudStackCloud:
    """With what it offers beyond the CPI."""
    assert isinstance(cloud, CloudStackCloud)
    return cloud


@pytest.fixture
def vm_cid(own: CloudStackCloud, helper: Helper) -> VmCid:
    """One on KVM."""
    return helper.vm(own).cid


def _attached(cloud: Cloud, vm_cid: VmCid, **properties: str) -> DiskCid:
    disk_cid = cloud.create_disk(_GIB, properties)
    cloud.attach_disk(vm_cid, disk_cid)
    return disk_cid


def _remove(cloud: Cloud, vm_cid: VmCid, disk_cid: DiskCid) -> None:
    cloud.detach_disk(vm_cid, disk_cid)
    cloud.delete_disk(disk_cid)


def _gib(cloudstack: Lab, disk_cid: DiskCid) -> int:
    return int(cloudstack.one("listVolumes", disk_cid)["size"]) >> 30


def test_it_grows_attached_in_3_calls_and_again_in_1(cloudstack: Lab, own: CloudStackCloud, vm_cid: VmCid) -> None:
    """The repeat only looks; a disk of a fixed offering gets the custom one."""
    disk_cid = _attached(own, vm_cid)
    own.grow_attached_disk(vm_cid, disk_cid, _GIB)
    cloudstack.proxy.forget_calls()
    own.grow_attached_disk(vm_cid, disk_cid, _TWO)
    assert cloudstack.calls() == {"listVolumes": 1, "listDiskOfferings": 1, "resizeVolume": 1}
    cloudstack.proxy.forget_calls()
    own.grow_attached_disk(vm_cid, disk_cid, _TWO)
    assert cloudstack.calls() == {"listVolumes": 1}
    assert (_gib(cloudstack, disk_cid), own.get_disks(vm_cid)) == (2, [disk_cid])
    _remove(own, vm_cid, disk_cid)
    fixed = _attached(own, vm_cid, disk_offering="fixed-5")
    own.grow_attached_disk(vm_cid, fixed, MiB(6 * 1024))
    assert _gib(cloudstack, fixed) == 6
    _remove(own, vm_cid, fixed)


@pytest.mark.parametrize("hypervisor", ["vmware", "xenserver"])
def test_another_hypervisor_is_refused_by_its_name(
    cloudstack: Lab, own: CloudStackCloud, helper: Helper, hypervisor: str
) -> None:
    """Before the disk is touched."""
    vm_cid = helper.vm(own, stemcell=f"light-{hypervisor} light").cid
    disk_cid = _attached(own, vm_cid)
    cloudstack.proxy.forget_calls()
    with pytest.raises(errors.NotSupported, match=f"(?i)running VM on {hypervisor}: CloudStack grows such disks on KVM only"):
        own.grow_attached_disk(vm_cid, disk_cid, _TWO)
    assert cloudstack.calls() == {"listVolumes": 1}
    _remove(own, vm_cid, disk_cid)


def _busy() -> Rule:
    return Rule("resizeVolume", effects.answer(503, b"busy"), times=1)


def _lost() -> Rule:
    return Rule("resizeVolume", effects.lost_answer(), times=1)


@pytest.mark.parametrize("rule", [_busy, _lost])
def test_lost_answers_and_throttled_calls_are_no_failure(
    cloudstack: Lab, own: CloudStackCloud, vm_cid: VmCid, rule: Callable[[], Rule]
) -> None:
    """It is grown once."""
    disk_cid = _attached(own, vm_cid)
    with cloudstack.rule(rule()) as met:
        own.grow_attached_disk(vm_cid, disk_cid, _TWO)
    assert met.met == 1
    assert _gib(cloudstack, disk_cid) == 2
    _remove(own, vm_cid, disk_cid)


def test_smaller_a_limit_a_disk_that_is_detached_and_what_is_not_there(
    cloudstack: Lab, connect: Connect, own: CloudStackCloud, vm_cid: VmCid
) -> None:
    """Each by its own error."""
    disk_cid = _attached(own, vm_cid)
    own.grow_attached_disk(vm_cid, disk_cid, _TWO)
    with pytest.raises(errors.NotSupported, match="cannot shrink"):
        own.grow_attached_disk(vm_cid, disk_cid, _GIB)
    cloudstack.api.updateResourceLimit(resourcetype=10, max=1)
    try:
        with pytest.raises(errors.NoDiskSpace, match="primary_storage"):
            own.grow_attached_disk(vm_cid, disk_cid, MiB(8192))
    finally:
        cloudstack.api.updateResourceLimit(resourcetype=10, max=500_000)
    own.detach_disk(vm_cid, disk_cid)
    with pytest.raises(errors.DiskNotAttached):
        own.grow_attached_disk(vm_cid, disk_cid, _TWO)
    with pytest.raises(errors.VMNotFound):
        own.grow_attached_disk(VmCid("vm-absent"), disk_cid, _TWO)
    own.delete_disk(disk_cid)
    with pytest.raises(errors.DiskNotFound):
        own.grow_attached_disk(vm_cid, disk_cid, _TWO)
