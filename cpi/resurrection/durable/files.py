"""The instances files that a database knows, so that who moves or deletes a disk can say which of them name it."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from cpi.contract import errors
from cpi.contract.ids import DiskCid
from cpi.durable.works import Row
from cpi.resurrection.instance import Instance
from cpi.resurrection.watchfile import Watchfile, read_watchfile

FILE: Final = "instances file"
"""How they are called in the database."""


class KnownFile(msgspec.Struct, frozen=True):
    """An instances file, and the disks that it named when it was read last."""

    host: str
    path: str
    disks: Mapping[str, tuple[DiskCid, ...]] = {}
    """Of each instance."""

    @property
    def is_here(self) -> bool:
        """Whether it lies on this machine."""
        return self.host == os.uname().nodename

    def naming(self, disk_cid: DiskCid) -> Iterator[str]:
        """The instances that it says have this disk."""
        yield from (name for name, disks in self.disks.items() if disk_cid in disks)

    def instances(self) -> tuple[Instance, ...]:
        """What is in it now; nothing if it cannot be read here."""
        if not self.is_here:
            return ()
        try:
            return read_watchfile(self.path).instances
        except errors.CpiError:
            return ()

    def words(self) -> str:
        """For people."""
        return self.path if self.is_here else f"{self.host}:{self.path}"


def id_of(file: Watchfile) -> str:
    """Under which id a file is kept."""
    return f"file-{hashlib.sha256(f'{os.uname().nodename}:{file.path}'.encode()).hexdigest()[:16]}"


def kept_of(file: Watchfile) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is kept of it: what stays, and what changes with it. Nothing secret."""
    disks = {one.name: [str(disk) for disk in one.disks] for one in file.instances}
    return {"host": os.uname().nodename, "path": file.path}, {"disks": disks}


def known_files(rows: Iterable[Row]) -> list[KnownFile]:
    """Those that are still there; one on this machine is read anew."""
    found = (_known(row) for row in rows if {"host", "path"} <= row.argument.keys())
    return [one for one in found if one is not None]


def _known(row: Row) -> KnownFile | None:
    told = row.attributes.get("disks") or {}
    disks = {str(name): tuple(DiskCid(str(disk)) for disk in named) for name, named in told.items()}
    known = KnownFile(str(row.argument["host"]), str(row.argument["path"]), disks)
    if not known.is_here:
        return known
    if not Path(known.path).exists():
        return None
    # nothing is read of one that has faults, or is being written: what was read last is what is known then
    now = {one.name: one.disks for one in known.instances()}
    return msgspec.structs.replace(known, disks=now) if now else known
