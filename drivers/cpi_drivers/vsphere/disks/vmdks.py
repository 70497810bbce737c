"""VMDKs: found by their names, whichever datastore they are on, and changed."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from cpi.contract import errors
from cpi.contract.units import MiB, bytes_from_mib, mib_from_bytes
from cpi.kit import failures
from cpi_drivers.vsphere import naming
from cpi_drivers.vsphere.api import devices
from cpi_drivers.vsphere.api.client import Reference, Step, vim
from cpi_drivers.vsphere.api.datacenter import Site
from cpi_drivers.vsphere.api.datastores import Choice, Store, all_of
from cpi_drivers.vsphere.api.errors import Refused
from cpi_drivers.vsphere.api.files import Files
from cpi_drivers.vsphere.disks import records
from cpi_drivers.vsphere.disks.records import Record

_KIB: Final = 10


class Vmdk(msgspec.Struct, frozen=True):
    """One that was found."""

    name: str
    """Without datastore, folder and ending."""

    store: Store
    path: str
    """`[datastore] folder/name.vmdk`."""

    size: int
    """Bytes; 0 if the vCenter did not tell."""

    is_thin: bool
    has_record: bool

    @property
    def mib(self) -> MiB:
        """Its size, in whole MiB."""
        return mib_from_bytes(self.size)


class Vmdks:
    """Those of one datacenter."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.files = Files(site.client, site)
        self.folder = site.datacenter.disk_path.strip("/")

    # ------------------------------------------------------------------ finding

    def find(self, cid: str, stores: Sequence[Store] | None = None) -> Vmdk | None:
        """Looked for where its CID and the configuration say, then on every other datastore of stores, or of the datacenter.

        Raises CloudError if it is found nowhere, and a datastore that it may be on cannot be reached.
        """
        name = naming.disk_name(cid)
        if not name.is_possible:
            return None
        choice = Choice(name.pattern) if name.pattern else self.site.disk_stores
        known = self.stores() if stores is None else stores
        likely = [store for store in known if choice.fits(store)]
        found = self._among(name.file, likely) or self._among(name.file, [store for store in known if store not in likely])
        if found is None and stores is not None:
            return self.find(cid)
        away = [store.name for store in likely if not store.reachable]
        if found is None and away:
            raise errors.CloudError(f"it cannot be known whether {cid} exists: no host reaches the datastore {', '.join(away)}")
        return found

    def find_named(self, name: str) -> Vmdk | None:
        """Looked for on every datastore at once."""
        return self._among(name, self.stores())

    def existing(self, cid: str, stores: Sequence[Store] | None = None) -> Vmdk:
        """Raises DiskNotFound."""
        found = self.find(cid, stores)
        if found is None:
            raise failures.no_such_disk(cid)
        return found

    def stores(self) -> list[Store]:
        """Every datastore of the datacenter."""
        return all_of(self.site.client, self.site.reference)

    def _among(self, name: str, stores: Sequence[Store]) -> Vmdk | None:
        reachable = [store for store in stores if store.reachable]
        hits = self.files.search(reachable, self.folder, [f"{name}.vmdk", f"{name}.json"]) if reachable else []
        recorded = {store.id for store, file in hits if file.path.endswith(".json")}
        for store, file in hits:
            if file.path.endswith(".vmdk"):
                size = (getattr(file, "capacityKb", 0) or 0) << _KIB
                thin = bool(getattr(file, "thin", None))
                return Vmdk(name, store, self.whole(store, name), size, thin, store.id in recorded)
        moved = (self._moved(name, store) for store, _ in hits)
        return next((vmdk for vmdk in moved if vmdk is not None), None)

    def _moved(self, name: str, home: Store) -> Vmdk | None:
        """One that Storage vMotion has taken elsewhere while it was attached: its record stayed."""
        record = self.record_at(home, name)
        vm = self.site.vm_anywhere(record.attached_to) if record.attached_to else None
        if vm is not None:
            seen = devices.look(self.site.client, vm)
            for disk in devices.persistent(seen, self.folder):
                if naming.disk_name(disk.cid).file == name:
                    return Vmdk(name, home, disk.path, disk.device.capacityInKB << _KIB, is_thin=False, has_record=True)
        return self._between(name, record.moved_to) if record.moved_to else None

    def _between(self, name: str, moved_to: str) -> Vmdk | None:
        """One that a call has taken from a VM and died: before the disk had its own name again, or right after that."""
        store = next((store for store in self.stores() if moved_to.startswith(f"[{store.name}] ")), None)
        if store is None:
            raise errors.CloudError(f"the disk {name} was at {moved_to}, a datastore that is not in the datacenter any more")
        for path in (self.whole(store, name), moved_to):
            folder, _, file = path.partition("] ")[2].rpartition("/")
            if self.files.search([store], folder, [file]):
                return Vmdk(name, store, path, 0, is_thin=False, has_record=True)
        return None

    # ------------------------------------------------------------------ who has it

    def whole(self, store: Store, name: str) -> str:
        """The path of a VMDK."""
        return self.path(store.name, name)

    def path(self, store: str, name: str) -> str:
        """That of a VMDK on a datastore of which the name is known."""
        return f"[{store}] {self.folder}/{name}.vmdk"

    def lies_on(self, store: str, name: str) -> bool:
        """Whether a VMDK is there under its own name."""
        there = [one for one in self.stores() if one.name == store]
        return bool(self.files.search(there, self.folder, [f"{name}.vmdk"]))

    def record_of(self, vmdk: Vmdk) -> Record:
        """What is known of it."""
        return self.record_at(vmdk.store, vmdk.name) if vmdk.has_record else Record()

    def record_at(self, store: Store, name: str) -> Record:
        """What is known of a VMDK of this name."""
        return records.read(self.files, store.name, records.path_of(self.folder, name))

    def keep(self, store: str, name: str, record: Record) -> None:
        """Write down what is known."""
        records.write(self.files, store, records.path_of(self.folder, name), record)

    def holder(self, vmdk: Vmdk, record: Record) -> str | None:
        """The VM that has it."""
        if not vmdk.has_record:
            return self._foreign_holder(vmdk)
        vm = self.site.vm_anywhere(record.attached_to) if record.attached_to else None
        if vm is None:
            return None
        seen = devices.look(self.site.client, vm)
        attached = {naming.disk_name(disk.cid).file for disk in devices.persistent(seen, self.folder)}
        return record.attached_to if vmdk.name in attached else None

    def _foreign_holder(self, vmdk: Vmdk) -> str | None:
        """Another CPI may have attached it: only the VMs of its datastore can tell, and all of them are asked, in one call."""
        steps = {"VMs of a datastore": Step(vim.Datastore, "vm")}
        found = self.site.client.read([vmdk.store.reference], {vim.VirtualMachine: ("name", "config.hardware.device")}, steps)
        for seen in found.values():
            paths = {devices.path_of(disk) for disk in devices.disks(seen.get("config.hardware.device", ()))}
            names = {path.rpartition("/")[2] for path in paths}  # a vSAN tells another folder of the same file
            if vmdk.path in paths or f"{vmdk.name}.vmdk" in names:
                name: str = seen["name"]
                return name
        return None

    def refuse_attached(self, vmdk: Vmdk, wanted: str) -> Record:
        """Raises CloudError, naming the VM that has it; the record if none has."""
        record = self.record_of(vmdk)
        holder = self.holder(vmdk, record)
        if holder is not None:
            raise errors.CloudError(f"the disk {vmdk.name} is attached to the VM {holder}: detach it to {wanted}")
        return record

    # ------------------------------------------------------------------ changing

    def make(self, name: str, store: Store, size: MiB, kind: str, policy: str | None) -> None:
        """An empty one; the folder too, if it is the first there. Whole already if the call is a repeat."""
        spec = _disk_spec(kind, size, policy)
        arguments = {"name": self.whole(store, name), "datacenter": self.site.reference, "spec": spec}
        try:
            self._manage("CreateVirtualDisk_Task", f"making the disk {name}", ("FileAlreadyExists",), **arguments)
        except Refused as error:
            if error.fault not in {"FileNotFound", "CannotCreateFile", "InvalidDatastorePath"}:
                raise
            self.files.make_folder(f"[{store.name}] {self.folder}")
            self._manage("CreateVirtualDisk_Task", f"making the disk {name}", ("FileAlreadyExists",), **arguments)

    def remove(self, vmdk: Vmdk) -> None:
        """With its record. Raises CloudError if something has it."""
        try:
            arguments = {"name": vmdk.path, "datacenter": self.site.reference}
            self._manage("DeleteVirtualDisk_Task", f"removing {vmdk.path}", ("FileNotFound",), **arguments)
        except Refused as error:
            if error.fault == "FileLocked":
                raise errors.CloudError(f"the disk {vmdk.name} is in use by a VM and cannot be deleted: {error.said}") from error
            if error.fault != "FileNotFound":
                raise
        self.files.remove(f"[{vmdk.store.name}] {records.path_of(self.folder, vmdk.name)}")

    def forget(self, name: str) -> None:
        """The record of a VMDK that is gone: the call that removed the VMDK may have failed at it."""
        for store, _ in self.files.search([one for one in self.stores() if one.reachable], self.folder, [f"{name}.json"]):
            if self.record_at(store, name).moved_to is None:
                self.files.remove(f"[{store.name}] {records.path_of(self.folder, name)}")

    def copy(self, vmdk: Vmdk, name: str) -> None:
        """On the same datastore. Raises CloudError if a running VM has it."""
        there = self.site.reference
        places = {
            "sourceName": vmdk.path,
            "sourceDatacenter": there,
            "destName": self.whole(vmdk.store, name),
            "destDatacenter": there,
        }
        self._manage("CopyVirtualDisk_Task", f"copying {vmdk.path}", ("FileAlreadyExists",), force=False, **places)

    def move(self, vmdk: Vmdk, store: Store) -> Vmdk:
        """To another datastore, with its record. Raises NoDiskSpace before anything is touched."""
        if store.free < vmdk.size:
            raise errors.NoDiskSpace(
                f"the disk {vmdk.name} cannot move to {store.name}: it has {vmdk.mib} MiB, there are {store.free >> 20} MiB"
            )
        self.files.make_folder(f"[{store.name}] {self.folder}")
        moved = msgspec.structs.replace(vmdk, store=store, path=self.whole(store, vmdk.name))
        record = self.record_of(vmdk)
        self.rename(vmdk.path, moved.path)
        if vmdk.has_record:
            self.keep(store.name, vmdk.name, record)
            self.files.remove(f"[{vmdk.store.name}] {records.path_of(self.folder, vmdk.name)}")
        return moved

    def rename(self, path: str, to: str) -> None:
        """A VMDK that nothing has."""
        there = self.site.reference
        places = {"sourceName": path, "sourceDatacenter": there, "destName": to, "destDatacenter": there}
        self._manage("MoveVirtualDisk_Task", f"moving {path}", ("FileNotFound", "FileAlreadyExists"), force=False, **places)

    def grow(self, vmdk: Vmdk, size: MiB) -> None:
        """Larger, in place."""
        arguments = {"name": vmdk.path, "datacenter": self.site.reference, "newCapacityKb": bytes_from_mib(size) >> _KIB}
        self._manage("ExtendVirtualDisk_Task", f"growing {vmdk.path}", ("InvalidArgument",), eagerZero=False, **arguments)

    def fill(self, vmdk: Vmdk) -> None:
        """A thin one gets all the room that it may need."""
        self._manage("InflateVirtualDisk_Task", f"inflating {vmdk.path}", (), name=vmdk.path, datacenter=self.site.reference)

    def zero(self, vmdk: Vmdk) -> None:
        """All of it that was not written yet is written."""
        self._manage("EagerZeroVirtualDisk_Task", f"zeroing {vmdk.path}", (), name=vmdk.path, datacenter=self.site.reference)

    def _manage(self, operation: str, what: str, if_lost: Sequence[str], **arguments: Any) -> None:
        manager: Reference = self.site.client.manager("virtualDiskManager")
        try:
            self.site.client.done(manager, operation, what, if_lost=if_lost, **arguments)
        except Refused as error:
            if error.is_no_room:
                raise errors.NoDiskSpace(error.message) from error
            raise


def _disk_spec(kind: str, size: MiB, policy: str | None) -> Any:
    return vim.VirtualDiskManager.FileBackedVirtualDiskSpec(
        diskType=kind, adapterType="lsiLogic", capacityKb=bytes_from_mib(size) >> _KIB, profile=devices.profiles(policy)
    )
