"""Disks that grow while a VM uses them: the VM's own configuration is changed, for its host has the VMDK open."""

from typing import Any, Final

from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.units import MiB, bytes_from_mib, mib_from_bytes
from cpi.kit import failures, private_files
from cpi_drivers.vsphere import naming
from cpi_drivers.vsphere.api import devices
from cpi_drivers.vsphere.api.client import Reference, vim
from cpi_drivers.vsphere.api.datacenter import Site
from cpi_drivers.vsphere.api.datacenters import Sites
from cpi_drivers.vsphere.api.devices import Attached
from cpi_drivers.vsphere.api.errors import Refused
from cpi_drivers.vsphere.disks.fcds import Fcds
from cpi_drivers.vsphere.disks.lifecycle import Disks
from cpi_drivers.vsphere.disks.vmdks import Vmdks

_KIB: Final = 10
_SHARED: Final = "sharingMultiWriter"


class AttachedGrowth:
    """Grows what is attached."""

    def __init__(self, sites: Sites, disks: Disks) -> None:
        self._sites = sites
        self._disks = disks

    def grow(self, vm_cid: VmCid, disk_cid: DiskCid, size: MiB) -> None:
        """Grown when this returns; the guest may have to look before it sees it."""
        site, vm = self._sites.existing_vm(vm_cid)
        with private_files.one_at_a_time(site.client.folder, "vsphere-vm", vm_cid):
            seen = devices.look(site.client, vm)
            name = naming.disk_name(disk_cid).file
            found = (one for one in devices.persistent(seen, Vmdks(site).folder) if naming.disk_name(one.cid).file == name)
            disk = next(found, None)
            if disk is None:
                self._disks.require(disk_cid)
                raise failures.not_attached(disk_cid, vm_cid)
            if _is_to_grow(disk, size):
                _refuse_what_cannot(disk, seen)
                self._extend(site, vm, disk, size)

    def _extend(self, site: Site, vm: Reference, disk: Attached, size: MiB) -> None:
        try:
            if naming.fcd_id(disk.cid):
                self._extend_first_class(site, disk, size)
            else:
                self._extend_device(site, vm, disk, size)
        except Refused as error:
            if error.is_no_room:
                raise errors.NoDiskSpace(f"the disk {disk.cid} cannot grow to {size} MiB: {error.message}") from error
            why = "the vCenter does not let it grow while it is attached (one with snapshots never can)"
            raise errors.NotSupported(f"the disk {disk.cid} cannot grow: {why}: {error.message}") from error

    def _extend_device(self, site: Site, vm: Reference, disk: Attached, size: MiB) -> None:
        device = disk.device
        device.capacityInBytes = bytes_from_mib(size)
        device.capacityInKB = device.capacityInBytes >> _KIB
        change = vim.vm.device.VirtualDeviceSpec(operation="edit", device=device)
        spec = vim.vm.ConfigSpec(deviceChange=[change])
        site.client.done(vm, "ReconfigVM_Task", f"growing the disk {disk.cid}", if_lost=("InvalidDeviceSpec",), spec=spec)

    def _extend_first_class(self, site: Site, disk: Attached, size: MiB) -> None:
        """By the vCenter's catalogue of such disks, which would not hear of a change of the VM."""
        fcds = Fcds(site)
        fcd = fcds.find(str(naming.fcd_id(disk.cid)))
        if fcd is None:
            raise failures.no_such_disk(disk.cid)
        fcds.grow(fcd, size)


def _is_to_grow(disk: Attached, size: MiB) -> bool:
    present = disk.device.capacityInKB << _KIB
    if bytes_from_mib(size) < present:
        raise failures.cannot_shrink(disk.cid, mib_from_bytes(present), size)
    return bool(bytes_from_mib(size) > present)


def _refuse_what_cannot(disk: Attached, seen: Any) -> None:
    """Raises NotSupported before anything is touched."""
    backing = disk.device.backing
    if getattr(backing, "sharing", None) == _SHARED:
        raise errors.NotSupported(f"the disk {disk.cid} is shared between VMs (multi-writer): it cannot grow while they use it")
    if getattr(backing, "parent", None) is not None:
        raise errors.NotSupported(f"the disk {disk.cid} has snapshots: it can grow once they are deleted")
    controllers = {one.key: one for one in seen["config.hardware.device"]}
    controller = controllers.get(disk.device.controllerKey)
    fixed = (vim.vm.device.VirtualSATAController, vim.vm.device.VirtualIDEController)
    if isinstance(controller, fixed) and seen.get("runtime.powerState") == "poweredOn":
        kind = "SATA" if isinstance(controller, vim.vm.device.VirtualSATAController) else "IDE"
        raise errors.NotSupported(
            f"the disk {disk.cid} is on a {kind} controller, where disks do not grow while the VM runs: attach it to SCSI"
        )
