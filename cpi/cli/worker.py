"""`cpi worker`: takes queued moves, and those that dead processes left."""

from typing import Annotated, Final

import typer

from cpi.cli import screen
from cpi.cli.following import engine_of, until
from cpi.cli.migration_options import DatabaseUrl
from cpi.cli.stopping import Stopping, leave
from cpi.durable.database import database as database_of

_HINT: Final = "the moves under way here are left to other workers"


def worker(
    *,
    database: DatabaseUrl = None,
    patience: Annotated[int, typer.Option(help="How many seconds moves under way are given when it is told to stop.")] = 3600,
) -> None:
    """Make queued moves, as many workers as you like on any number of machines.

    The first signal lets the moves under way end and takes no more, the second leaves them to other workers.
    """
    stopping = Stopping(_HINT)
    engine = engine_of(database, works=True)
    kept = database_of(database)
    screen.err().print(f"worker {engine.executor_id} on {kept.path or 'PostgreSQL'}", soft_wrap=True)
    until(lambda: stopping.asked)
    screen.err().print("no more moves are taken; again to leave at once")
    engine.close(patience)
    if not engine.is_idle:
        leave(_HINT)
