"""What a live copy asks of a guest: is it fit, how full is its disk, run one of our scripts there and nothing beside it."""

from collections.abc import Sequence
from typing import Final

import msgspec

from cpi.agent.errors import AgentUnreachable
from cpi.agent.shell import OnOutput, Output, Shell
from cpi.contract import errors
from cpi.contract.ids import DiskCid
from cpi.migration import scripts

OLDEST_RSYNC: Final = (3, 1, 3)
_SHORT_SECONDS: Final = 300.0
_LONGEST_SECONDS: Final = 7 * 24 * 3600.0
_FULL: Final = b"No space left on device"
_UNREADABLE: Final = 74
_TOO_LONG: Final = "File name too long"
_DAMAGE: Final = ("Input/output error", "Structure needs cleaning", "Bad message", "Stale file handle")
_PATHS_TOLD: Final = 5
_LONGEST_LINE: Final = 240


REPAIR: Final = "stop the jobs, unmount the disk and run fsck -f (xfs_repair for xfs) on it"
_LOOK: Final = f"; what to do: {REPAIR}, then check whether these files are intact"


class Room(msgspec.Struct, frozen=True):
    """How full a disk is, as its filesystem says."""

    used_bytes: int
    used_inodes: int
    free_bytes: int
    """What root may still write."""

    free_inodes: int | None
    """None if the filesystem makes them as they are needed."""

    filesystem: str = ""


class Extent(msgspec.Struct, frozen=True):
    """How much of a disk can be used, in bytes: what the guest sees of it, what its partition has, and the filesystem."""

    disk: int
    partition: int
    """The disk's, if it has no partitions."""

    filesystem: int


class NoRoom(errors.CloudError):
    """The new disk does not hold the data; the message has the figures."""


class Unreadable(errors.CloudError):
    """What lies on a disk cannot be read; the message names it, and what to do."""


