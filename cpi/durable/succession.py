"""Which disk took which one's place, and which of them a move has in hand: as the moves of a database tell it. Pure."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from cpi.contract.ids import DiskCid


def disk_lock(plugin: str, disk_cid: str) -> str:
    """What a move, or a recreation, holds as long as it has this disk in hand, however its configuration is called."""
    return f"disk {plugin}:{disk_cid}"


class Hold(msgspec.Struct, frozen=True):
    """A move that has a disk in hand."""

    move_id: str
    is_left: bool = False
    """Whether its process has died."""

    gone_to: str = ""
    """The cloud to which it took the disk for good; empty if it is still under way."""

    def words(self, disk_cid: str) -> str:
        """For people, with what to do."""
        if self.gone_to:
            return f"move {self.move_id} took its disk {disk_cid} to another cloud ({self.gone_to}); take it out of this file"
        told = f"move {self.move_id} is using its disk {disk_cid}"
        if not self.is_left:
            return told
        return f"{told}, but its process died: finish it with `cpi migrate --resume {self.move_id}`"


class Succession(msgspec.Struct, frozen=True):
    """Every disk that was replaced, and every one that a move has in hand, by the names of their locks."""

    heirs: Mapping[str, DiskCid] = {}
    holds: Mapping[str, Hold] = {}

    def present(self, plugin: str, disk_cid: DiskCid) -> DiskCid:
        """The disk that holds the data now."""
        seen = {disk_cid}
        while (heir := self.heirs.get(disk_lock(plugin, disk_cid))) is not None and heir not in seen:
            disk_cid = heir
            seen.add(heir)
        return disk_cid

    def hold(self, plugin: str, disk_cid: DiskCid) -> Hold | None:
        """The move that has it in hand."""
        return self.holds.get(disk_lock(plugin, disk_cid))


class DiskRecords(Protocol):
    """What moves have written down about disks, and the locks by which a disk is in one hand at a time."""

    def look(self) -> Succession:
        """As it is now. Raises CpiError if it cannot be read."""

    @property
    def unreadable(self) -> Mapping[str, str]:
        """What was left out when it was looked at last, by its id, and why."""

    def hold(self, name: str) -> bool:
        """Take a lock, unless anybody has it."""

    def release(self, name: str) -> None:
        """Give it back."""
