"""Disks that change: larger, of another type, on another datastore; in place or moved, never copied behind the caller's back."""

import msgspec

from cpi.contract import errors
from cpi.contract.ids import DiskCid
from cpi.contract.model import CloudProperties
from cpi.contract.units import MiB, bytes_from_mib
from cpi.kit import failures
from cpi.kit.settings import DISK_KEYS, read_cloud_properties
from cpi_drivers.vsphere import naming
from cpi_drivers.vsphere.api import policies
from cpi_drivers.vsphere.api.datastores import names_of, requested, roomiest
from cpi_drivers.vsphere.api.errors import Refused
from cpi_drivers.vsphere.disks.first_class import FirstClass
from cpi_drivers.vsphere.disks.lifecycle import Disks
from cpi_drivers.vsphere.disks.vmdks import Vmdk, Vmdks
from cpi_drivers.vsphere.properties import DiskProperties


class DiskChanges:
    """What vSphere can do to a VMDK without losing its data."""

    def __init__(self, disks: Disks, first_class: FirstClass, *, strict: bool) -> None:
        self._disks = disks
        self._first_class = first_class
        self._strict = strict

    def resize(self, disk_cid: DiskCid, size: MiB) -> None:
        """Grown when this returns."""
        if naming.fcd_id(disk_cid):
            self._first_class.resize(disk_cid, size)
            return
        vmdks, vmdk = self._disks.existing(disk_cid)
        vmdks.refuse_attached(vmdk, "resize it")
        self._grow(vmdks, vmdk, size)

    def update(self, disk_cid: DiskCid, size: MiB, cloud_properties: CloudProperties) -> DiskCid:
        """Of the requested size, type and place when this returns; the CID changes with the place that it remembers."""
        wanted = read_cloud_properties(DiskProperties, cloud_properties, strict=self._strict, ignored_keys=DISK_KEYS)
        if naming.fcd_id(disk_cid):
            return self._first_class.update(disk_cid, size, wanted)
        vmdks, vmdk = self._disks.existing(disk_cid)
        record = vmdks.refuse_attached(vmdk, "update it")
        if wanted.fcd:
            raise errors.NotSupported(f"the disk {disk_cid} cannot become a First Class Disk here: copy the data to a new disk")
        kind = wanted.type or vmdks.site.vcenter.default_disk_type
        present = record.kind or ("thin" if vmdk.is_thin else "preallocated")
        if kind == "thin" and present != "thin":
            raise errors.NotSupported(
                f"the disk {disk_cid} is {present} and cannot become thin in place: copy the data to a new disk"
            )
        _refuse_shrinking(vmdk, size)
        policy = policies.find(vmdks.site.client, wanted.storage_policy.name) if wanted.storage_policy else None
        vmdk = self._placed(vmdks, vmdk, wanted, policy)
        self._grow(vmdks, vmdk, size)
        if kind != present:
            self._convert(vmdks, vmdk, present, kind)
        if (kind, policy) != (present, record.policy):
            vmdks.keep(vmdk.store.name, vmdk.name, msgspec.structs.replace(record, kind=kind, policy=policy))
        return DiskCid(naming.disk_cid(vmdk.name, names_of(wanted.datastores, vmdks.stores)))

    def _placed(self, vmdks: Vmdks, vmdk: Vmdk, wanted: DiskProperties, policy: str | None) -> Vmdk:
        choice, client = requested(wanted.datastores) if wanted.datastores else vmdks.site.disk_stores, vmdks.site.client
        if choice.fits(vmdk.store) and policies.fitting(client, policy, [vmdk.store]):
            return vmdk
        what = f"the disk {vmdk.name} on {vmdk.store.name} must move"
        return vmdks.move(vmdk, roomiest(policies.fitting(client, policy, choice.of(vmdks.stores())), vmdk.size, what, choice))

    def _grow(self, vmdks: Vmdks, vmdk: Vmdk, size: MiB) -> None:
        _refuse_shrinking(vmdk, size)
        wanted = bytes_from_mib(size)
        if wanted == vmdk.size:
            return
        if not vmdk.is_thin and vmdk.store.free < wanted - vmdk.size:
            raise errors.NoDiskSpace(
                f"the disk {vmdk.name} cannot grow to {size} MiB: {vmdk.store.name} has {vmdk.store.free >> 20} MiB"
            )
        try:
            vmdks.grow(vmdk, size)
        except Refused as error:
            raise errors.NotSupported(f"the disk {vmdk.name} cannot grow here: {error.message}") from error

    def _convert(self, vmdks: Vmdks, vmdk: Vmdk, present: str, kind: str) -> None:
        if present == "thin":
            vmdks.fill(vmdk)
        elif kind == "eagerZeroedThick":
            vmdks.zero(vmdk)


def _refuse_shrinking(vmdk: Vmdk, size: MiB) -> None:
    if not vmdk.size:
        raise errors.NotSupported(f"the vCenter does not tell how large the disk {vmdk.name} is")
    if bytes_from_mib(size) < vmdk.size:
        raise failures.cannot_shrink(vmdk.name, vmdk.mib, size)
