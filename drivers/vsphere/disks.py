"""Disks by themselves: made, found, deleted, described."""

from collections.abc import Sequence

import msgspec

from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import CallContext, CloudProperties, Metadata
from cpi.contract.units import MiB, bytes_from_mib
from cpi.kit import private_files
from cpi.kit.settings import read_cloud_properties
from cpi.kit.tagging import Limits, birth_tags, fitted
from cpi.kit.undo import Undo
from drivers.vsphere import naming
from drivers.vsphere.client import Step, vim
from drivers.vsphere.errors import Refused
from drivers.vsphere.properties import DiskProperties
from drivers.vsphere.records import Record
from drivers.vsphere.sites import Sites
from drivers.vsphere.stores import CLUSTER_STEP, WANTED, Store, named, roomiest, stores_in
from drivers.vsphere.vmdks import Vmdk, Vmdks

METADATA = Limits(key=255, value=1000, number=100)


class Disks:
    """Persistent disks: VMDKs in a folder of their own."""

    def __init__(self, sites: Sites, context: CallContext, *, strict: bool) -> None:
        self._sites = sites
        self._context = context
        self._strict = strict

    def create(self, size: MiB, cloud_properties: CloudProperties, vm_cid: VmCid | None, token: str | None) -> DiskCid:
        """An empty disk on the roomiest datastore that is meant."""
        if size <= 0:
            raise errors.CpiError(f"a disk has at least 1 MiB, not {size}")
        wish = read_cloud_properties(DiskProperties, cloud_properties, strict=self._strict)
        vmdks, stores = self._near(vm_cid)
        name = wish.name or naming.name_of("disk", token)
        choice = named(wish.datastores) if wish.datastores else vmdks.site.disk_stores
        with private_files.one_at_a_time(vmdks.site.client.folder, "vsphere-token", token):
            meant = choice.of(stores)
            if not (token or wish.name) or not self._is_there(vmdks, name, meant):
                store = roomiest(meant, bytes_from_mib(size), f"no disk of {size} MiB", choice)
                self._make(vmdks, name, store, size, wish.type or vmdks.site.vcenter.default_disk_type, token)
        return DiskCid(naming.disk_cid(name, wish.datastores))

    def delete(self, disk_cid: DiskCid) -> None:
        """Gone when this returns; what was not there is gone."""
        found = self.find(disk_cid)
        if found is None:
            return
        vmdks, vmdk = found
        vmdks.refuse_attached(vmdk, "delete it")
        vmdks.remove(vmdk)

    def has(self, disk_cid: DiskCid) -> bool:
        """On any datastore of the configuration's datacenters."""
        return self.find(disk_cid) is not None

    def set_metadata(self, disk_cid: DiskCid, metadata: Metadata) -> None:
        """Added to what is there."""
        vmdks, vmdk = self.existing(disk_cid)
        with private_files.one_at_a_time(vmdks.site.client.folder, "vsphere-disk", vmdk.name):
            record = vmdks.record_of(vmdk)
            own = fitted(metadata, METADATA, present=record.metadata)
            vmdks.keep(vmdk.store.name, vmdk.name, msgspec.structs.replace(record, metadata={**record.metadata, **own}))

    def find(self, disk_cid: str) -> tuple[Vmdks, Vmdk] | None:
        """Where a disk is."""
        for site in self._sites:
            vmdks = Vmdks(site)
            vmdk = vmdks.find(disk_cid)
            if vmdk is not None:
                return vmdks, vmdk
        return None

    def existing(self, disk_cid: str) -> tuple[Vmdks, Vmdk]:
        """Raises DiskNotFound."""
        found = self.find(disk_cid)
        if found is None:
            raise errors.DiskNotFound(f"the disk {disk_cid} does not exist")
        return found

    def _near(self, vm_cid: VmCid | None) -> tuple[Vmdks, Sequence[Store]]:
        """The datastores that the VM's host reaches; every one of the first datacenter, if there is no VM."""
        if vm_cid is None:
            vmdks = Vmdks(self._sites.first)
            return vmdks, vmdks.stores()
        site, vm = self._sites.existing_vm(vm_cid)
        steps = {
            "host": Step(vim.VirtualMachine, "runtime.host", ("datastores",)),
            "datastores": Step(vim.HostSystem, "datastore", tuple(CLUSTER_STEP)),
            **CLUSTER_STEP,
        }
        return Vmdks(site), stores_in(site.client.read([vm], WANTED, steps))

    def _is_there(self, vmdks: Vmdks, name: str, stores: Sequence[Store]) -> bool:
        return bool(stores) and bool(vmdks.files.search(list(stores), vmdks.folder, [f"{name}.vmdk"]))

    def _make(self, vmdks: Vmdks, name: str, store: Store, size: MiB, kind: str, token: str | None) -> None:
        with Undo() as undo:
            undo.push(f"disk {name}", lambda: self._remove(vmdks, name, store))
            try:
                vmdks.make(name, store, size, kind)
            except Refused as error:
                if error.fault != "FileAlreadyExists":
                    raise
                return  # another process was faster with this name: its disk is not ours to change, or to remove
            vmdks.keep(store.name, name, Record(kind=kind, metadata=birth_tags(self._context, token)))

    def _remove(self, vmdks: Vmdks, name: str, store: Store) -> None:
        vmdks.remove(Vmdk(name, store, vmdks.whole(store, name), 0, is_thin=False, has_record=True))
