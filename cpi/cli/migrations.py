"""`cpi migrations`: the moves that a database knows."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cpi.cli import screen
from cpi.cli.following import age, follow, show_outcome, until, words_of
from cpi.cli.migration_options import AsJson, DatabaseUrl
from cpi.cli.stopping import Stopping
from cpi.contract.encoding import to_plain
from cpi.durable.database import database as database_of
from cpi.migration.durable.records import MoveRecord, Standing

if TYPE_CHECKING:  # the engine takes long to import
    from cpi.migration.durable.book import Book

migrations = typer.Typer(help="Show the disk moves: those under way, those left by a dead process, those that ended.")

_STYLES: Final = {
    Standing.MOVED: "green", Standing.UNDER_WAY: "cyan", Standing.QUEUED: "dim", Standing.LEFT: "yellow",
    Standing.REFUSED: "red", Standing.CANCELLED: "yellow", Standing.FAILED: "red",
}  # fmt: skip
Following = Annotated[bool, typer.Option("--follow", "-f", help="Stay, and show how they go on, until all have ended.")]


@migrations.callback(invoke_without_command=True)
def show(context: typer.Context, *, follow: Following = False, json: AsJson = False, database: DatabaseUrl = None) -> None:
    """Show the disk moves: those under way, those left by a dead process, those that ended."""
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
    finally:
        book.close()


@migrations.command()
def cancel(move_id: Annotated[str, typer.Argument(help="The move, or the fleet.")], *, database: DatabaseUrl = None) -> None:
    """Give a move up: all is undone if the disks are not swapped yet, else it gets to its end.

    If the process that made the move is dead, this one undoes it.
    """
    book = _book(database)
    try:
        book.cancel(move_id)
        if move_id in book.fleets():
            screen.out().print(f"the fleet {move_id} begins no more moves; those under way are undone unless swapped already")
            return
        standing = book.move(move_id).standing
    finally:
        book.close()
    if standing is Standing.LEFT:
        _undo_here(move_id, database)
    else:
        screen.out().print(f"the move {move_id} is {standing.value}" + ("" if standing.is_over else ", and will be given up"))


def _undo_here(move_id: str, url: str | None) -> None:
    from cpi.cli.following import engine_of

    with engine_of(url, works=True) as engine:
        record = follow(engine.book, move_id, Stopping(f"left as it is; to go on: cpi migrations cancel {move_id}"))
    if record.standing is not Standing.CANCELLED:
        show_outcome(record, as_json=False)
    screen.out().print(f"the move {move_id} is {record.standing.value}")


def _book(url: str | None) -> "Book":
    from cpi.migration.durable.workflow import open_book

    return open_book(database_of(url))


def _follow(book: "Book") -> None:
    stopping = Stopping("")
    with Live(_table(book.moves()), console=screen.out(), auto_refresh=False) as live:

        def over() -> bool:
            records = book.moves()
            live.update(_table(records), refresh=True)
            return stopping.asked or all(record.standing.is_over for record in records)

        until(over)


def _table(records: Iterable[MoveRecord]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("move", "state", "vm", "disk", "MiB", "begun", "what"):
        table.add_column(heading, overflow="fold", no_wrap=heading in {"state", "begun"})
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
        return f"jobs down {report.jobs_down_seconds:.1f} s" if report and not record.outcome.message else record.outcome.message
    told = words_of(record.events[-1]) if record.events else ""
    if record.standing is Standing.LEFT:
        told = f"its process died: cpi migrate --resume {record.move_id}"
    return f"{told} (to be given up)" if record.cancelling else told
