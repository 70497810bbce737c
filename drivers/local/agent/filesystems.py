"""Filesystems on a device: found, made on an empty device only, checked, grown."""

from pathlib import Path

from drivers.local.agent.commands import Commands
from drivers.local.agent.faults import Fault

KINDS = ("ext4", "xfs")
_NOTHING_FOUND = 2
_HEAD_BYTES = 1024 * 1024
_CLEAN_OR_CORRECTED = (0, 1, 2)


class Filesystems:
    """blkid, mkfs, e2fsck, resize2fs and xfs_growfs, with the care that somebody's data wants."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    async def kind_on(self, device: Path) -> str | None:
        """The filesystem on the device, None if it is empty. Raises Fault if it holds what is neither."""
        probe = await self._commands.attempt("blkid", "--probe", "--output", "value", "--match-tag", "TYPE", str(device))
        if probe.status == 0 and probe.output.strip():
            return probe.output.strip()
        if probe.status not in (0, _NOTHING_FOUND):
            raise Fault(f"what is on {device} can not be told, so it is not touched: {probe.words}")
        marks = await self._commands.run("wipefs", "--noheadings", "--no-act", str(device))
        if marks.strip():
            raise Fault(f"{device} holds {' '.join(marks.split())}, which is no filesystem this agent can mount")
        return None

    async def make(self, kind: str, device: Path, *, interrupted: bool) -> None:
        """Makes a filesystem on an empty device; interrupted says that it was begun here before and did not end.

        Raises Fault if there is data at the head of the device although no filesystem was recognised:
        it may be a damaged one, and is for a person to look at.
        """
        if kind not in KINDS:
            raise Fault(f"env.persistent_disk_fs is {kind!r}, this agent makes {' or '.join(KINDS)}")
        if not interrupted and not _head_is_empty(device):
            raise Fault(
                f"{device} holds no filesystem that is known, yet it is not empty: it is not formatted, look what is on it"
            )
        if kind == "xfs":
            await self._commands.run("mkfs.xfs", "-q", str(device))
        else:
            await self._commands.run("mkfs.ext4", "-q", "-E", "lazy_itable_init=1,lazy_journal_init=1", str(device))

    async def check(self, kind: str, device: Path) -> None:
        """Replays the journal of an ext4 and mends what is safe to mend; xfs does so when it is mounted."""
        if kind == "ext4":
            await self._commands.run("e2fsck", "-p", str(device), fine=_CLEAN_OR_CORRECTED)

    async def grow(self, kind: str, device: Path, point: Path) -> None:
        """Lets the filesystem mounted at point fill its device; changes nothing if it does."""
        if kind == "xfs":
            await self._commands.run("xfs_growfs", "-d", str(point))
        elif kind == "ext4":
            await self._commands.run("resize2fs", str(device))


def _head_is_empty(device: Path) -> bool:
    with device.open("rb") as file:
        return not any(file.read(_HEAD_BYTES))
