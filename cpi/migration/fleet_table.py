"""A fleet as a person reads it in one glance: a row for each disk. Pure."""

from collections.abc import Iterable

import msgspec

from cpi.contract.units import MiB, bytes_from_mib
from cpi.migration.durable.records import MoveRecord
from cpi.migration.picture import words
from cpi.migration.report import Report, Strategy

_IN_PLACE = frozenset({Strategy.NATIVE_RESIZE, Strategy.NATIVE_UPDATE, Strategy.ONLINE, Strategy.NOTHING})


class FleetRow(msgspec.Struct, frozen=True):
    """One disk."""

    move_id: str
    vm: str
    disk: str
    new_disk: str | None
    """The disk with the data now; None if the move was not made."""

    old_size: MiB | None
    """Where it was told."""

    size: MiB
    standing: str
    strategy: str | None
    jobs_down_seconds: float | None
    seconds: float | None
    verified: str
    """What was compared, in words; empty if nothing was."""

    notes: tuple[str, ...]
    message: str = ""
    """Why it was not made."""

    report: Report | None = None

    @property
    def disks(self) -> str:
        """Before and after."""
        return self.disk if self.new_disk in {None, self.disk} else f"{self.disk} → {self.new_disk}"

    @property
    def sizes(self) -> str:
        """Before and after; a size that was not told is left out."""
        after = words.size(bytes_from_mib(self.size))
        return f"→ {after}" if self.old_size is None else f"{words.size(bytes_from_mib(self.old_size))} → {after}"

    @property
    def told(self) -> tuple[str, ...]:
        """What is to be said of it."""
        return (self.message, *self.notes) if self.message else self.notes


def rows_of(records: Iterable[MoveRecord]) -> tuple[FleetRow, ...]:
    """In the order of the moves."""
    return tuple(_row(record) for record in records)


def _row(record: MoveRecord) -> FleetRow:
    outcome, entry = record.outcome, record.entry
    report = outcome.report if outcome is not None else None
    swapped = outcome is not None and outcome.swapped
    return FleetRow(
        move_id=record.move_id,
        vm=str(entry.vm),
        disk=str(entry.disk),
        new_disk=str(report.disk_cid) if report is not None and swapped else None,
        old_size=entry.old_size,
        size=entry.size,
        standing=record.standing.value,
        strategy=None if report is None else report.strategy.value,
        jobs_down_seconds=None if report is None else report.jobs_down_seconds,
        seconds=None if report is None else report.seconds,
        verified="" if report is None else verified(report),
        notes=() if report is None else report.notes,
        message="" if outcome is None else outcome.message,
        report=report,
    )


def verified(report: Report) -> str:
    """What of both disks was compared; empty if nothing was."""
    if report.strategy in _IN_PLACE:
        return "the same disk"
    told = [] if report.listed_paths is None else [f"{words.number(report.listed_paths, 'path')} listed on both"]
    told += [] if report.verified_bytes is None else [f"{words.size(report.verified_bytes)} compared"]
    return ", ".join(told)
