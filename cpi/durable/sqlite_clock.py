"""The clock that DBOS asks SQLite for, where SQLite has none.

On Python 3.12 and later DBOS writes `unixepoch('subsec')` into its tables, which SQLite knows from 3.42 on; older ones, such as
Debian 12's, answer NULL, and no work can be kept.
"""

import contextlib
import sqlite3
import time
from typing import Any, Final

from sqlalchemy import Engine, event

_FIRST_WITH_SUBSEC: Final = (3, 42)


def be_told_of_connections() -> None:
    """From now on every connection of SQLAlchemy to an SQLite that lacks the clock is given it."""
    if sqlite3.sqlite_version_info < _FIRST_WITH_SUBSEC and not event.contains(Engine, "connect", _connected):
        event.listen(Engine, "connect", _connected)


def _connected(connection: Any, _: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        give_clock(connection)


def give_clock(connection: sqlite3.Connection) -> None:
    """Let a connection understand unixepoch('subsec'); any other argument means what it meant."""
    connection.create_function("unixepoch", 1, _unixepoch)


def _unixepoch(moment: Any) -> Any:
    if moment == "subsec":
        return time.time()
    with contextlib.closing(sqlite3.connect(":memory:")) as other:
        return other.execute("SELECT CAST(strftime('%s', ?) AS INTEGER)", (moment,)).fetchone()[0]
