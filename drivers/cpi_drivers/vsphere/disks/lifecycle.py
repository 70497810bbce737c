"""Disks by themselves: made, found, deleted, described."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import CallContext, CloudProperties, Metadata
from cpi.contract.units import MiB, bytes_from_mib
from cpi.kit import failures, private_files
from cpi.kit.settings import DISK_KEYS, read_cloud_properties
from cpi.kit.tagging import Limits, birth_tags, fitted
from cpi.kit.undo import Undo
from cpi_drivers.vsphere import naming
from cpi_drivers.vsphere.api import policies
from cpi_drivers.vsphere.api.client import Step, vim
from cpi_drivers.vsphere.api.datacenters import Sites
from cpi_drivers.vsphere.api.datastores import CLUSTER_STEP, WANTED, Store, names_of, requested, roomiest, stores_in
from cpi_drivers.vsphere.api.errors import Refused
from cpi_drivers.vsphere.disks.fcds import Fcds
from cpi_drivers.vsphere.disks.first_class import FirstClass, describe
from cpi_drivers.vsphere.disks.records import Record
from cpi_drivers.vsphere.disks.vmdks import Vmdk, Vmdks
from cpi_drivers.vsphere.properties import DiskProperties

METADATA = Limits(key=255, value=1000, number=100)
_NEAR: Final = {
    "host": Step(vim.VirtualMachine, "runtime.host", ("datastores",)),
    "datastores": Step(vim.HostSystem, "datastore", tuple(CLUSTER_STEP)),
    "folder": Step(vim.VirtualMachine, "parent", ("above",)),
    "above": Step(vim.Folder, "parent", ("above",)),
    **CLUSTER_STEP,
}
"""From a VM to the datastores that its host reaches, and to its datacenter."""


class Order(NamedTuple):
    """A disk that shall be made."""

    name: str
    size: MiB
    kind: str
    policy: str | None
    token: str | None


class Disks:
    """Persistent disks: VMDKs in a folder of their own."""

    def __init__(self, sites: Sites, first_class: FirstClass, context: CallContext, *, strict: bool) -> None:
        self._sites = sites
        self._first_class = first_class
        self._context = context
        self._strict = strict

    def create(self, size: MiB, cloud_properties: CloudProperties, vm_cid: VmCid | None, token: str | None) -> DiskCid:
        """An empty disk on the roomiest datastore that is meant."""
        wanted = read_cloud_properties(DiskProperties, cloud_properties, strict=self._strict, ignored_keys=DISK_KEYS)
        vmdks, stores = self._near(vm_cid)
        vcenter, client = vmdks.site.vcenter, vmdks.site.client
        is_first_class = not wanted.name and (vcenter.fcd if wanted.fcd is None else wanted.fcd)
        name = wanted.name or naming.name_of(naming.FCD_FILE if is_first_class else "disk", token)
        choice = requested(wanted.datastores) if wanted.datastores else vmdks.site.disk_stores
        policy = policies.find(client, wanted.storage_policy.name) if wanted.storage_policy else None
        order = Order(name, size, wanted.type or vcenter.default_disk_type, policy, token)
        with private_files.one_at_a_time(client.folder, "vsphere-token", token):
            meant = choice.of(stores)
            store, is_new = self._where(vmdks, name, meant) if token or wanted.name else None, False
            if store is None:
                store = roomiest(policies.fitting(client, policy, meant), bytes_from_mib(size), f"no disk of {size} MiB", choice)
                is_new = self._make(vmdks, store, order)
            if is_first_class:
                return self._registered(vmdks, store, order, wanted, is_new=is_new)
        return DiskCid(naming.disk_cid(name, names_of(wanted.datastores, lambda: stores)))

    def delete(self, disk_cid: DiskCid) -> None:
        """Gone when this returns; what was not there is gone."""
        if naming.fcd_id(disk_cid):
            self._first_class.delete(disk_cid)
            return
        found = self.find(disk_cid)
        if found is None:
            name = naming.disk_name(disk_cid)
            for site in self._sites if name.is_possible else ():
                Vmdks(site).forget(name.file)
            return
        vmdks, vmdk = found
        vmdks.refuse_attached(vmdk, "delete it")
        vmdks.remove(vmdk)

    def has(self, disk_cid: DiskCid) -> bool:
        """On any datastore of the configuration's datacenters."""
        return (self._first_class.find(disk_cid) or self.find(disk_cid)) is not None

    def require(self, disk_cid: str) -> tuple[Store, int]:
        """Where it is, and its bytes. Raises DiskNotFound."""
        _, disk = self._first_class.existing(disk_cid) if naming.fcd_id(disk_cid) else self.existing(disk_cid)
        return disk.store, disk.size

    def set_metadata(self, disk_cid: DiskCid, metadata: Metadata) -> None:
        """Added to what is there."""
        if naming.fcd_id(disk_cid):
            self._first_class.set_metadata(disk_cid, metadata)
            return
        vmdks, vmdk = self.existing(disk_cid)
        with private_files.one_at_a_time(vmdks.site.client.folder, "vsphere-disk", vmdk.name):
            record = vmdks.record_of(vmdk)
            own = fitted(metadata, METADATA, present=record.metadata)
            vmdks.keep(vmdk.store.name, vmdk.name, msgspec.structs.replace(record, metadata={**record.metadata, **own}))

    def metadata(self, disk_cid: DiskCid) -> dict[str, str]:
        """What is there."""
        if naming.fcd_id(disk_cid):
            return self._first_class.metadata(disk_cid)
        vmdks, vmdk = self.existing(disk_cid)
        return dict(vmdks.record_of(vmdk).metadata)

    def find(self, disk_cid: str) -> tuple[Vmdks, Vmdk] | None:
        """Where a VMDK is; None also for the CID of a First Class Disk."""
        for site in self._sites if naming.fcd_id(disk_cid) is None else ():
            vmdks = Vmdks(site)
            vmdk = vmdks.find(disk_cid)
            if vmdk is not None:
                return vmdks, vmdk
        return None

    def existing(self, disk_cid: str) -> tuple[Vmdks, Vmdk]:
        """Raises DiskNotFound."""
        found = self.find(disk_cid)
        if found is None:
            raise failures.no_such_disk(disk_cid)
        return found

    def _near(self, vm_cid: VmCid | None) -> tuple[Vmdks, Sequence[Store]]:
        """The datastores that the VM's host reaches; every one of the first datacenter, if there is no VM."""
        if vm_cid is None:
            vmdks = Vmdks(self._sites.first)
            return vmdks, vmdks.stores()
        site, vm = self._sites.existing_vm(vm_cid)
        found = site.client.read([vm], {**WANTED, vim.Datacenter: ("name",)}, _NEAR)
        site.is_in(found)
        return Vmdks(site), stores_in(found)

    def _where(self, vmdks: Vmdks, name: str, stores: Sequence[Store]) -> Store | None:
        hits = vmdks.files.search(list(stores), vmdks.folder, [f"{name}.vmdk"]) if stores else []
        return hits[0][0] if hits else None

    def _make(self, vmdks: Vmdks, store: Store, order: Order) -> bool:
        """Whether it was made here: another process may have been faster with this name."""
        with Undo() as undo:
            undo.push(f"disk {order.name}", lambda: self._remove(vmdks, order.name, store))
            try:
                vmdks.make(order.name, store, order.size, order.kind, order.policy)
            except Refused as error:
                if error.fault != "FileAlreadyExists":
                    raise
                return False  # it is not ours to change, or to remove
            if not order.name.startswith(naming.FCD_FILE):
                record = Record(kind=order.kind, policy=order.policy, metadata=birth_tags(self._context, order.token))
                vmdks.keep(store.name, order.name, record)
        return True

    def _registered(self, vmdks: Vmdks, store: Store, order: Order, wanted: DiskProperties, *, is_new: bool) -> DiskCid:
        """A First Class Disk of a VMDK: a datastore takes its name once, so that a repeat ends with the same disk."""
        fcds = Fcds(vmdks.site)
        with Undo() as undo:
            if is_new:
                undo.push(f"disk {order.name}", lambda: self._remove(vmdks, order.name, store))
            fcd = fcds.register(store, vmdks.folder, order.name)
            if is_new:
                undo.push(f"disk {fcd.id}", lambda: fcds.remove(fcd))
            describe(fcds, fcd, wanted, order.policy)
        return DiskCid(naming.fcd_cid(fcd.id))

    def _remove(self, vmdks: Vmdks, name: str, store: Store) -> None:
        vmdks.remove(Vmdk(name, store, vmdks.whole(store, name), 0, is_thin=False, has_record=True))
