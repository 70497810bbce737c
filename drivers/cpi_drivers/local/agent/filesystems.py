"""Filesystems on a device: found, made on an empty device only, checked, grown."""

import asyncio
import os
from pathlib import Path

from cpi_drivers.local.agent.commands import Commands
from cpi_drivers.local.agent.faults import Fault

KINDS = ("ext4", "xfs")
_NOTHING_FOUND = 2
_HEAD_BYTES = 1024 * 1024
_SAMPLES = 256
_SAMPLE_BYTES = 65536
_WORTH_GROWING_BYTES = 1024 * 1024
_CLEAN_OR_CORRECTED = (0, 1, 2)


class Filesystems:
    """blkid, mkfs, e2fsck, resize2fs, xfs_growfs, with the care that somebody's data wants."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    async def kind_on(self, device: Path) -> str | None:
        """The filesystem on the device, None if it is empty. Raises Fault if it holds what is neither."""
        probe = await self._commands.attempt("blkid", "--probe", "--output", "value", "--match-tag", "TYPE", str(device))
        if probe.status == 0 and probe.output.strip():
            return probe.output.strip()
        if probe.status not in (0, _NOTHING_FOUND):
            raise Fault(f"what is on {device} cannot be told, so it is not touched: {probe.words}")
        marks = await self._commands.run("wipefs", "--noheadings", "--no-act", str(device))
        if marks.strip():
            raise Fault(f"{device} holds {' '.join(marks.split())}, which is no filesystem this agent can mount")
        return None

    async def check_empty(self, device: Path) -> None:
        """Raises Fault if there is data although no filesystem was recognised: a damaged one is for a person to look at."""
        if not await asyncio.to_thread(_looks_empty, device):
            raise Fault(
                f"{device} holds no filesystem that is known, yet it is not empty: it is not formatted, look what is on it"
            )

    async def make(self, kind: str, device: Path) -> None:
        """Makes a filesystem, whatever is there."""
        if kind not in KINDS:
            raise Fault(f"env.persistent_disk_fs is {kind!r}, this agent makes {' or '.join(KINDS)}")
        if kind == "xfs":
            await self._commands.run("mkfs.xfs", "-q", str(device))
        else:
            await self._commands.run("mkfs.ext4", "-q", "-E", "lazy_itable_init=1,lazy_journal_init=1", str(device))

    async def prepare(self, kind: str, device: Path) -> None:
        """Replays the journal of an ext4, mends what is safe to mend, and lets it fill a device that has grown.

        Growing it unmounted takes a whole check, and no more rights than mounting; xfs does all this when it is mounted.
        """
        if kind != "ext4":
            return
        await self._commands.run("e2fsck", "-p", str(device), fine=_CLEAN_OR_CORRECTED)
        if _size(device) - await self._filesystem_size(device) >= _WORTH_GROWING_BYTES:
            await self._commands.run("e2fsck", "-f", "-p", str(device), fine=_CLEAN_OR_CORRECTED)
            await self._commands.run("resize2fs", str(device))

    async def _filesystem_size(self, device: Path) -> int:
        header = await self._commands.run("dumpe2fs", "-h", str(device))
        fields = dict(line.split(":", 1) for line in header.splitlines() if ":" in line)
        return int(fields["Block count"]) * int(fields["Block size"])

    async def grow_mounted(self, kind: str, point: Path) -> None:
        """Lets an xfs fill its device; changes nothing if it does."""
        if kind == "xfs":
            await self._commands.run("xfs_growfs", "-d", str(point))


def _size(device: Path) -> int:
    with device.open("rb") as file:
        return file.seek(0, os.SEEK_END)


def _looks_empty(device: Path) -> bool:
    size = _size(device)
    with device.open("rb") as file:
        if any(file.read(_HEAD_BYTES)):
            return False
        for sample in range(_SAMPLES):
            file.seek(size * sample // _SAMPLES)
            if any(file.read(_SAMPLE_BYTES)):
                return False
    return True
