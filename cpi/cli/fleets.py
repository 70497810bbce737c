"""A fleet of moves, queued and followed."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from cpi.cli import pictures, screen
from cpi.cli.following import engine_of, finish_others, until
from cpi.cli.staleness import tell_after_moves
from cpi.cli.stopping import Stopping
from cpi.contract import errors
from cpi.contract.encoding import to_plain
from cpi.migration.durable.records import Standing

if TYPE_CHECKING:  # the engine takes long to import
    from collections.abc import Sequence

    from cpi.migration.durable.book import Book
    from cpi.migration.durable.records import MoveRecord
    from cpi.migration.durable.workflow import Engine
    from cpi.migration.fleet import Fleet, FleetReport
    from cpi.migration.fleet_table import FleetRow


def move_fleet(wanted: "Fleet", url: str | None, page: Path | None, *, works: bool, as_json: bool) -> None:
    """Queue a fleet, move it unless workers do, and show the result."""
    pictures.check_page(page)
    with engine_of(url, works=works) as engine:
        fleet_id = engine.start_fleet(wanted)
        screen.err().print(f"fleet {fleet_id}: {len(wanted.entries)} moves")
        if not works:
            screen.show_json({"fleet_id": fleet_id})
            return
        _follow_fleet(engine, fleet_id, wanted)
        hint = "the moves are left unfinished; to continue, start `cpi worker`"
        finish_others(engine, hint)
        report, records = engine.book.fleet_report(fleet_id), records_of(engine.book, fleet_id)
        tell_after_moves(records, engine.book, url)
    if report is None:
        raise errors.CloudError(f"fleet {fleet_id} has ended without a report; see `cpi migrations`")
    show_fleet(fleet_id, report, records, page, as_json=as_json)
    if report.moved < report.entries:
        raise errors.CloudError(f"not all were moved{f': {report.stopped}' if report.stopped else ''}; see `cpi migrations`")


def show_fleet(
    fleet_id: str, report: "FleetReport | None", records: "Sequence[MoveRecord]", page: Path | None, *, as_json: bool
) -> None:
    """A row for each disk, and a summary. report is None while the fleet has not ended."""
    from cpi.migration.fleet_table import rows_of

    rows = rows_of(records)
    if report is None:
        ended = sum(record.standing.is_over for record in records)
        summary = f"running: {ended} of {len(records)} started moves have ended"
    else:
        summary = f"{report.moved} moved, {report.failed} failed, {report.not_begun} not started"
        summary += f": {report.stopped}" if report.stopped else ""
    pictures.write_page(page, f"fleet {fleet_id}", summary, rows)
    if as_json:
        plain = {"fleet_id": fleet_id} if report is None else to_plain(report)
        moves = [{key: value for key, value in to_plain(row).items() if key != "report"} for row in rows]
        screen.show_json({**plain, "moves": moves})
    else:
        screen.out().print(_table(rows))
        screen.out().print(summary, soft_wrap=True)


def _table(rows: "Sequence[FleetRow]") -> Table:
    from cpi.migration.picture.words import seconds

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("disk", "size", "end", "jobs down", "total", "compared", "notes"):
        table.add_column(heading, overflow="fold", no_wrap=heading in {"jobs down", "in all"})
    for row in rows:
        figures = ["" if count is None else seconds(count) for count in (row.jobs_down_seconds, row.seconds)]
        end = Text(row.standing, style="green" if row.standing == Standing.MOVED.value else "red")
        table.add_row(Text(row.disks), Text(row.sizes), end, *figures, Text(row.verified), Text("\n".join(row.told)))
    return table


def records_of(book: "Book", fleet_id: str) -> "list[MoveRecord]":
    """The moves of a fleet, in the order of its entries."""
    return [record for record in book.moves() if record.fleet_id == fleet_id]


def _follow_fleet(engine: "Engine", fleet_id: str, fleet: "Fleet") -> None:
    stopping = Stopping("running moves are left unfinished; the next `cpi worker` undoes them unless their disks are swapped")
    console = screen.err()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(fleet.entries))
        cancelled = [False]

        def over() -> bool:
            if stopping.asked and not cancelled[0]:
                cancelled[0] = True
                engine.book.cancel(fleet_id)
                screen.err().print(
                    "cancelling: no more moves start; running moves are undone unless their disks are already swapped"
                )
            mine = [record.standing for record in records_of(engine.book, fleet_id)]
            ended = [standing for standing in mine if standing.is_over]
            bad = len(ended) - ended.count(Standing.MOVED)
            progress.update(task, completed=len(ended), description=f"{len(mine) - len(ended)} running, {bad} failed")
            return engine.book.has_ended(fleet_id)

        until(over)
