"""An SQLite of before 3.42 tells the time as DBOS asks for it."""

import contextlib
import sqlite3
import time
from collections.abc import Iterator

import pytest

from cpi.durable.sqlite_clock import give_clock


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    """One with the clock."""
    with contextlib.closing(sqlite3.connect(":memory:")) as made:
        give_clock(made)
        yield made


def test_a_row_is_given_its_time(connection: sqlite3.Connection) -> None:
    """In milliseconds, as the default of a column."""
    before = time.time()
    connection.execute("CREATE TABLE kept (name TEXT, at INTEGER NOT NULL DEFAULT (unixepoch('subsec') * 1000))")
    connection.execute("INSERT INTO kept (name) VALUES ('one')")
    ((at,),) = connection.execute("SELECT at FROM kept")
    assert before <= at / 1000 <= time.time()


@pytest.mark.parametrize(
    ("moment", "seconds"), [("1970-01-02", 86400), ("2026-01-02T03:04:05", 1767323045), ("no moment", None), (None, None)]
)
def test_any_other_moment_means_what_it_meant(connection: sqlite3.Connection, moment: object, seconds: object) -> None:
    """To those who share the process."""
    assert connection.execute("SELECT unixepoch(?)", (moment,)).fetchone() == (seconds,)
