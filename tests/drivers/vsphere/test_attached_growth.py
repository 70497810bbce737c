"""grow_attached_disk: the VM's configuration is changed while it runs; what vSphere does not do is refused, with what to do."""

from collections.abc import Callable
from typing import Any

import pytest
from pyVmomi import vim

import cpi
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.units import MiB
from cpi_drivers.vsphere.api import devices
from cpi_drivers.vsphere.cloud import VsphereCloud
from fixtures.clouds.vcsim.answers import fault
from fixtures.clouds.vcsim.lab import Lab
from fixtures.proxy import Rule, effects
from tests.drivers.vsphere.conftest import Counted, Helper

pytestmark = pytest.mark.slow

_SIZE, _LARGER = MiB(100), MiB(200)
_LOOK = {"FindByInventoryPath": 1, "RetrievePropertiesEx": 1}


@pytest.fixture
def own(cloud: Cloud) -> VsphereCloud:
    """With what it offers beyond the CPI."""
    assert isinstance(cloud, VsphereCloud)
    return cloud


@pytest.fixture
def vm_cid(helper: Helper) -> VmCid:
    """One that has the disk."""
    return helper.vm().cid


@pytest.fixture
def disk_cid(own: VsphereCloud, vm_cid: VmCid) -> DiskCid:
    """A small one, attached."""
    made = own.create_disk(_SIZE, {})
    own.attach_disk(vm_cid, made)
    return made


def test_it_grows_attached_in_3_calls_and_again_in_2(
    vcenter: Lab, own: VsphereCloud, vm_cid: VmCid, disk_cid: DiskCid, counted: Counted
) -> None:
    """The VM and its file have the size; the repeat only looks."""
    assert counted(lambda: own.grow_attached_disk(vm_cid, disk_cid, _LARGER)) == {**_LOOK, "ReconfigVM_Task": 1}
    assert counted(lambda: own.grow_attached_disk(vm_cid, disk_cid, _LARGER)) == _LOOK
    assert list(own.get_disks(vm_cid)) == [disk_cid]
    own.detach_disk(vm_cid, disk_cid)
    assert vcenter.disk_bytes(disk_cid) == 200 << 20
    own.resize_disk(disk_cid, _LARGER)


def test_smaller_a_disk_that_is_detached_and_what_is_not_there(own: VsphereCloud, vm_cid: VmCid, disk_cid: DiskCid) -> None:
    """Each by its own error, before anything is touched."""
    with pytest.raises(errors.NotSupported, match="cannot shrink to 50 MiB"):
        own.grow_attached_disk(vm_cid, disk_cid, MiB(50))
    own.detach_disk(vm_cid, disk_cid)
    with pytest.raises(errors.DiskNotAttached):
        own.grow_attached_disk(vm_cid, disk_cid, _LARGER)
    with pytest.raises(errors.DiskNotFound):
        own.grow_attached_disk(vm_cid, DiskCid("disk-absent"), _LARGER)
    with pytest.raises(errors.VMNotFound):
        own.grow_attached_disk(VmCid("vm-absent"), disk_cid, _LARGER)


def test_a_lost_answer_is_no_failure_and_a_full_datastore_is_no_disk_space(
    vcenter: Lab, own: VsphereCloud, vm_cid: VmCid, disk_cid: DiskCid
) -> None:
    """The repeat changes nothing more; what the vCenter refuses is told in its words."""
    vcenter.proxy.inject(Rule("ReconfigVM_Task", effects.lost_answer(), times=1))
    own.grow_attached_disk(vm_cid, disk_cid, _LARGER)
    for name, expected in (("NoDiskSpace", errors.NoDiskSpace), ("InvalidPowerState", errors.NotSupported)):
        full = Rule("ReconfigVM_Task", effects.answer(500, fault(name).body))
        vcenter.proxy.inject(full)
        with pytest.raises(expected, match="cannot grow"):
            own.grow_attached_disk(vm_cid, disk_cid, MiB(300))
        vcenter.proxy.withdraw(full)
    own.grow_attached_disk(vm_cid, disk_cid, MiB(300))


def _shared(disk: Any, _: list[Any]) -> None:
    disk.backing.sharing = "sharingMultiWriter"


def _with_snapshots(disk: Any, _: list[Any]) -> None:
    disk.backing.parent = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName="[LocalDS_0] x.vmdk", diskMode="persistent")


def _on_sata(disk: Any, found: list[Any]) -> None:
    found.append(vim.vm.device.VirtualAHCIController(key=15000, busNumber=0))
    disk.controllerKey = 15000


def _on_ide(disk: Any, found: list[Any]) -> None:
    found.append(vim.vm.device.VirtualIDEController(key=200, busNumber=0))
    disk.controllerKey = 200


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_shared, "multi-writer"),
        (_with_snapshots, "has snapshots"),
        (_on_sata, "a SATA controller"),
        (_on_ide, "an? IDE controller"),
    ],
)
def test_what_cannot_grow_attached_is_refused_before_it_is_touched(
    own: VsphereCloud,
    vm_cid: VmCid,
    disk_cid: DiskCid,
    counted: Counted,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Any, list[Any]], None],
    told: str,
) -> None:
    """Shared by VMs, with snapshots, or on a controller that does not let it."""
    look = devices.look

    def changed(*asked: Any) -> Any:
        seen = look(*asked)
        found = list(seen["config.hardware.device"])
        change(next(disk for disk in devices.disks(found) if "BOSH_Disks" in devices.path_of(disk)), found)
        return {**seen, "config.hardware.device": found}

    monkeypatch.setattr(devices, "look", changed)

    def grow() -> None:
        with pytest.raises(errors.NotSupported, match=told):
            own.grow_attached_disk(vm_cid, disk_cid, _LARGER)

    assert counted(grow) == _LOOK


def test_a_first_class_disk_grows_if_the_vcenter_lets_it(vcenter: Lab, helper: Helper, vm_cid: VmCid) -> None:
    """By the catalogue of such disks; an old vCenter does not while it is attached, and says so."""
    with cpi.connect(vcenter.config(fcd=True)) as modern:
        assert isinstance(modern, VsphereCloud)
        cid = modern.create_disk(_SIZE, {})
        modern.attach_disk(vm_cid, cid)
        with pytest.raises(errors.NotSupported, match="does not let it grow while it is attached"):
            modern.grow_attached_disk(vm_cid, cid, _LARGER)
        done = Rule("ExtendDisk_Task", effects.answer(500, fault("NoDiskSpace").body), times=1)
        vcenter.proxy.inject(done)
        with pytest.raises(errors.NoDiskSpace):
            modern.grow_attached_disk(vm_cid, cid, _LARGER)
        modern.detach_disk(vm_cid, cid)
        modern.delete_disk(cid)
