"""`cpi worker`: runs queued moves, and those that dead processes left."""

from typing import Annotated, Final

import typer

from cpi.cli import screen
from cpi.cli.following import engine_of, until
from cpi.cli.migration_options import DatabaseUrl
from cpi.cli.stopping import Stopping, leave
from cpi.durable.database import database as database_of

_HINT: Final = "the running moves are left to other workers"


def worker(
    *,
    database: DatabaseUrl = None,
    patience: Annotated[int, typer.Option(help="Seconds to wait for running moves on shutdown.")] = 3600,
) -> None:
    """Run queued moves. Start any number of workers on any number of machines.

    After the first signal the worker takes no more moves and finishes those that run. The second signal leaves them to other
    workers.
    """
    stopping = Stopping(_HINT)
    engine = engine_of(database, works=True)
    kept = database_of(database)
    screen.err().print(f"worker {engine.executor_id} on {kept.path or 'PostgreSQL'}", soft_wrap=True)
    until(lambda: stopping.asked)
    screen.err().print("taking no more moves; waiting for those that run (signal again to exit at once)")
    engine.close(patience)
    if not engine.is_idle:
        leave(_HINT)
