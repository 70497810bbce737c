"""Names, on stderr, everything that still refers to an old disk, and records that cannot be read."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from cpi.cli import screen
from cpi.cli.disk_records import known_files

if TYPE_CHECKING:  # the engine takes long to import
    from cpi.contract.ids import DiskCid
    from cpi.migration.durable.book import Book
    from cpi.migration.durable.records import MoveRecord
    from cpi.resurrection.instance import Instance
    from cpi.resurrection.watchfile import Watchfile


def tell_after_moves(made: "Iterable[MoveRecord]", book: "Book", url: str | None) -> None:
    """Name the files and moves that still refer to a disk that one of these moves has replaced, and unreadable records."""
    heirs = dict(heir for record in made if (heir := _heir(record)) is not None)
    gone = {record.entry.disk for record in made if record.entry.to is not None}
    files = known_files(url) if heirs else []
    moves = book.moves()
    for old, new in heirs.items():
        for file in files:
            names = ", ".join(file.naming(old))
            if names and old in gone:
                _say(f"{file.words()} ({names}) still names {old}, which is on another cloud now: take the instance out of it")
            elif names:
                _say(f"{file.words()} ({names}) still names {old}; `cpi watch` follows the move, but please change it to {new}")
        for other in moves:
            if not other.standing.is_over and other.entry.disk == old:
                _say(f"the move {other.move_id} is queued for {old}, which is an orphan now")
    tell_unreadable(book.unreadable)


def _heir(record: "MoveRecord") -> "tuple[DiskCid, DiskCid] | None":
    outcome = record.outcome
    report = outcome.report if outcome is not None and outcome.swapped else None
    return None if report is None or report.disk_cid == report.old_disk_cid else (report.old_disk_cid, report.disk_cid)


def tell_stale_entries(plan: "Watchfile", now: "Mapping[str, Instance]") -> None:
    """Which instances of a file have other disks now than it says, by their names."""
    for instance in plan.instances:
        for named, has in zip(instance.disks, now[instance.name].disks, strict=True):
            if named != has:
                _say(f"{plan.path} ({instance.name}) still names {named}, which a move has replaced; change it to {has}")


def tell_unreadable(reasons: Mapping[str, str]) -> None:
    """The records that were left out."""
    for work_id, reason in sorted(reasons.items()):
        screen.show_fault(f"left out: the record {work_id} cannot be read: {reason}")


def _say(words: str) -> None:
    screen.err().print(words, soft_wrap=True)