class Guest:
    """One VM through its root shell. Folders are where the agent mounts: the store, and the place beside it."""

    def __init__(self, shell: Shell, move_id: str) -> None:
        self._shell = shell
        root = f"{shell.root}/var/vcap"
        self.store = f"{root}/store"
        self.target = f"{root}/store_migration_target"
        self._remembered = f"{root}/bosh/managed_disk_settings.json"
        self.work = f"{root}/data/cpi-move-{move_id}"
        self.moved = f"{root}/data/cpi-moved-{move_id}"
        """Is there if the move took the jobs to another guest."""

    def unfit(self) -> str:
        """Why it cannot copy its disk by itself; empty if it can."""
        try:
            found = self._shell.run(scripts.alone(scripts.FITNESS, self.store), deadline_seconds=_SHORT_SECONDS)
        except errors.Error as error:
            return f"the guest's shell does not work: {error.message}"
        if found.status != 0:
            return f"the guest's shell does not work: {found.complaint}"
        missing, _, version = found.stdout.decode(errors="replace").partition("\n")
        if missing.strip():
            return f"the guest lacks {', '.join(missing.split())}"
        if rsync_version(version) < OLDEST_RSYNC:
            return f"the guest's rsync is {version.strip() or 'of no known version'}, older than 3.1.3"
        return ""

    def room(self, folder: str, *, exact: bool = False) -> Room:
        """What is used and free there; exact counts file by file, where what a filesystem says includes its own."""
        said = self._shell.run(
            scripts.alone(scripts.ROOM, folder, "exact" if exact else ""), deadline_seconds=_LONGEST_SECONDS if exact else 3600
        )
        if said.status != 0:
            raise errors.CloudError(f"cannot determine how full {folder} is: {said.complaint}")
        return room_from(said.stdout.decode(errors="replace"))

    def extent(self, folder: str) -> Extent | None:
        """How much of the disk that is mounted there can be used; None if that is a folder of the host."""
        said = self._shell.run(scripts.alone(scripts.EXTENT, folder), deadline_seconds=_SHORT_SECONDS)
        if said.status != 0:
            raise errors.CloudError(f"cannot determine the size of the disk at {folder}: {said.complaint}")
        figures = said.stdout.decode(errors="replace").split()
        return Extent(*map(int, figures)) if figures else None

    def faults(self) -> str:
        """What the store's filesystem knows to be wrong with itself; empty if nothing."""
        said = self._shell.run(scripts.alone(scripts.HEALTH, self.store), deadline_seconds=_SHORT_SECONDS)
        if said.status != 0:
            raise errors.CloudError(f"cannot check the filesystem of {self.store}: {said.complaint}")
        return said.stdout.decode(errors="replace").strip()

    def run(
        self, script: str, *words: str, stdin: bytes = b"", on_output: OnOutput | None = None, fine: Sequence[int] = (0,)
    ) -> Output:
        """Run a script of ours alone: what a killed process left running is ended first. Raises CloudError."""
        done = self._shell.run(
            scripts.guarded(script, self.work, self.store, self.target, *words),
            deadline_seconds=_LONGEST_SECONDS,
            stdin=stdin,
            on_output=on_output,
        )
        if _FULL in done.stderr:
            raise NoRoom(f"{self._figures()}: {done.complaint}")
        if done.status == _UNREADABLE:
            raise Unreadable(unreadable(done.stderr))
        if done.status not in fine:
            raise errors.CloudError(f"in the guest: exit status {done.status}: {done.complaint}")
        return done

    def ask(self, script: str, *words: str) -> Output:
        """Run a short script. Raises CloudError with what it complained of."""
        done = self._shell.run(scripts.alone(script, *words), deadline_seconds=_SHORT_SECONDS)
        if done.status != 0:
            raise errors.CloudError(f"in the guest: exit status {done.status}: {done.complaint}")
        return done

    def _figures(self) -> str:
        room = self.room(self.target)
        inodes = "" if room.free_inodes is None else f" and {room.free_inodes} inodes"
        return f"No space left on device: the new disk has {room.used_bytes} bytes used, {room.free_bytes} bytes{inodes} free"

    def thaw(self) -> None:
        """Let the store be written to again, without unmounting it: a filesystem with errors could not be mounted anew."""
        self._short(scripts.THAW, self.store)

    def remember(self, disk_cid: DiskCid) -> None:
        """Let a BOSH agent mount this disk at its next boot: it keeps the CID of the one that it mounted last."""
        self._short(scripts.REMEMBER, self._remembered, str(disk_cid))

    def end_leftovers(self) -> None:
        """Make sure that nothing of this move is running there, and that its notes are gone."""
        self._short(scripts.CLEAR, self.work)

    def _short(self, script: str, *words: str) -> None:
        done = self._shell.run(scripts.alone(script, *words), deadline_seconds=_SHORT_SECONDS)
        if done.status != 0:
            raise AgentUnreachable(f"in the guest: exit status {done.status}: {done.complaint}")


def unreadable(said: bytes) -> str:
    """What a script complained of, a line for each path, and what to do about it."""
    lines = said.decode(errors="replace").replace("/./", "/").strip().splitlines()
    told = "; ".join(_shortened(line) for line in lines[:_PATHS_TOLD])
    more = f" and {len(lines) - _PATHS_TOLD} more" if len(lines) > _PATHS_TOLD else ""
    return f"not everything can be read: {told}{more}{advice(said.decode(errors='replace')) or _LOOK}"


def advice(said: str) -> str:
    """What to do about what tools in a guest complain of; empty if they say nothing that is known."""
    if _TOO_LONG in said:
        return "; what to do: a path of more than 4095 bytes cannot be opened: shorten or remove it"
    return _LOOK if any(word in said for word in _DAMAGE) else ""


def _shortened(line: str) -> str:
    half = _LONGEST_LINE // 2
    return line if len(line) <= _LONGEST_LINE else f"{line[:half]}…{line[-half:]}"


def rsync_version(first_line: str) -> tuple[int, ...]:
    """From `rsync  version 3.2.7  protocol version 31`; empty if that is not what it says."""
    words = first_line.replace("version v", "version ").split()
    if "version" not in words[:-1]:
        return ()
    numbers = words[words.index("version") + 1].split(".")
    return tuple(int(digits) for number in numbers[:3] if (digits := "".join(c for c in number if c.isdigit())))


def room_from(said: str) -> Room:
    """From the line of scripts.ROOM."""
    filesystem, *figures = said.split()
    used, used_inodes, free, free_inodes = (int(figure) for figure in figures)
    # btrfs, and xfs in part, promise no number of inodes
    return Room(used, used_inodes, free, None if filesystem in {"xfs", "btrfs"} else free_inodes, filesystem)
