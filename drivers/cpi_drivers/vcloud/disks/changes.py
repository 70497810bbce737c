"""Disks that change: larger, or on another storage profile, in place; larger also while a VM uses them."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import CloudProperties
from cpi.contract.units import MiB, mib_from_bytes
from cpi.kit import failures, private_files
from cpi.kit.settings import DISK_KEYS, read_cloud_properties
from cpi_drivers.vcloud import naming
from cpi_drivers.vcloud.api import documents, hardware
from cpi_drivers.vcloud.api.client import Client
from cpi_drivers.vcloud.api.documents import Element, make
from cpi_drivers.vcloud.api.errors import Failed, Missing, NoCapacity, QuotaReached, Refused
from cpi_drivers.vcloud.api.inventory import Inventory
from cpi_drivers.vcloud.disks.lifecycle import DISK, set_size
from cpi_drivers.vcloud.properties import DiskProperties

_VM: Final = "vcloud.vm"


class DiskChanges:
    """What the cloud can do to an independent disk without losing its data."""

    def __init__(self, client: Client, inventory: Inventory, *, strict: bool) -> None:
        self._client = client
        self._inventory = inventory
        self._strict = strict

    def resize(self, disk_cid: DiskCid, size: MiB) -> None:
        """Grown when this returns."""
        disk = self._free(disk_cid, size, "resize")
        if _size(disk) < size:
            self._change(disk, size, None, f"resize_disk: disk {disk_cid}")

    def update(self, disk_cid: DiskCid, size: MiB, cloud_properties: CloudProperties) -> DiskCid:
        """Of the requested size and storage profile when this returns; the same disk."""
        wanted = read_cloud_properties(DiskProperties, cloud_properties, strict=self._strict, ignored_keys=DISK_KEYS)
        disk = self._free(disk_cid, size, "update")
        present = documents.one(disk, "StorageProfile")
        other = wanted.storage_profile is not None and (present is None or present.get("name") != wanted.storage_profile)
        profile = self._inventory.storage_profile(self._inventory.vdc(), str(wanted.storage_profile)) if other else None
        if profile is not None or _size(disk) < size:
            self._change(disk, max(size, _size(disk)), profile, f"update_disk: disk {disk_cid}")
        return disk_cid

    def grow_attached(self, vm_cid: VmCid, disk_cid: DiskCid, size: MiB) -> None:
        """Grown when this returns, by the VM's hardware: the cloud does not change an attached disk itself."""
        path = naming.path_of(disk_cid, "disk")
        with private_files.one_at_a_time(self._client.folder, "vcloud-vm", vm_cid):
            vm = self._inventory.existing_vm(vm_cid)
            settings = hardware.independent_disks(vm).get(str(path))
            disk = self._inventory.existing_disk(disk_cid)
            if path is None or settings is None:
                raise failures.not_attached(disk_cid, vm_cid)
            present = MiB(int(documents.text(settings, "SizeMb")))
            if size < present:
                raise failures.cannot_shrink(disk_cid, present, size)
            if disk.get("sharingType", "None") != "None":
                raise errors.NotSupported(f"the disk {disk_cid} may be shared by VMs: it cannot grow while they use it")
            if size > present:
                self._reconfigure(vm, path, size, f"grow_attached_disk: disk {disk_cid}")

    def _reconfigure(self, vm: Element, path: str, size: MiB, what: str) -> None:
        told = make("Description", documents.text(vm, "Description"))
        body = make("Vm", told, hardware.with_size(vm, path, size), name=vm.get("name"))
        with _named_refusals(what, "while a VM uses it"):
            self._client.run(f"{vm.get('href')}/action/reconfigureVm", what, body, _VM, idempotent=True)

    def _free(self, disk_cid: DiskCid, size: MiB, wanted: str) -> Element:
        disk = self._inventory.existing_disk(disk_cid)
        if size < _size(disk):
            raise failures.cannot_shrink(disk_cid, _size(disk), size)
        holder = self._inventory.holder(disk)
        if holder is not None:
            raise errors.CloudError(f"the disk {disk_cid} is attached to the VM {holder.get('name')}: detach it to {wanted} it")
        return disk

    def _change(self, disk: Element, size: MiB, profile: Element | None, what: str) -> None:
        """Everything is said again: what is left out may be taken for a request to change it."""
        present = documents.one(disk, "StorageProfile")
        chosen = present if profile is None else documents.reference("StorageProfile", str(profile.get("href")))
        body = make(
            "Disk",
            make("Description", documents.text(disk, "Description")),
            copy.deepcopy(chosen) if chosen is not None else None,
            name=disk.get("name"),
        )
        set_size(self._client, body, size)
        with _named_refusals(what, "in place"):
            self._client.put(str(disk.get("href")), what, body, DISK)


@contextmanager
def _named_refusals(what: str, how: str) -> Iterator[None]:
    """What the cloud refuses in the block is NoDiskSpace or NotSupported; what it tried and failed at stays what it is."""
    try:
        yield
    except (QuotaReached, NoCapacity) as error:
        raise errors.NoDiskSpace(f"{what}: {error.message}") from error
    except (Failed, Missing):
        raise
    except Refused as error:
        raise errors.NotSupported(f"{what}: the cloud cannot do this {how}: {error.message}") from error


def _size(disk: Element) -> MiB:
    """As the API tells it: in MiB, and long ago in bytes."""
    told = disk.get("sizeMb")
    return MiB(int(told)) if told is not None else mib_from_bytes(int(disk.get("size", "0")))
