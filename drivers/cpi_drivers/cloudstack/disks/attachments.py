"""Disks in VMs: attached, detached, and by which name the guest finds them."""

from collections.abc import Sequence
from typing import Final

from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import DiskHint
from cpi.kit import failures
from cpi.kit.failures import AnswerLost
from cpi.kit.waiting import late
from cpi_drivers.cloudstack import naming, tags
from cpi_drivers.cloudstack.api.client import Client, Document
from cpi_drivers.cloudstack.api.errors import Refused
from cpi_drivers.cloudstack.api.inventory import Inventory
from cpi_drivers.cloudstack.disks.hints import hint

EPHEMERAL: Final = "multicpi-ephemeral-disks"


class Attachments:
    """What CloudStack holds together."""

    def __init__(self, client: Client, inventory: Inventory) -> None:
        self._client = client
        self._inventory = inventory

    def attach(self, vm_cid: VmCid, disk_cid: DiskCid) -> DiskHint:
        """Attached when this returns; a disk that is attached there already stays as it is."""
        vm = self._inventory.existing_vm(vm_cid)
        volume = self._inventory.existing_disk(disk_cid)
        if volume.get("virtualmachineid") != vm["id"]:
            _refuse_held(volume, disk_cid)
            volume = self._attached(vm, volume, vm_cid, disk_cid)
        return hint(volume, str(vm["hypervisor"]))

    def detach(self, vm_cid: VmCid, disk_cid: DiskCid) -> None:
        """Free when this returns."""
        volume = self._inventory.existing_disk(disk_cid)
        if not _held_by(volume, vm_cid):
            self._inventory.existing_vm(vm_cid)
            where = f"to the VM {volume['vmname']}" if volume.get("virtualmachineid") else "to no VM"
            raise failures.not_attached(disk_cid, vm_cid, where)
        try:
            what = f"detach_disk: disk {disk_cid} at VM {vm_cid}"
            self._client.run("detachVolume", what, "detach_volume", idempotent=True, id=volume["id"])
        except Refused as error:
            # The call before this one, killed or unanswered, may have done it.
            if _held_by(self._inventory.existing_disk(disk_cid), vm_cid):
                raise errors.CloudError(f"the disk {disk_cid} cannot be detached from the VM {vm_cid}: {error.said}") from error

    def disks_of(self, vm_cid: VmCid) -> list[DiskCid]:
        """The disks that outlive the VM."""
        vm = self._inventory.existing_vm(vm_cid)
        return [DiskCid(disk["name"]) for disk in persistent(vm, self._inventory.data_disks(vm))]

    def _attached(self, vm: Document, volume: Document, vm_cid: VmCid, disk_cid: DiskCid) -> Document:
        what = f"attach_disk: disk {disk_cid} at VM {vm_cid}"
        try:
            ids = {"id": volume["id"], "virtualmachineid": vm["id"]}
            attached: Document = self._client.run("attachVolume", what, "attach_volume", **ids)["volume"]
        except (Refused, AnswerLost) as error:
            if isinstance(error, AnswerLost):
                late(lambda: self._inventory.existing_disk(disk_cid).get("virtualmachineid") == vm["id"])
            now = self._inventory.disk_at_rest(what, "attach_volume", disk_cid)
            if now.get("virtualmachineid") == vm["id"]:
                return now
            _refuse_held(now, disk_cid)
            raise errors.CloudError(f"the disk {disk_cid} cannot be attached to the VM {vm_cid}: {error.message}") from error
        return attached


def _held_by(volume: Document, vm_cid: str) -> bool:
    return vm_cid in {volume.get("virtualmachineid"), volume.get("vmname")}


def _refuse_held(volume: Document, disk_cid: str) -> None:
    if volume.get("virtualmachineid"):
        raise errors.CloudError(f"the disk {disk_cid} is attached to the VM {volume.get('vmname')}")


def own_disks(vm: Document, disks: Sequence[Document]) -> list[str]:
    """The ids of the disks that go with the VM: those it was born with, by its tag; without one, by their names."""
    told = tags.of(vm).get(EPHEMERAL)
    if told is not None:
        return [str(disk["id"]) for disk in disks if disk["id"] in told.split()]
    return [str(disk["id"]) for disk in disks if naming.is_ephemeral(str(disk["name"]))]


def persistent(vm: Document, disks: Sequence[Document]) -> list[Document]:
    """The disks that outlive the VM."""
    own = own_disks(vm, disks)
    return [disk for disk in disks if disk["id"] not in own]
