"""Persistent disks that are First Class Disks: found, changed, described, deleted, and their snapshots."""

import json
from collections.abc import Sequence
from typing import Final

from cpi.contract import errors
from cpi.contract.ids import DiskCid, SnapshotCid
from cpi.contract.model import CallContext, Metadata
from cpi.contract.units import MiB, bytes_from_mib
from cpi.kit import failures
from cpi.kit.tagging import Limits, birth_tags, fitted
from cpi_drivers.vsphere import naming
from cpi_drivers.vsphere.api import datastores, policies
from cpi_drivers.vsphere.api.datacenter import Site
from cpi_drivers.vsphere.api.datacenters import Sites
from cpi_drivers.vsphere.api.datastores import Choice, Store, names_of, requested, roomiest
from cpi_drivers.vsphere.api.errors import Refused
from cpi_drivers.vsphere.disks.fcds import POLICY, STORES, Fcd, Fcds
from cpi_drivers.vsphere.properties import DiskProperties

_METADATA: Final = Limits(key=255, value=1000, number=100)
_DESCRIPTION: Final = Limits(key=40, value=100, number=20)


class FirstClass:
    """By the CIDs that say that they are."""

    def __init__(self, sites: Sites, context: CallContext) -> None:
        self._sites = sites
        self._context = context

    def find(self, disk_cid: str) -> tuple[Fcds, Fcd] | None:
        """Where a disk is; None also for the CID of a VMDK."""
        identity = naming.fcd_id(disk_cid)
        for site in self._sites if identity is not None else ():
            fcds = Fcds(site)
            fcd = fcds.find(str(identity))
            if fcd is not None:
                return fcds, fcd
        return None

    def existing(self, disk_cid: str) -> tuple[Fcds, Fcd]:
        """Raises DiskNotFound."""
        found = self.find(disk_cid)
        if found is None:
            raise failures.no_such_disk(disk_cid)
        return found

    def delete(self, disk_cid: DiskCid) -> None:
        """Gone when this returns; what was not there is gone. Its snapshots hold it: raises CloudError while it has any."""
        found = self.find(disk_cid)
        if found is None:
            return
        fcds, fcd = found
        fcds.refuse_attached(fcd, "delete it")
        left = [naming.fcd_snapshot_cid(one.id.id, fcd.id) for one in fcds.snapshots(fcd)]
        if left:
            raise errors.CloudError(f"the disk {disk_cid} has snapshots, which would go with it: delete {', '.join(left)} first")
        fcds.remove(fcd)

    def set_metadata(self, disk_cid: DiskCid, metadata: Metadata) -> None:
        """Added to what is there."""
        fcds, fcd = self.existing(disk_cid)
        born = birth_tags(self._context)
        fcds.keep(fcd, {**born, **fitted(metadata, _METADATA, present={**fcd.metadata, **born})})

    def metadata(self, disk_cid: DiskCid) -> dict[str, str]:
        """What is there."""
        _, fcd = self.existing(disk_cid)
        return dict(fcd.metadata)

    def within_reach(self, site: Site, disk_cid: DiskCid, near: Sequence[Store]) -> Fcd:
        """On a datastore of near that fits, moved there if it must be.

        Raises DiskNotFound, NoDiskSpace, and CloudError if a VM has it.
        """
        fcds = Fcds(site)
        fcd = fcds.find(str(naming.fcd_id(disk_cid)), near)
        if fcd is None:
            raise failures.no_such_disk(disk_cid)
        fcds.refuse_attached(fcd, "attach it to another")
        fcds.protect(fcd)
        pattern = fcd.metadata.get(STORES)
        choice = Choice(pattern) if pattern else site.disk_stores
        if fcd.store.id in {store.id for store in near} and (pattern is None or choice.fits(fcd.store)):
            return fcd
        policy = fcd.metadata.get(POLICY)
        return fcds.move(fcd, best(fcds, fcd, choice.of(near), choice, policy), policy)

    # ------------------------------------------------------------------ changes

    def resize(self, disk_cid: DiskCid, size: MiB) -> None:
        """Grown when this returns."""
        fcds, fcd = self.existing(disk_cid)
        fcds.refuse_attached(fcd, "resize it")
        _refuse_shrinking(fcd, size)
        self._grow(fcds, fcd, size)

    def update(self, disk_cid: DiskCid, size: MiB, wanted: DiskProperties) -> DiskCid:
        """Of the requested size, type, place and policy when this returns; its CID stays."""
        fcds, fcd = self.existing(disk_cid)
        fcds.refuse_attached(fcd, "update it")
        vcenter = fcds.site.vcenter
        if wanted.fcd is False:
            raise errors.NotSupported(f"the disk {disk_cid} cannot become a plain VMDK in place: copy the data to a new disk")
        kind = wanted.type or vcenter.default_disk_type
        _refuse_shrinking(fcd, size)
        _refuse_type(fcd, kind)
        policy = policies.find(fcds.site.client, wanted.storage_policy.name) if wanted.storage_policy else None
        fcd = self._placed(fcds, fcd, wanted, policy)
        if policy != fcd.metadata.get(POLICY):
            fcds.set_policy(fcd, policy)
        self._grow(fcds, fcd, size)
        if fcd.kind == "thin" and kind != "thin":
            fcds.fill(fcd)
        describe(fcds, fcd, wanted, policy)
        return disk_cid

    def _placed(self, fcds: Fcds, fcd: Fcd, wanted: DiskProperties, policy: str | None) -> Fcd:
        choice = requested(wanted.datastores) if wanted.datastores else fcds.site.disk_stores
        if choice.fits(fcd.store) and policies.fitting(fcds.site.client, policy, [fcd.store]):
            return fcd
        known = choice.of(datastores.all_of(fcds.site.client, fcds.site.reference))
        return fcds.move(fcd, best(fcds, fcd, known, choice, policy), policy)

    def _grow(self, fcds: Fcds, fcd: Fcd, size: MiB) -> None:
        missing = bytes_from_mib(size) - fcd.size
        if not missing:
            return
        if fcd.kind != "thin" and fcd.store.free < missing:
            free = fcd.store.free >> 20
            raise errors.NoDiskSpace(
                f"the disk {naming.fcd_cid(fcd.id)} cannot grow to {size} MiB: {fcd.store.name} has {free} MiB"
            )
        try:
            fcds.grow(fcd, size)
        except Refused as error:
            told = f"the disk {naming.fcd_cid(fcd.id)} cannot grow here (one with snapshots never can): {error.message}"
            raise errors.NotSupported(told) from error

    # ------------------------------------------------------------------ snapshots

    def snapshot(self, disk_cid: DiskCid, metadata: Metadata) -> SnapshotCid:
        """Of the disk as it is, attached or not. Raises CloudError where the vCenter takes none."""
        fcds, fcd = self.existing(disk_cid)
        own = {"name": naming.name_of("snapshot", None), "disk": str(disk_cid)}
        tags = {**birth_tags(self._context), **own}
        told = json.dumps({**fitted(metadata, _DESCRIPTION, present=tags), **tags}, separators=(",", ":"))
        try:
            identity = fcds.snapshot(fcd, told)
        except Refused as error:
            if error.fault != "InvalidState":
                raise
            wanted = "its datastore or the VM that has it does not allow one now; detach the disk, or stop the VM"
            raise errors.CloudError(f"no snapshot of {disk_cid}: {wanted}: {error.message}") from error
        return SnapshotCid(naming.fcd_snapshot_cid(identity, fcd.id))

    def delete_snapshot(self, identity: str, disk: str) -> None:
        """Gone when this returns; what was not there is gone."""
        found = self.find(naming.fcd_cid(disk))
        if found is not None:
            fcds, fcd = found
            fcds.remove_snapshot(fcd, identity)


