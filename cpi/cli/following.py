"""Follows moves until they end, with a progress bar on a terminal."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from cpi.cli import screen
from cpi.cli.stopping import Stopping, leave
from cpi.contract import errors
from cpi.contract.encoding import to_plain
from cpi.kit.waiting import wait_until
from cpi.migration.durable.records import MoveRecord, Outcome, Standing

if TYPE_CHECKING:  # the engine takes long to import
    from cpi.migration.durable.book import Book
    from cpi.migration.durable.workflow import Engine

_LOOK_SECONDS: Final = 0.3
_LOOKS_WITHOUT_END: Final = 60
_FOR_EVER: Final = float("inf")
_MIB: Final = 1 << 20
ENDED: Final = {
    Standing.MOVED: "completed", Standing.REFUSED: "was refused", Standing.CANCELLED: "was cancelled", Standing.FAILED: "failed",
}  # fmt: skip


def until(come: Callable[[], bool]) -> None:
    """Wait for as long as it takes."""
    wait_until(
        come, "the moves", deadline_seconds=_FOR_EVER, first_pause_seconds=_LOOK_SECONDS, longest_pause_seconds=_LOOK_SECONDS
    )


def follow(book: "Book", move_id: str, stopping: Stopping, is_idle: Callable[[], bool] = lambda: False) -> MoveRecord:
    """Show a move until it has ended. The first signal cancels it.

    is_idle says whether this process, which runs the move, has nothing to do. Raises CloudError if its end was not saved.
    """
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    console = screen.err()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("checking the VM and its disk", total=None)
        seen, cancelling, idle = [0], [False], [0]

        def over() -> bool:
            record = book.move(move_id)
            if stopping.asked and not cancelling[0]:
                cancelling[0] = True
                book.cancel(move_id)
                screen.err().print(
                    "cancelling: undone unless the disks are already swapped; press Ctrl-C again to leave it unfinished"
                )
            for event in record.events:
                if int(event["serial"]) > seen[0]:
                    seen[0] = int(event["serial"])
                    progress.update(task, **_shown(event))
                    if not console.is_terminal:
                        console.print(f"{event['seconds']:8.1f} s  {event['kind']}: {event['message']}", soft_wrap=True)
            idle[0] = idle[0] + 1 if is_idle() and not record.standing.is_over else 0
            if idle[0] > _LOOKS_WITHOUT_END:
                raise errors.CloudError(
                    f"move {move_id} has ended, but its result could not be saved;"
                    f" when the database has space again: cpi migrate --resume {move_id}"
                )
            return record.standing.is_over

        until(over)
    return book.move(move_id)


def _shown(event: Mapping[str, Any]) -> dict[str, Any]:
    told = event.get("progress")
    done, of = (told["copied_bytes"], told["of_bytes"]) if told else (event.get("number") or 0, event.get("of") or None)
    return {"total": of, "completed": done, "description": words_of(event)}


def words_of(event: Mapping[str, Any]) -> str:
    """An event in a few words, with the figures that it has."""
    told = event.get("progress")
    if not told:
        return str(event["message"])
    figures = [
        f"pass {told['number']}",
        f"{told['copied_bytes'] / _MIB:.0f} of {told['of_bytes'] / _MIB:.0f} MiB",
        f"{told['rate'] / _MIB:.0f} MiB/s",
    ]
    if told.get("changed_bytes") is not None:
        figures.append(f"{told['changed_bytes'] / _MIB:.0f} MiB had changed")
    if told.get("expected_down_seconds") is not None:
        figures.append(f"jobs down for about {told['expected_down_seconds']:.1f} s")
    return ", ".join(figures)


def finish_others(engine: "Engine", hint: str) -> None:
    """Finish the moves taken over from dead processes too. A signal leaves them unfinished."""
    if engine.is_idle:
        return
    stopping = Stopping(hint)
    screen.err().print("finishing a move that a dead process left unfinished")
    until(lambda: engine.is_idle or stopping.asked)
    if not engine.is_idle:
        leave(hint)


def show_outcome(record: MoveRecord, *, as_json: bool) -> None:
    """Show how a move ended. Raises CloudError if it was not completed."""
    outcome = record.outcome or Outcome(Standing.FAILED, "the move has not ended")
    if as_json:
        screen.show_json(to_plain(outcome.report) if outcome.standing is Standing.MOVED else to_plain(outcome))
    elif outcome.report is not None and outcome.standing is Standing.MOVED:
        report = outcome.report
        new_vm = f" on the new VM {report.new_vm_cid}" if report.new_vm_cid else ""
        where = Text.assemble("moved ", report.old_disk_cid, " to ", (report.disk_cid, "bold"), new_vm)
        screen.out().print(where, f"({report.strategy.value}: {report.reason})", soft_wrap=True)
        screen.out().print(f"jobs down for {report.jobs_down_seconds:.1f} s, total time {report.seconds:.1f} s", soft_wrap=True)
        if report.kept_until:
            kept = f"the way back: the VM {report.vm_cid} with {report.old_disk_cid}, to be kept until {report.kept_until}"
            screen.out().print(kept, soft_wrap=True)
        for note in report.notes:
            screen.out().print(Text(f"  {note}"), soft_wrap=True)
    if outcome.standing is not Standing.MOVED:
        sys.stdout.flush()
        again = f"\n  to retry: cpi migrate --resume {record.move_id}" if outcome.left else ""
        raise errors.CloudError(f"move {record.move_id} {ENDED[outcome.standing]}: {outcome.message}{again}")


def age(since: float) -> str:
    """How long ago, in words."""
    seconds = max(0, int(time.time() - since))
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def engine_of(url: str | None, *, works: bool) -> "Engine":
    """The engine of this process, which exits at once if others consider it dead."""
    from cpi.durable.database import database
    from cpi.migration.durable.workflow import Engine

    return Engine(database(url), _lost, works=works)


def _lost(message: str) -> None:
    leave(f"exiting; another process takes over the moves (cpi migrate --resume ID, cpi worker): {message}")
