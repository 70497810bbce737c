"""Disks on VMs."""

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import DiskHint
from cpi.kit import failures, private_files
from cpi_drivers.vsphere import naming
from cpi_drivers.vsphere.api import devices, policies
from cpi_drivers.vsphere.api.client import Reference, Step, vim
from cpi_drivers.vsphere.api.datacenter import Site
from cpi_drivers.vsphere.api.datacenters import Sites
from cpi_drivers.vsphere.api.datastores import CLUSTER_STEP, WANTED, Choice, Store, roomiest, stores_in
from cpi_drivers.vsphere.api.devices import Attached
from cpi_drivers.vsphere.api.errors import AnswerLost, Refused
from cpi_drivers.vsphere.disks import records
from cpi_drivers.vsphere.disks.first_class import FirstClass
from cpi_drivers.vsphere.disks.lifecycle import Disks
from cpi_drivers.vsphere.disks.vmdks import Vmdk, Vmdks

_log = logging.getLogger(__name__)

_ATTEMPTS: Final = 5
_REACHED: Final = {
    "host": Step(vim.VirtualMachine, "runtime.host", ("datastores",)),
    "datastores": Step(vim.HostSystem, "datastore", tuple(CLUSTER_STEP)),
    **CLUSTER_STEP,
}
# Another process was faster: the unit was free when we looked.
_UNIT_TAKEN: Final = frozenset({"InvalidDeviceSpec", "InvalidController", "ConcurrentAccess"})

_UNCLEAR: Final = "InvalidArgument"
"""As much, where the vCenter looks at the VM's properties first, of which each unit has one; or something else is wrong."""

_NOT_THERE: Final = frozenset({"InvalidDeviceSpec", "InvalidArgument"})
"""What a disk or a VM's property is not there any more is refused with."""

_Begin = Callable[[Mapping[str, Any], Any, int], Reference]
"""Begins to attach, by what was seen of the VM, its controller and a free unit; answers the task."""


