"""Disks in VMs: attached, detached, and by what the guest finds them."""

from collections.abc import Mapping
from typing import Final

from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import DiskHint
from cpi.kit import failures, private_files
from cpi.kit.failures import AnswerLost
from cpi.kit.waiting import late
from cpi_drivers.vcloud import naming
from cpi_drivers.vcloud.api import documents, hardware
from cpi_drivers.vcloud.api.client import Client
from cpi_drivers.vcloud.api.documents import Element, make
from cpi_drivers.vcloud.api.errors import Refused
from cpi_drivers.vcloud.api.inventory import Inventory

_ATTEMPTS: Final = 5


class Attachments:
    """What the cloud holds together."""

    def __init__(self, client: Client, inventory: Inventory) -> None:
        self._client = client
        self._inventory = inventory

    def attach(self, vm_cid: VmCid, disk_cid: DiskCid) -> DiskHint:
        """Attached when this returns; a disk that is attached there already stays as it is."""
        path = _path(disk_cid)
        with private_files.one_at_a_time(self._client.folder, "vcloud-vm", vm_cid):
            vm = self._inventory.existing_vm(vm_cid)
            if path not in hardware.independent_disks(vm):
                vm = self._attached(vm, vm_cid, disk_cid, path)
        return self._hint(vm, vm_cid, disk_cid, path)

    def detach(self, vm_cid: VmCid, disk_cid: DiskCid) -> None:
        """Free when this returns."""
        path, vm = _path(disk_cid), naming.path_of(vm_cid, "vm")
        if vm is None:
            raise failures.no_such_vm(vm_cid)
        what = f"detach_disk: disk {disk_cid} at VM {vm_cid}"
        try:
            self._client.run(f"{vm}/disk/action/detach", what, self._params(path), documents.DISK_PARAMS, idempotent=True)
        except Refused as error:
            self._explain_detached(vm_cid, disk_cid, path)
            raise errors.CloudError(f"the disk {disk_cid} cannot be detached from the VM {vm_cid}: {error.message}") from error

    def disks_of(self, vm_cid: VmCid) -> list[DiskCid]:
        """The disks that outlive the VM."""
        vm = self._inventory.existing_vm(vm_cid)
        return [DiskCid(naming.urn_of(path, "disk")) for path in hardware.independent_disks(vm)]

    def _attached(self, vm: Element, vm_cid: VmCid, disk_cid: DiskCid, path: str) -> Element:
        what = f"attach_disk: disk {disk_cid} at VM {vm_cid}"
        try:
            return self._connected(vm, path, what)
        except (Refused, AnswerLost) as error:
            disk = self._inventory.existing_disk(disk_cid)
            now = self._client.get(str(vm.get("href")))
            if path in hardware.independent_disks(now):
                return now
            holder = self._inventory.holder(disk)
            if holder is not None:
                raise errors.CloudError(f"the disk {disk_cid} is attached to the VM {_named(holder)}") from error
            raise errors.CloudError(f"the disk {disk_cid} cannot be attached to the VM {vm_cid}: {error.message}") from error

    def _connected(self, vm: Element, path: str, what: str) -> Element:
        """The VM once the disk is attached at a unit that is its alone: the guest looks by units, whatever the bus."""
        href = str(vm.get("href"))
        place: dict[str, str] = {}
        for _ in range(_ATTEMPTS):
            try:
                self._client.run(f"{href}/disk/action/attach", what, self._params(path, place), documents.DISK_PARAMS)
            except AnswerLost:
                if not self._was_attached(href, path, what):
                    raise
            except Refused:
                if not place:  # then it was not for a unit that somebody was faster to take
                    raise
            vm = self._client.get(href)
            settings = hardware.independent_disks(vm).get(path)
            if settings is not None:
                if hardware.shows_ids(vm) or not hardware.is_ambiguous(vm, settings):
                    return vm
                self._client.run(f"{href}/disk/action/detach", what, self._params(path), documents.DISK_PARAMS, idempotent=True)
                place = {"BusNumber": documents.text(settings, "BusNumber")}
            place = {**place, "UnitNumber": hardware.unique_unit(vm)}
        raise errors.CloudError(f"{what}: other calls took each unit that was free")

    def _was_attached(self, href: str, path: str, what: str) -> bool:
        """Whether a call without an answer attached a disk, once nothing works on the VM that could do so."""

        def is_attached() -> bool:
            return path in hardware.independent_disks(self._client.get(href))

        def is_at_rest() -> bool:
            return documents.one(self._client.get(href), "Tasks/Task") is None

        if late(is_attached):
            return True
        self._client.until(what, is_at_rest)
        return is_attached()

    def _hint(self, vm: Element, vm_cid: VmCid, disk_cid: DiskCid, path: str) -> DiskHint:
        """By its UUID where the guest can see it, else by the unit."""
        settings = hardware.independent_disks(vm).get(path)
        if settings is None:
            raise errors.CloudError(f"the disk {disk_cid} was attached to the VM {vm_cid} and is not among its disks")
        if hardware.shows_ids(vm):
            uuid = self._inventory.existing_disk(disk_cid).get("uuid")
            if uuid:
                return DiskHint(id=uuid.lower())
        return DiskHint(device=hardware.unit_of(settings))

    def _explain_detached(self, vm_cid: VmCid, disk_cid: DiskCid, path: str) -> None:
        """Raises what is missing, if anything is."""
        vm = self._inventory.existing_vm(vm_cid)
        disk = self._inventory.existing_disk(disk_cid)
        if path in hardware.independent_disks(vm):
            return
        holder = self._inventory.holder(disk)
        where = f"to the VM {_named(holder)}" if holder is not None else "to no VM"
        raise failures.not_attached(disk_cid, vm_cid, where)

    def _params(self, path: str, place: Mapping[str, str] | None = None) -> Element:
        disk = documents.reference("Disk", self._client.address(path), type="application/vnd.vmware.vcloud.disk+xml")
        return make("DiskAttachOrDetachParams", disk, *documents.within("Place", place or {}))


def _named(vm: Element) -> str:
    return f"{naming.urn_of(str(vm.get('href')), 'vm')} ({vm.get('name')})"


def _path(disk_cid: DiskCid) -> str:
    path = naming.path_of(disk_cid, "disk")
    if path is None:
        raise failures.no_such_disk(disk_cid)
    return path
