"""A process that makes one move, and dies where it is asked to."""

from typing import Any

from msgspec.structs import force_setattr

from cpi.agent.protocol import Deadlines
from cpi.contract.encoding import from_plain, to_plain
from cpi.durable.database import database
from cpi.kit.waiting import wait_until
from cpi.migration.durable import workflow
from cpi.migration.durable.entry import Entry
from cpi.migration.durable.records import Outcome, Standing
from tests import dying

_SECONDS = 300.0
"""A move takes a few; on a machine that does much else it takes many, and that is no fault."""
_WITH_THE_DEAD_SECONDS = 0.1
"""An agent that was killed answers no more, however long one waits; until then there is patience."""


def moved(request: dict[str, Any]) -> Any:
    """Begin the move, or go on with it, and tell how it ended."""
    deadlines = Deadlines(start=120, task=120, copy=120)
    dying.when_hurt.append(lambda: force_setattr(deadlines, "ready", _WITH_THE_DEAD_SECONDS))
    with workflow.Engine(database(request["database"]), dying.lost, works=True, deadlines=deadlines) as mover:
        move_id = request["move_id"]
        if request.get("again"):
            move_id = mover.start_again(mover.book.move(move_id))
        elif request.get("resume"):
            record = mover.book.move(move_id)
            move_id = mover.start_again(record) if record.standing.is_over and record.standing is not Standing.MOVED else move_id
        elif "entry" in request and not _is_known(mover, move_id):
            mover.start(from_plain(request["entry"], Entry), move_id)
        outcome = _ended(mover, move_id)
        if request.get("resume") and outcome.disk_lost and not outcome.swapped and not outcome.left:
            move_id = mover.start_again(mover.book.move(move_id))
            outcome = _ended(mover, move_id)
        return {**to_plain(outcome), "move_id": move_id, "struck": request.get("struck", False)}


def _ended(mover: workflow.Engine, move_id: str) -> Outcome:
    wait_until(
        lambda: mover.book.move(move_id).standing.is_over and mover.is_idle,
        f"the move {move_id}",
        deadline_seconds=_SECONDS,
        longest_pause_seconds=0.1,
    )
    outcome = mover.book.move(move_id).outcome
    assert outcome is not None
    return outcome


def _is_known(mover: workflow.Engine, move_id: str) -> bool:
    return any(record.move_id == move_id for record in mover.book.moves())


if __name__ == "__main__":
    dying.answer(moved)
