"""Disks that change: larger, or of another offering, in place."""

from typing import Any, Final

from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import CloudProperties
from cpi.contract.units import MiB, bytes_from_mib, gib_from_mib, mib_from_bytes
from cpi.kit import failures
from cpi.kit.failures import AnswerLost
from cpi.kit.settings import DISK_KEYS, read_cloud_properties
from cpi.kit.waiting import late
from cpi_drivers.cloudstack.api.client import Client, Document
from cpi_drivers.cloudstack.api.errors import QuotaReached, Refused
from cpi_drivers.cloudstack.api.inventory import Inventory
from cpi_drivers.cloudstack.api.offerings import Offerings
from cpi_drivers.cloudstack.properties import DiskProperties

_GROWS_RUNNING: Final = "kvm"
_UNKNOWN: Final = frozenset({"None", "Any"})
"""What a volume says of its hypervisor if it does not know it."""


class DiskChanges:
    """What CloudStack can do to a volume without losing its data."""

    def __init__(self, client: Client, inventory: Inventory, offerings: Offerings, *, strict: bool) -> None:
        self._client = client
        self._inventory = inventory
        self._offerings = offerings
        self._strict = strict

    def resize(self, disk_cid: DiskCid, size: MiB) -> None:
        """Grown when this returns; a disk of a fixed offering gets the custom one."""
        self._grow(self._free(disk_cid, size, "resize"), size)

    def grow_attached(self, vm_cid: VmCid, disk_cid: DiskCid, size: MiB) -> None:
        """Grown when this returns; the VM uses it all the while."""
        volume = self._inventory.existing_disk(disk_cid)
        if vm_cid not in {volume.get("virtualmachineid"), volume.get("vmname")}:
            self._inventory.existing_vm(vm_cid)
            raise failures.not_attached(disk_cid, vm_cid)
        _refuse_shrinking(volume, size)
        if not _holds(volume, size):
            hypervisor = str(volume.get("hypervisor", "None"))
            if hypervisor in _UNKNOWN:
                hypervisor = str(self._inventory.existing_vm(vm_cid)["hypervisor"])
            if hypervisor.lower() != _GROWS_RUNNING and volume.get("vmstate") != "Stopped":
                raise errors.NotSupported(
                    f"the disk {disk_cid} is used by a running VM on {hypervisor}: CloudStack grows such disks on KVM only"
                )
            self._grow(volume, size)

    def _grow(self, volume: Document, size: MiB) -> None:
        if _holds(volume, size):
            return
        present = self._offerings.disk(str(volume["diskofferingid"])) if volume.get("diskofferingid") else {}
        gib = gib_from_mib(size)
        if present.get("iscustomized"):
            self._change("resizeVolume", volume, {"size": gib})
            return
        custom = self._offerings.custom_disk()
        if not custom.get("iscustomized"):
            raise errors.NotSupported(f"the disk {volume['name']} has a fixed size, and so has the offering {custom['name']!r}")
        self._change("resizeVolume", volume, {"size": gib, "diskofferingid": custom["id"]})

    def update(self, disk_cid: DiskCid, size: MiB, cloud_properties: CloudProperties) -> DiskCid:
        """Of the requested size and offering when this returns, on other storage if the offering asks for it; the same disk."""
        wanted = read_cloud_properties(DiskProperties, cloud_properties, strict=self._strict, ignored_keys=DISK_KEYS)
        volume = self._free(disk_cid, size, "update")
        if wanted.disk_offering is None or wanted.disk_offering in {volume.get("diskofferingid"), volume.get("diskofferingname")}:
            self.resize(disk_cid, size)
            return disk_cid
        offering = self._offerings.disk(wanted.disk_offering)
        gib = max(gib_from_mib(size), gib_from_mib(mib_from_bytes(volume["size"])))
        if not offering.get("iscustomized") and offering["disksize"] < gib:
            said = f"the offering {offering['name']!r} has {offering['disksize']} GiB"
            raise errors.NotSupported(f"the disk {disk_cid} cannot shrink from {gib} GiB: {said}")
        more = {"size": gib} if offering.get("iscustomized") else {}
        self._change("changeOfferingForVolume", volume, {"diskofferingid": offering["id"], "automigrate": True, **more})
        return disk_cid

    def _free(self, disk_cid: DiskCid, size: MiB, wanted: str) -> Document:
        volume = self._inventory.existing_disk(disk_cid)
        if volume.get("virtualmachineid"):
            raise errors.CloudError(f"the disk {disk_cid} is attached to the VM {volume.get('vmname')}: detach it to {wanted} it")
        _refuse_shrinking(volume, size)
        return volume

    def _change(self, command: str, volume: Document, wanted: dict[str, Any]) -> None:
        what = f"{command} of the disk {volume['name']}"
        try:
            self._client.run(command, what, "resize_volume", id=volume["id"], **wanted)
        except AnswerLost:
            name = DiskCid(volume["name"])
            late(lambda: _fulfils(volume, wanted, self._inventory.existing_disk(name)))
            if not _fulfils(volume, wanted, self._inventory.disk_at_rest(what, "resize_volume", name)):
                raise
        except QuotaReached as error:
            raise errors.NoDiskSpace(f"{what}: the account's limit: {error.said}") from error
        except Refused as error:
            raise errors.NotSupported(f"{what}: the cloud cannot do this: {error.said}") from error


def _refuse_shrinking(volume: Document, size: MiB) -> None:
    has, wanted = gib_from_mib(mib_from_bytes(volume["size"])), gib_from_mib(size)
    if wanted < has:
        raise failures.cannot_shrink(volume["name"], has, wanted, unit="GiB")


def _holds(volume: Document, size: MiB) -> bool:
    return bool(volume["size"] >= bytes_from_mib(size))


def _fulfils(before: Document, wanted: dict[str, Any], now: Document) -> bool:
    offering = wanted.get("diskofferingid", before.get("diskofferingid"))
    return bool(now.get("diskofferingid") == offering and gib_from_mib(mib_from_bytes(now["size"])) >= wanted.get("size", 0))