def best(fcds: Fcds, fcd: Fcd, known: list[Store], choice: Choice, policy: str | None) -> Store:
    """The datastore that it moves to. Raises NoDiskSpace, CloudError."""
    fitting = policies.fitting(fcds.site.client, policy, known)
    return roomiest(fitting, fcd.size, f"the disk {naming.fcd_cid(fcd.id)} on {fcd.store.name} must move", choice)


def describe(fcds: Fcds, fcd: Fcd, wanted: DiskProperties, policy: str | None) -> None:
    """Remember with the disk what was requested for it, where that is not remembered yet."""
    names = names_of(wanted.datastores, lambda: datastores.all_of(fcds.site.client, fcds.site.reference))
    memory = {STORES: naming.pattern_of(names) if names else None, POLICY: policy}
    now = {key: value for key, value in memory.items() if value}
    gone = [key for key in memory if key not in now and key in fcd.metadata]
    if gone or any(fcd.metadata.get(key) != value for key, value in now.items()):
        fcds.keep(fcd, now, gone)


def _refuse_shrinking(fcd: Fcd, size: MiB) -> None:
    if bytes_from_mib(size) < fcd.size:
        raise failures.cannot_shrink(naming.fcd_cid(fcd.id), fcd.mib, size)


def _refuse_type(fcd: Fcd, kind: str) -> None:
    """Of the ways from one type to another the vCenter has but one for First Class Disks: thin to thick."""
    if (kind == "thin" and fcd.kind != "thin") or (kind == "eagerZeroedThick" and fcd.kind == "preallocated"):
        raise errors.NotSupported(
            f"the disk {naming.fcd_cid(fcd.id)} is {fcd.kind} and cannot become {kind} in place: copy the data to a new disk"
        )
