"""Snapshots of disks: the vCenter's own of First Class Disks, else copies: VM snapshots leave independent disks out."""

from typing import Final

from cpi.contract import errors
from cpi.contract.ids import DiskCid, SnapshotCid
from cpi.contract.model import CallContext, Metadata
from cpi.kit.tagging import birth_tags, fitted
from cpi.kit.undo import Undo
from cpi_drivers.vsphere import naming
from cpi_drivers.vsphere.api.datacenters import Sites
from cpi_drivers.vsphere.api.errors import Refused
from cpi_drivers.vsphere.disks.first_class import FirstClass
from cpi_drivers.vsphere.disks.lifecycle import METADATA, Disks
from cpi_drivers.vsphere.disks.records import Record
from cpi_drivers.vsphere.disks.vmdks import Vmdk, Vmdks

_PREFIX: Final = "snapshot-"


class Snapshots:
    """VMDKs beside those of the disks."""

    def __init__(self, sites: Sites, disks: Disks, first_class: FirstClass, context: CallContext) -> None:
        self._sites = sites
        self._disks = disks
        self._first_class = first_class
        self._context = context

    def create(self, disk_cid: DiskCid, metadata: Metadata) -> SnapshotCid:
        """Raises CloudError for a VMDK that a running VM has locked."""
        if naming.fcd_id(disk_cid):
            return self._first_class.snapshot(disk_cid, metadata)
        vmdks, vmdk = self._disks.existing(disk_cid)
        if vmdk.store.free < vmdk.size:
            raise errors.NoDiskSpace(
                f"no snapshot of the disk {disk_cid}: it has {vmdk.mib} MiB, {vmdk.store.name} has {vmdk.store.free >> 20} MiB"
            )
        name = naming.name_of("snapshot", None)
        tags = {**birth_tags(self._context), **fitted(metadata, METADATA), "disk": str(disk_cid)}
        with Undo() as undo:
            undo.push(f"snapshot {name}", lambda: vmdks.remove(_copy(vmdks, vmdk, name)))
            self._copy(vmdks, vmdk, name)
            vmdks.keep(vmdk.store.name, name, Record(metadata=tags))
        return SnapshotCid(name)

    def delete(self, snapshot_cid: SnapshotCid) -> None:
        """Gone when this returns; what was not there is gone."""
        of_first_class = naming.fcd_snapshot(snapshot_cid)
        if of_first_class is not None:
            self._first_class.delete_snapshot(*of_first_class)
            return
        name = naming.disk_name(snapshot_cid)
        for site in self._sites if name.is_possible and name.file.startswith(_PREFIX) else ():
            vmdks = Vmdks(site)
            found = vmdks.find_named(snapshot_cid)
            if found is not None:
                vmdks.remove(found)
            else:
                vmdks.forget(name.file)

    def _copy(self, vmdks: Vmdks, vmdk: Vmdk, name: str) -> None:
        try:
            vmdks.copy(vmdk, name)
        except Refused as error:
            if error.fault != "FileLocked":
                raise
            raise errors.CloudError(
                f"no snapshot of {vmdk.name}: a running VM has locked it, and independent disks have no snapshots of their own; "
                f"stop the VM or detach the disk: {error.said}"
            ) from error


def _copy(vmdks: Vmdks, vmdk: Vmdk, name: str) -> Vmdk:
    return Vmdk(name, vmdk.store, vmdks.whole(vmdk.store, name), 0, is_thin=False, has_record=True)
