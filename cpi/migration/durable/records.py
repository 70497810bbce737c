"""What is known of a move that is, or was, in the database."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

import msgspec

from cpi.contract.encoding import from_plain
from cpi.contract.ids import DiskCid
from cpi.migration.durable.entry import Entry
from cpi.migration.report import Report


class Standing(Enum):
    """Where a move stands."""

    QUEUED = "queued"
    UNDER_WAY = "under way"
    LEFT = "left"
    """Its process has died: whoever starts takes it up."""

    MOVED = "moved"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self in {Standing.MOVED, Standing.REFUSED, Standing.CANCELLED, Standing.FAILED}


class Outcome(msgspec.Struct, frozen=True):
    """How a move ended, as it is kept."""

    standing: Standing
    message: str = ""
    report: Report | None = None
    swapped: bool = False
    undone: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    disk_lost: bool = False
    """Whether it failed because a disk is not there any more: made anew it may get to its end."""


class MoveRecord(msgspec.Struct, frozen=True):
    """One move."""

    move_id: str
    standing: Standing
    entry: Entry
    created: float
    """Seconds since 1970."""

    fleet_id: str | None = None
    executor_id: str | None = None
    events: tuple[Mapping[str, Any], ...] = ()
    """The last of them; each has a serial."""

    cancelling: bool = False
    outcome: Outcome | None = None
    made: DiskCid | None = None
    """The disk that was made for it and is not in use yet, until that is removed."""

    claims: str | None = None
    """The lock of the disk that it has, or had, in hand; None if it was refused before."""


def outcome_of(kept: Any, fault: str, *, was_cancelled: bool) -> Outcome:
    """From what the work returned, or the fault it ended by."""
    if kept is not None:
        return from_plain(kept, Outcome)
    standing = Standing.CANCELLED if was_cancelled else Standing.FAILED
    return Outcome(standing, message=fault or "ended by hand, in the database")
