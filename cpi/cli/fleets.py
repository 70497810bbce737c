"""A fleet of moves, queued and followed."""

from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cpi.cli import screen
from cpi.cli.following import engine_of, finish_others, until
from cpi.cli.staleness import tell_after_moves
from cpi.cli.stopping import Stopping
from cpi.contract import errors
from cpi.contract.encoding import to_plain
from cpi.migration.durable.records import Standing

if TYPE_CHECKING:  # the engine takes long to import
    from cpi.migration.durable.book import Book
    from cpi.migration.durable.records import MoveRecord
    from cpi.migration.durable.workflow import Engine
    from cpi.migration.fleet import Fleet


def move_fleet(wanted: "Fleet", url: str | None, *, works: bool, as_json: bool) -> None:
    """Queue a fleet, and unless others work, move it; show how it ends."""
    with engine_of(url, works=works) as engine:
        fleet_id = engine.start_fleet(wanted)
        screen.err().print(f"fleet {fleet_id}: {len(wanted.entries)} moves")
        if not works:
            screen.show_json({"fleet_id": fleet_id})
            return
        _follow_fleet(engine, fleet_id, wanted)
        hint = "the moves are left as they are: start `cpi worker` to go on"
        finish_others(engine, hint)
        report = engine.book.fleet_report(fleet_id)
        tell_after_moves(records_of(engine.book, fleet_id), engine.book, url)
    if report is None:
        raise errors.CloudError(f"the fleet {fleet_id} has ended without a report; see `cpi migrations`")
    if as_json:
        screen.show_json(to_plain(report))
    else:
        screen.out().print(f"{report.moved} moved, {report.failed} failed, {report.not_begun} not begun")
    if report.moved < report.entries:
        raise errors.CloudError(f"not all were moved{f': {report.stopped}' if report.stopped else ''}; see `cpi migrations`")


def records_of(book: "Book", fleet_id: str) -> "list[MoveRecord]":
    """The moves of a fleet, in the order of its entries."""
    return [record for record in book.moves() if record.fleet_id == fleet_id]


def _follow_fleet(engine: "Engine", fleet_id: str, fleet: "Fleet") -> None:
    stopping = Stopping("what was under way is left as it is: the next `cpi worker` undoes it, unless the disks are swapped")
    console = screen.err()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(fleet.entries))
        cancelled = [False]

        def over() -> bool:
            if stopping.asked and not cancelled[0]:
                cancelled[0] = True
                engine.book.cancel(fleet_id)
                screen.err().print("cancelling: no more moves begin, those under way are undone unless swapped already")
            mine = [record.standing for record in records_of(engine.book, fleet_id)]
            ended = [standing for standing in mine if standing.is_over]
            bad = len(ended) - ended.count(Standing.MOVED)
            progress.update(task, completed=len(ended), description=f"{len(mine) - len(ended)} under way, {bad} failed")
            return engine.book.has_ended(fleet_id)

        until(over)
