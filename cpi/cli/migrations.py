"""`cpi migrations`: lists the moves in a database."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cpi.cli import pictures, screen
from cpi.cli.fleets import records_of, show_fleet
from cpi.cli.following import ENDED, age, follow, show_outcome, until, words_of
from cpi.cli.migration_options import AsJson, DatabaseUrl, PageFile, PictureFile, refuse_beside
from cpi.cli.stopping import Stopping, give_up
from cpi.contract.encoding import to_plain
from cpi.durable.database import database as database_of
from cpi.migration.durable.records import MoveRecord, Standing
from cpi.migration.report import Report

if TYPE_CHECKING:  # the engine takes long to import
    from cpi.migration.durable.book import Book

migrations = typer.Typer(help="List disk moves, show one or cancel one.")

_STYLES: Final = {
    Standing.MOVED: "green", Standing.UNDER_WAY: "cyan", Standing.QUEUED: "dim", Standing.LEFT: "yellow",
    Standing.REFUSED: "red", Standing.CANCELLED: "yellow", Standing.FAILED: "red",
}  # fmt: skip
_LINES_OF_A_MOVE: Final = 4
_LONGEST_MESSAGE: Final = 80
Following = Annotated[bool, typer.Option("--follow", "-f", help="Keep showing progress until all moves have ended.")]


@migrations.callback(invoke_without_command=True)
def every(context: typer.Context, *, follow: Following = False, json: AsJson = False, database: DatabaseUrl = None) -> None:
    """List disk moves: running, left unfinished by a dead process, and ended."""
    if context.invoked_subcommand is not None:
        return
    book = _book(database)
    try:
        if json:
            screen.show_json([to_plain(record) for record in book.moves()])
        elif follow:
            _follow(book)
        else:
            screen.out().print(_table(book.moves()))
        for work_id, reason in book.unreadable.items():
            screen.show_fault(f"not shown: {work_id} cannot be read: {reason}")
    finally:
        book.close()


@migrations.command()
def show(
    move_id: Annotated[str, typer.Argument(help="Id of the move or the fleet.")],
    *,
    picture: PictureFile = None,
    page: PageFile = None,
    json: AsJson = False,
    database: DatabaseUrl = None,
) -> None:
    """Show one move: its steps with their times, what failed and what was undone. Or a fleet: a row for each disk."""
    pictures.check(picture)
    pictures.check_page(page)
    book = _book(database)
    try:
        if move_id in book.fleets():
            refuse_beside("a fleet", {"picture": picture})
            show_fleet(move_id, book.fleet_report(move_id), records_of(book, move_id), page, as_json=json)
            return
        refuse_beside("a single move", {"page": page})
        record = book.move(move_id)
    finally:
        book.close()
    pictures.draw(record, picture)
    if json:
        screen.show_json(to_plain(record))
        return
    screen.out().print(_table([record]))
    if record.outcome is not None and record.outcome.message:
        screen.out().print(f"\n{record.outcome.message}", soft_wrap=True)
    report = record.outcome.report if record.outcome else None
    if report is not None:
        screen.out().print(f"\n{report.strategy.value}: {report.reason}", soft_wrap=True)
        screen.out().print(_rows(report))


def _rows(report: Report) -> Table:
    from cpi.migration.picture.timeline import rows
    from cpi.migration.picture.words import seconds

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("at", "took"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("step", "detail"):
        table.add_column(heading, overflow="fold")
    for row in rows(report):
        style = "red" if row.fault else ""
        label = f"  {row.label}" if row.part else row.label
        table.add_row(
            seconds(row.began), seconds(row.seconds), Text(label, style=style), Text(row.fault or row.detail, style=style)
        )
    return table


@migrations.command()
def cancel(move_id: Annotated[str, typer.Argument(help="Id of the move or the fleet.")], *, database: DatabaseUrl = None) -> None:
    """Cancel a move: undo it if the disks are not swapped yet, otherwise finish it.

    If the process that ran the move is dead, this command undoes it.
    """
    book = _book(database)
    try:
        book.cancel(move_id)
        if move_id in book.fleets():
            screen.out().print(f"fleet {move_id} starts no more moves; running moves are undone unless already swapped")
            return
        standing = book.move(move_id).standing
    finally:
        book.close()
    if standing is Standing.LEFT:
        _undo_here(move_id, database)
    else:
        told = f"already {ENDED[standing]}" if standing.is_over else f"is {standing.value} and will be cancelled"
        screen.out().print(f"move {move_id} {told}")


def _undo_here(move_id: str, url: str | None) -> None:
    from cpi.cli.following import engine_of

    with engine_of(url, works=True) as engine:
        record = follow(engine.book, move_id, Stopping(f"left unfinished; to continue: cpi migrations cancel {move_id}"))
    if record.standing is not Standing.CANCELLED:
        show_outcome(record, as_json=False)
    screen.out().print(f"move {move_id} {ENDED[record.standing]}")


def _book(url: str | None) -> "Book":
    from cpi.migration.durable.workflow import open_book

    return open_book(database_of(url), give_up)


def _follow(book: "Book") -> None:
    stopping = Stopping("")
    console = screen.out()
    room = max(console.height // _LINES_OF_A_MOVE, 1)
    with Live(console=console, auto_refresh=False) as live:

        def over() -> bool:
            records = book.moves()
            live.update(_table(newest(records, room)), refresh=True)
            return stopping.asked or all(record.standing.is_over for record in records)

        until(over)


def newest(records: Sequence[MoveRecord], room: int) -> list[MoveRecord]:
    """As many moves as fit, oldest first: running moves have priority, then the latest."""
    by_interest = sorted(records, key=lambda record: (record.standing.is_over, -record.created))
    return sorted(by_interest[:room], key=lambda record: record.created)


def _table(records: Iterable[MoveRecord]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("move", "state", "vm", "disk", "MiB", "started", "detail"):
        table.add_column(heading, overflow="fold", no_wrap=heading in {"state", "started"})
    for record in records:
        state = Text(record.standing.value, style=_STYLES[record.standing])
        report = record.outcome.report if record.outcome else None
        disk = (
            f"{record.entry.disk} → {report.disk_cid}" if report and report.disk_cid != record.entry.disk else record.entry.disk
        )
        began = f"{age(record.created)} ago"
        table.add_row(record.move_id, state, record.entry.vm, disk, str(record.entry.size), began, Text(_what(record)))
    return table


def _what(record: MoveRecord) -> str:
    if record.outcome is not None:
        report = record.outcome.report
        if report and not record.outcome.message:
            return f"jobs down {report.jobs_down_seconds:.1f} s"
        line = record.outcome.message.partition("\n")[0]
        return line if len(line) <= _LONGEST_MESSAGE else f"{line[: _LONGEST_MESSAGE - 1]}…"
    told = words_of(record.events[-1]) if record.events else ""
    if record.standing is Standing.LEFT:
        told = f"its process died; to continue: cpi migrate --resume {record.move_id}"
    return f"{told} (cancelling)" if record.cancelling else told