class Attachments:
    """Disks on the SCSI controller of a VM; VMDKs are independent of its snapshots."""

    def __init__(self, sites: Sites, disks: Disks, first_class: FirstClass) -> None:
        self._sites = sites
        self._disks = disks
        self._first_class = first_class

    def attach(self, vm_cid: VmCid, disk_cid: DiskCid) -> DiskHint:
        """On the next free unit; moved to a datastore that fits first, if it is on none."""
        site, vm = self._sites.existing_vm(vm_cid)
        folder, name = Vmdks(site).folder, naming.disk_name(disk_cid).file
        with (
            private_files.one_at_a_time(site.client.folder, "vsphere-vm", vm_cid),
            private_files.one_at_a_time(site.client.folder, "vsphere-disk", name),
        ):
            seen, stores = self._look(site, vm)
            present = _on(seen, name, folder)
            if present is None:
                begin = self._ready(site, vm, vm_cid, disk_cid, stores)
                present = self._connect(site, vm, disk_cid, seen, begin)
        return _hint(present, seen)

    def detach(self, vm_cid: VmCid, disk_cid: DiskCid) -> None:
        """Its VMDK stays, under the name that it had."""
        site, vm = self._sites.existing_vm(vm_cid)
        with private_files.one_at_a_time(site.client.folder, "vsphere-vm", vm_cid):
            seen = self._seen(site, vm)
            attached = _on(seen, naming.disk_name(disk_cid).file, Vmdks(site).folder)
            if attached is None:
                self._disks.require(disk_cid)
                raise failures.not_attached(disk_cid, vm_cid)
            self.release(site, vm, [attached])

    def disks_of(self, vm_cid: VmCid) -> list[DiskCid]:
        """The persistent ones."""
        site, vm = self._sites.existing_vm(vm_cid)
        return [DiskCid(disk.cid) for disk in devices.persistent(self._seen(site, vm), Vmdks(site).folder)]

    def release(self, site: Site, vm: Reference, attached: Sequence[Attached]) -> None:
        """Take disks away from a VM, and put back under their names those that Storage vMotion has moved."""
        of_files = [disk for disk in attached if naming.fcd_id(disk.cid) is None]
        for disk in attached:
            if disk not in of_files:
                identity, what = vim.vslm.ID(id=naming.fcd_id(disk.cid)), f"detaching the disk {disk.cid}"
                site.client.done(vm, "DetachDisk_Task", what, if_lost=("NotFound",), diskId=identity)
        if of_files:
            self._release_vmdks(site, vm, of_files)

    # ------------------------------------------------------------------

    def _release_vmdks(self, site: Site, vm: Reference, attached: Sequence[Attached]) -> None:
        spec = vim.vm.ConfigSpec(deviceChange=[devices.removal(disk.device) for disk in attached])
        keys = [disk.property_key for disk in attached if disk.property_key is not None]
        if keys:
            spec.vAppConfig = vim.vApp.VmConfigSpec(property=[devices.forgetting(key) for key in keys])
        vmdks = Vmdks(site)
        for disk in attached:
            self._remember(vmdks, disk)
        try:
            site.client.done(vm, "ReconfigVM_Task", "detaching disks", if_lost=tuple(_NOT_THERE), spec=spec)
        except Refused as error:
            left = self._left(site, vm, attached)
            if error.fault not in _NOT_THERE or len(left) == len(attached):
                raise
            if left:
                self._release_vmdks(site, vm, left)
        for disk in attached:
            self._settle(vmdks, disk)

    def _left(self, site: Site, vm: Reference, attached: Sequence[Attached]) -> list[Attached]:
        """Those that are there yet: a call before this one, killed in the middle of it, may have taken some away meanwhile."""
        wanted = {disk.cid for disk in attached}
        return [disk for disk in devices.persistent(self._seen(site, vm), Vmdks(site).folder) if disk.cid in wanted]

    def _remember(self, vmdks: Vmdks, disk: Attached) -> None:
        """Where a disk is that Storage vMotion moved: the VM forgets it, and its new name says nothing."""
        name, store, home = _names(vmdks, disk)
        if disk.path != vmdks.path(store, name):
            record = records.read(vmdks.files, home, records.path_of(vmdks.folder, name))
            if disk.home != vmdks.path(store, name):
                vmdks.files.make_folder(f"[{store}] {vmdks.folder}")
            for place in {home, store}:
                vmdks.keep(place, name, msgspec.structs.replace(record, moved_to=disk.path))

    def _settle(self, vmdks: Vmdks, disk: Attached) -> None:
        """Under its own name on the datastore where it is, with a record that says that nothing has it."""
        name, store, home = _names(vmdks, disk)
        wanted = vmdks.path(store, name)
        if disk.path != wanted and not vmdks.lies_on(store, name):  # a vSAN tells another path of the same file
            vmdks.rename(disk.path, wanted)
        record = records.read(vmdks.files, home, records.path_of(vmdks.folder, name))
        vmdks.keep(store, name, msgspec.structs.replace(record, attached_to=None, moved_to=None))
        if store != home:
            vmdks.files.remove(f"[{home}] {records.path_of(vmdks.folder, name)}")

    def _look(self, site: Site, vm: Reference) -> tuple[Mapping[str, Any], list[Store]]:
        found = site.client.read([vm], {vim.VirtualMachine: devices.PATHS, **WANTED}, _REACHED)
        return devices.known(found[vm]), stores_in(found)

    def _seen(self, site: Site, vm: Reference) -> Mapping[str, Any]:
        return devices.look(site.client, vm)

    def _fitting(self, vmdks: Vmdks, disk_cid: DiskCid, stores: Sequence[Store]) -> Vmdk:
        """The VMDK where the VM's host reaches it and the request wants it. Raises DiskNotFound, NoDiskSpace."""
        vmdk = vmdks.existing(disk_cid, stores)
        pattern = naming.disk_name(disk_cid).pattern
        choice = Choice(pattern) if pattern else vmdks.site.disk_stores
        if vmdk.store.name in {store.name for store in stores} and (pattern is None or choice.fits(vmdk.store)):
            return vmdk
        policy = vmdks.refuse_attached(vmdk, "move it to where the VM reaches it").policy
        meant = policies.fitting(vmdks.site.client, policy, choice.of(stores))
        store = roomiest(meant, vmdk.size, f"the disk {disk_cid} on {vmdk.store.name} must move", choice)
        _log.info("the disk %s is moved from %s to %s", disk_cid, vmdk.store.name, store.name)
        return vmdks.move(vmdk, store)

    def _ready(self, site: Site, vm: Reference, vm_cid: VmCid, disk_cid: DiskCid, stores: Sequence[Store]) -> _Begin:
        prepare = self._first_class_ready if naming.fcd_id(disk_cid) else self._vmdk_ready
        try:
            return prepare(site, vm, vm_cid, disk_cid, stores)
        except errors.DiskNotFound as error:
            found = self._first_class.find(disk_cid) or self._disks.find(disk_cid)
            if found is None or found[0].site is site:
                raise
            place, other = (f"{one.datacenter.name} of {one.client.where.url}" for one in (site, found[0].site))
            told = f"the VM {vm_cid} is in the datacenter {place}, the disk {disk_cid} in {other}"
            raise errors.CloudError(f"{told}: a disk does not move from one to another") from error

    def _vmdk_ready(self, site: Site, vm: Reference, vm_cid: VmCid, disk_cid: DiskCid, stores: Sequence[Store]) -> _Begin:
        """Where the VM's host reaches it, with a record of who gets it. Raises CloudError if another VM has it."""
        vmdks = Vmdks(site)
        vmdk = self._fitting(vmdks, disk_cid, stores)
        record = vmdks.record_of(vmdk)
        holder = None if record.attached_to == vm_cid else vmdks.holder(vmdk, record)
        if holder is not None:
            raise errors.CloudError(f"the disk {disk_cid} is attached to the VM {holder}: detach it there first")
        vmdks.keep(vmdk.store.name, vmdk.name, msgspec.structs.replace(record, attached_to=str(vm_cid)))

        def begin(now: Mapping[str, Any], controller: Any, unit: int) -> Reference:
            change = devices.existing_disk(vmdk.path, vmdk.store.reference, controller, unit, record.policy)
            memory = devices.memory_of(disk_cid, vmdk.name, vmdk.path, unit, now)
            spec = vim.vm.ConfigSpec(deviceChange=[change], vAppConfig=vim.vApp.VmConfigSpec(property=[memory]))
            return site.client.call(vm, "ReconfigVM_Task", spec=spec)

        return begin

    def _first_class_ready(self, site: Site, vm: Reference, vm_cid: VmCid, disk_cid: DiskCid, stores: Sequence[Store]) -> _Begin:
        fcd = self._first_class.within_reach(site, disk_cid, stores)

        def begin(_: Mapping[str, Any], controller: Any, unit: int) -> Reference:
            place = {"controllerKey": controller.key, "unitNumber": unit, "datastore": fcd.store.reference}
            return site.client.call(vm, "AttachDisk_Task", diskId=vim.vslm.ID(id=fcd.id), **place)

        return begin

    def _connect(self, site: Site, vm: Reference, disk_cid: str, seen: Mapping[str, Any], begin: _Begin) -> Attached:
        """On a free unit, looked for anew each time that another call has taken it."""
        name, folder, now = naming.disk_name(disk_cid).file, Vmdks(site).folder, seen
        for _ in range(_ATTEMPTS):
            controller = devices.controller_of(now["config.hardware.device"])
            unit = devices.free_unit(now["config.hardware.device"], controller)
            unclear: Refused | None = None
            try:
                site.client.carried_out(functools.partial(begin, now, controller, unit), f"attaching the disk {disk_cid}")
            except AnswerLost:
                _log.info("attaching the disk %s: the answer was lost, looked again", disk_cid)
            except Refused as error:
                if error.fault not in _UNIT_TAKEN | {_UNCLEAR}:
                    raise _told(disk_cid, error) from error
                unclear = error if error.fault == _UNCLEAR else None
            else:
                if not seen.get("config.flags.diskUuidEnabled"):  # the UUID is known to the vCenter alone
                    return Attached(disk_cid, vim.vm.device.VirtualDisk(key=-1, unitNumber=unit), "", "", None)
            now = self._seen(site, vm)
            present = _on(now, name, folder)
            if present is not None:
                return present
            if unclear is not None and devices.free_unit(now["config.hardware.device"], controller) == unit:
                raise _told(disk_cid, unclear) from unclear
        raise errors.CloudError(f"the disk {disk_cid} could not be attached: other calls took each unit that was free")


