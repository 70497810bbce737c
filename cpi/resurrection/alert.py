"""What is told to people: what happened, what was done, how long the jobs were down."""

import datetime as dt
from collections.abc import Callable
from enum import Enum
from typing import Final

import msgspec

from cpi.contract.ids import VmCid

SEVERITIES: Final = ("info", "warning", "error", "critical")


class Kind(Enum):
    """What happened."""

    DOWN = "down"
    """An instance is down; it will be recreated."""

    HELD = "held"
    """An instance is down, and nothing is done about it."""

    BACK = "back"
    """It is there again by itself."""

    RECREATED = "recreated"
    FAILED = "failed"
    MELTDOWN = "meltdown"
    """So many are down that nothing is recreated."""

    OVER = "meltdown over"
    BUS_LOST = "bus lost"
    """The message bus cannot be reached, so nothing is known of the agents on it."""

    BUS_FOUND = "bus found"
    FILLING = "filling"
    """A disk is getting full."""

    GROWN = "grown"
    """It has room again."""

    CANNOT_GROW = "cannot grow"

    @property
    def severity(self) -> str:
        """One of SEVERITIES."""
        return _SEVERITIES.get(self, "info")

    @property
    def ends(self) -> bool:
        """Whether with it something is over that was told before."""
        return self in {Kind.BACK, Kind.RECREATED, Kind.OVER, Kind.BUS_FOUND, Kind.GROWN}


_SEVERITIES = {
    Kind.MELTDOWN: "critical", Kind.FAILED: "critical", Kind.HELD: "error", Kind.BUS_LOST: "error", Kind.DOWN: "warning",
    Kind.CANNOT_GROW: "error", Kind.FILLING: "warning",
}  # fmt: skip


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened; nothing secret."""

    kind: Kind
    message: str
    instance: str = ""
    group: str = ""
    old_vm: VmCid | None = None
    vm: VmCid | None = None
    """The VM that was made."""

    done: tuple[str, ...] = ()
    """The steps that were done."""

    jobs_down_seconds: float | None = None
    used_percent: float | None = None
    full_in_seconds: float | None = None
    """Of a disk, at the rate of the last hours."""

    down: tuple[str, ...] = ()
    """In a meltdown: who is down."""

    at: str = msgspec.field(default_factory=lambda: dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"))

    @property
    def subject(self) -> str:
        """What opens and closes together: one incident of one instance or its disk, or the meltdown, or the bus."""
        if self.kind in {Kind.FILLING, Kind.GROWN, Kind.CANNOT_GROW}:
            return f"{self.instance} disk"
        return self.instance or ("bus" if self.kind in {Kind.BUS_LOST, Kind.BUS_FOUND} else "meltdown")


Tell = Callable[[Alert], None]
