"""Attaching disks to VMs and taking them away."""

import contextlib
from collections.abc import Iterator

from cpi.contract import errors
from cpi.contract.ids import DiskCid
from cpi.contract.model import CloudProperties, DiskHint
from cpi.contract.units import MiB
from cpi_drivers.local.disks.lifecycle import Disks
from cpi_drivers.local.disks.links import Links
from cpi_drivers.local.host.register import Register, Row


class Attachments:
    """Always the VM's lock first, then the disk's."""

    def __init__(self, register: Register, disks: Disks, links: Links) -> None:
        self._register = register
        self._disks = disks
        self._links = links

    def attach(self, vm_cid: str, disk_cid: str) -> DiskHint:
        """As in the contract."""
        with self._register.locked("vms", vm_cid), self._disks.locked(disk_cid) as disk:
            if disk["vm_cid"] == vm_cid:
                return DiskHint(path=self._links.renew(disk))
            if disk["vm_cid"] is not None:
                raise errors.CloudError(
                    f"disk {disk_cid} cannot be attached to VM {vm_cid}: VM {disk['vm_cid']} has it, detach it there first"
                )
            return DiskHint(path=self._links.link(vm_cid, disk))

    def detach(self, vm_cid: str, disk_cid: str) -> None:
        """As in the contract."""
        with self._attached(vm_cid, disk_cid) as disk:
            self._links.unlink(disk)

    def grow(self, vm_cid: str, disk_cid: str, size: MiB) -> None:
        """As in the contract: the device of a mounted disk grows with its image; a folder has its size on record."""
        with self._attached(vm_cid, disk_cid) as disk:
            self._disks.enlarge(disk, size)

    def change(self, vm_cid: str, disk_cid: str, size: MiB, cloud_properties: CloudProperties) -> None:
        """As in the contract: all kinds of disk perform alike here, so what changes is on record."""
        with self._attached(vm_cid, disk_cid) as disk:
            self._disks.change(disk, size, cloud_properties)

    @contextlib.contextmanager
    def _attached(self, vm_cid: str, disk_cid: str) -> Iterator[Row]:
        with self._register.locked("vms", vm_cid), self._disks.locked(disk_cid) as disk:
            if disk["vm_cid"] != vm_cid:
                where = f"; it is attached to VM {disk['vm_cid']}" if disk["vm_cid"] else ""
                raise errors.DiskNotAttached(f"disk {disk_cid} is not attached to VM {vm_cid}{where}")
            yield disk

    def of_vm(self, vm_cid: str) -> list[DiskCid]:
        """As in the contract."""
        self._register.get("vms", vm_cid)
        return [DiskCid(disk["cid"]) for disk in self._links.of_vm(vm_cid) if disk["link"] == "attached"]