def _on(seen: Mapping[str, Any], name: str, folder: str) -> Attached | None:
    found = (disk for disk in devices.persistent(seen, folder) if naming.disk_name(disk.cid).file == name)
    return next(found, None)


def _hint(attached: Attached, seen: Mapping[str, Any]) -> DiskHint:
    """By the UUID where the guest can see it, else by the unit."""
    uuid = getattr(attached.device.backing, "uuid", None)
    if seen.get("config.flags.diskUuidEnabled") and uuid:
        return DiskHint(id=str(uuid).lower())
    return DiskHint(device=str(attached.device.unitNumber))


def _names(vmdks: Vmdks, disk: Attached) -> tuple[str, str, str]:
    """Its own name, the datastore where it is, and that where its record is."""
    name, store = naming.disk_name(disk.cid).file, _datastore(disk.path)
    return name, store, store if disk.path == vmdks.path(store, name) else _datastore(disk.home)


def _datastore(path: str) -> str:
    return path.partition("[")[2].partition("]")[0]


def _told(disk_cid: str, error: Refused) -> errors.CloudError:
    if error.fault == "FileLocked":
        return errors.CloudError(f"the disk {disk_cid} cannot be attached, a VM has it: {error.said}")
    if error.fault in {"FileNotFound", "NotFound"}:
        return errors.DiskNotFound(f"the disk {disk_cid} does not exist: {error.said}")
    return errors.CloudError(f"the disk {disk_cid} cannot be attached: {error.message}")
