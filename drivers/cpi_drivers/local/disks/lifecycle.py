"""Persistent disks."""

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from cpi.contract import errors
from cpi.contract.model import CloudProperties
from cpi.contract.units import MiB
from cpi.kit.settings import DISK_KEYS, read_cloud_properties
from cpi_drivers.local.disks.backings import BACKINGS, Name
from cpi_drivers.local.disks.links import Links
from cpi_drivers.local.host.layout import remove_folder
from cpi_drivers.local.host.register import Register, Row, refuse_taken_token
from cpi_drivers.local.settings import DiskProperties

_MOST: Final = 2**42
"""MiB; what is more does not fit an integer of the state, nor any filesystem."""


class Disks:
    """The persistent disks of one local cloud."""

    def __init__(self, register: Register, links: Links, default_backing: Callable[[], Name], *, strict: bool) -> None:
        self._register = register
        self._links = links
        self._default_backing = default_backing
        self._strict = strict
        register.removed_by("disks", self._remove)

    def create(self, size: MiB, cloud_properties: CloudProperties, vm_cid: str | None, token: str | None) -> str:
        """As in the contract; vm_cid has to exist and decides nothing: everything here lies on one machine."""
        _check_size(size)
        wanted = self._read(cloud_properties)
        if vm_cid is not None:
            self._register.get("vms", vm_cid)
        return self._register.once("disks", token, lambda: self._make(size, cloud_properties, wanted, token))

    def _make(self, size: MiB, cloud_properties: CloudProperties, wanted: DiskProperties, token: str | None) -> str:
        backing = wanted.backing or self._default_backing()
        columns = {
            "name": wanted.name,
            "backing": backing,
            "size": size,
            "properties": json.dumps(cloud_properties),
            "metadata": "{}",
        }
        with self._register.making("disks", columns, lambda database, _: refuse_taken_token(database, "disks", token)) as cid:
            BACKINGS[backing].make(self._register.layout.disk(cid), size)
        return cid

    def delete(self, disk_cid: str) -> None:
        """As in the contract: a missing disk is fine."""
        self._register.finish_deleting("disks", disk_cid)
        with contextlib.suppress(errors.DiskNotFound), self.locked(disk_cid) as disk:
            _refuse_attached(disk, "deleted")
            self._register.delete("disks", disk_cid)

    def has(self, disk_cid: str) -> bool:
        """As in the contract."""
        return self._register.find("disks", disk_cid) is not None

    def resize(self, disk_cid: str, size: MiB) -> None:
        """As in the contract: grows, never shrinks. The agent grows the filesystem when it mounts the disk."""
        _check_size(size)
        with self.locked(disk_cid) as disk:
            _refuse_attached(disk, "resized")
            self.enlarge(disk, size)

    def update(self, disk_cid: str, size: MiB, cloud_properties: CloudProperties) -> str:
        """As in the contract, in place: grows, and takes the properties over unless they ask for another backing."""
        with self.locked(disk_cid) as disk:
            _refuse_attached(disk, "updated")
            self.change(disk, size, cloud_properties)
        return disk_cid

    @contextlib.contextmanager
    def locked(self, disk_cid: str) -> Iterator[Row]:
        """The disk, with nobody else at work on it, and nothing half linked. Raises DiskNotFound."""
        with self._register.locked("disks", disk_cid) as disk:
            yield self._links.settled(disk)

    def enlarge(self, disk: Row, size: MiB) -> None:
        """Grow a disk, which the caller has locked, attached or not."""
        _check_size(size)
        _refuse_smaller(disk, size)
        self._grow(disk, size)

    def change(self, disk: Row, size: MiB, cloud_properties: CloudProperties) -> None:
        """Grow a disk, which the caller has locked, and put its properties on record."""
        _check_size(size)
        wanted = self._read(cloud_properties)
        _refuse_smaller(disk, size)
        if wanted.backing not in {"", disk["backing"]}:
            raise errors.NotSupported(
                f"disk {disk['cid']} is kept as {disk['backing']} and not as {wanted.backing}: copy its data"
            )
        self._grow(disk, size)
        self._register.state.change(
            "UPDATE disks SET name = :name, properties = :properties WHERE cid = :cid",
            {"cid": disk["cid"], "name": wanted.name, "properties": json.dumps(cloud_properties)},
        )

    def _grow(self, disk: Row, size: MiB) -> None:
        BACKINGS[disk["backing"]].grow(self._register.layout.disk(disk["cid"]), size)
        if size > disk["size"]:
            self._register.state.change("UPDATE disks SET size = :size WHERE cid = :cid", {"cid": disk["cid"], "size": size})

    def _read(self, cloud_properties: CloudProperties) -> DiskProperties:
        wanted = read_cloud_properties(DiskProperties, cloud_properties, strict=self._strict, ignored_keys=DISK_KEYS)
        if wanted.backing == "loop":
            check_loop("cloud_properties.backing")
        return wanted

    def _remove(self, disk_cid: str) -> None:
        folder = self._register.layout.disk(disk_cid)
        for backing in BACKINGS.values():
            backing.disconnect(folder)
        remove_folder(folder)


def check_loop(where: str) -> None:
    """Raises CpiError, naming where it was asked for and the reason, if there are no loop devices here."""
    from cpi_drivers.local.host import loop_devices

    reason = loop_devices.why_not()
    if reason:
        raise errors.CpiError(f"{where}: loop is not possible here: {reason}")


def _check_size(size: Any) -> None:
    if not isinstance(size, int) or isinstance(size, bool) or not 0 < size <= _MOST:
        raise errors.CpiError(f"a disk's size is a positive whole number of MiB, got {size!r}")


def _refuse_attached(disk: Row, what: str) -> None:
    if disk["vm_cid"] is not None:
        raise errors.CloudError(
            f"disk {disk['cid']} cannot be {what} while it is attached to VM {disk['vm_cid']}: detach it first"
        )


def _refuse_smaller(disk: Row, size: MiB) -> None:
    if size < disk["size"]:
        raise errors.NotSupported(
            f"disk {disk['cid']} has {disk['size']} MiB and cannot be made smaller, {size} MiB, in place: copy its data"
        )
