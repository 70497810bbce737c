"""The state of a local cloud: one SQLite file, shared by any number of processes and threads.

Each transaction opens the file anew, so nothing is shared between threads and a fork does no harm. The journal is a
rollback journal that keeps its place on disk: on a full disk, where a write-ahead log could not even be opened, resources
can still be read and deleted. Everyone waits for a turn, readers too: a reader that finds the file locked would try again
now and then, and among many writers never at the right moment.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

from cpi.contract import errors
from cpi_drivers.local.host import turns
from cpi_drivers.local.host.layout import Layout

_BUSY_SECONDS: Final = 60.0
_VERSION: Final = 1
_SCHEMA: Final = (
    """CREATE TABLE stemcells (
        cid TEXT PRIMARY KEY, state TEXT NOT NULL, born TEXT NOT NULL,
        properties TEXT NOT NULL, tags TEXT NOT NULL)""",
    """CREATE TABLE vms (
        cid TEXT PRIMARY KEY, state TEXT NOT NULL, born TEXT NOT NULL, token TEXT UNIQUE,
        agent_id TEXT NOT NULL, stemcell_cid TEXT NOT NULL REFERENCES stemcells, properties TEXT NOT NULL,
        address TEXT NOT NULL, port INTEGER NOT NULL, networks TEXT NOT NULL, metadata TEXT NOT NULL)""",
    """CREATE TABLE addresses (
        address TEXT PRIMARY KEY, vm_cid TEXT NOT NULL REFERENCES vms ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
        network TEXT NOT NULL, network_cid TEXT REFERENCES networks)""",
    """CREATE TABLE disks (
        cid TEXT PRIMARY KEY, state TEXT NOT NULL, born TEXT NOT NULL, token TEXT UNIQUE,
        name TEXT NOT NULL, backing TEXT NOT NULL, size INTEGER NOT NULL, properties TEXT NOT NULL, metadata TEXT NOT NULL,
        vm_cid TEXT REFERENCES vms, link TEXT NOT NULL DEFAULT '', hint TEXT NOT NULL DEFAULT '')""",
    """CREATE TABLE snapshots (
        cid TEXT PRIMARY KEY, state TEXT NOT NULL, born TEXT NOT NULL,
        disk_cid TEXT NOT NULL, backing TEXT NOT NULL, size INTEGER NOT NULL, metadata TEXT NOT NULL)""",
    """CREATE TABLE networks (
        cid TEXT PRIMARY KEY, state TEXT NOT NULL, born TEXT NOT NULL,
        range TEXT NOT NULL, gateway TEXT NOT NULL, properties TEXT NOT NULL)""",
    "CREATE INDEX addresses_of_vm ON addresses (vm_cid)",
    "CREATE INDEX disks_of_vm ON disks (vm_cid)",
    *(
        f"CREATE INDEX unfinished_{kind} ON {kind} (cid) WHERE state <> 'ready'"
        for kind in ("stemcells", "vms", "disks", "snapshots", "networks")
    ),
    "CREATE INDEX unsettled_disks ON disks (cid) WHERE link = 'changing'",
    f"PRAGMA user_version = {_VERSION}",
)


class Database(sqlite3.Connection):
    """A connection that takes any string: JSON can bring half a character, which SQLite does not store."""

    def execute(self, statement: str, values: Mapping[str, object] | Sequence[object] = (), /) -> sqlite3.Cursor:  # type: ignore[override]  # narrower than what SQLite takes
        """One statement with its values."""
        if isinstance(values, Mapping):
            return super().execute(statement, {name: _whole(value) for name, value in values.items()})
        return super().execute(statement, [_whole(value) for value in values])


class State:
    """What is on record."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the block or nothing; one at a time over all processes."""
        with self._opened() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
            finally:
                if database.in_transaction:
                    database.execute("ROLLBACK")

    def rows(self, query: str, values: Mapping[str, object] | None = None) -> list[sqlite3.Row]:
        """What one query finds."""
        with self._opened() as database:
            return database.execute(query, values or {}).fetchall()

    def change(self, statement: str, values: Mapping[str, object]) -> None:
        """One statement as a transaction."""
        with self.transaction() as database:
            database.execute(statement, values)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        if not self._layout.database.exists():
            self._layout.make_root()
            os.close(os.open(self._layout.database, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        with self._turn():
            database = sqlite3.connect(self._layout.database, timeout=_BUSY_SECONDS, isolation_level=None, factory=Database)
            try:
                database.row_factory = sqlite3.Row
                database.execute("PRAGMA journal_mode = PERSIST")
                database.execute("PRAGMA foreign_keys = ON")
                self._bring_up_to_date(database)
                yield database
            finally:
                database.close()

    def _turn(self) -> AbstractContextManager[None]:
        if os.statvfs(self._layout.root).f_flag & os.ST_RDONLY:
            return contextlib.nullcontext()  # it can be looked at; nobody writes
        return turns.turn(self._layout.turns, f"{self._layout.database} is used by other calls, which did not end")

    def _bring_up_to_date(self, database: sqlite3.Connection) -> None:
        version = _version(database)
        if version > _VERSION:
            raise errors.CpiError(f"{self._layout.database} was made by a newer version of this CPI: use that one")
        if version == _VERSION:
            return
        database.execute("BEGIN IMMEDIATE")
        try:
            if _version(database) == 0:
                self._see_that_nothing_lies_here()
                for statement in _SCHEMA:
                    database.execute(statement)
            database.execute("COMMIT")
        finally:
            if database.in_transaction:
                database.execute("ROLLBACK")

    def _see_that_nothing_lies_here(self) -> None:
        """A record that was emptied or removed is no new cloud: what it told of is still there. Raises CpiError."""
        left = self._layout.resources()
        if left:
            raise errors.CpiError(
                f"{self._layout.database} is empty or was removed, and there are resources beside it: {', '.join(left)}. "
                "Bring the file back from a backup; or, if these are worth nothing, remove them and it"
            )


def _whole(value: Any) -> Any:
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value


def _version(database: sqlite3.Connection) -> int:
    version: int = database.execute("PRAGMA user_version").fetchone()[0]
    return version
