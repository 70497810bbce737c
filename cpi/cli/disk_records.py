"""What the databases tell about disks: the moves, for those who recreate; the instances files, for those who move or delete."""

import contextlib
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from cpi.cli.stopping import give_up
from cpi.durable.database import database as database_of
from cpi.durable.succession import Succession

if TYPE_CHECKING:  # the engine takes long to import
    from cpi.durable.locks import Locks
    from cpi.durable.works import Row
    from cpi.migration.durable.book import Book
    from cpi.resurrection.durable.files import KnownFile
    from cpi.resurrection.durable.history import History


class KeptMoves:
    """The moves of a database, which may not exist yet; as in DiskRecords."""

    def __init__(self, url: str | None, on_lost: Callable[[str], None]) -> None:
        """on_lost is told that the locks are anybody's: the process has to end at once."""
        self._kept = database_of(url)
        self._on_lost = on_lost
        self._book: Book | None = None
        self._locks: Locks | None = None
        self._guard = threading.Lock()

    def look(self) -> Succession:
        """As in DiskRecords."""
        if not self._kept.exists():
            return Succession()
        from cpi.migration.durable.succession import succession_of
        from cpi.migration.durable.workflow import open_book

        if self._book is None:
            self._book = open_book(self._kept, self._on_lost)
        return succession_of(self._book.moves())

    @property
    def unreadable(self) -> Mapping[str, str]:
        """The moves that cannot be read, and why."""
        return {} if self._book is None else self._book.unreadable

    def hold(self, name: str) -> bool:
        """As in DiskRecords."""
        with self._guard:
            if self._locks is None:
                self._locks = self._kept.locks(self._on_lost)
            return self._locks.hold(name)

    def release(self, name: str) -> None:
        """As in DiskRecords."""
        with self._guard:
            if self._locks is not None:
                self._locks.release(name)


def known_files(url: str | None) -> "list[KnownFile]":
    """The instances files that were watched, checked or resurrected with a database."""
    from cpi.resurrection.durable.files import FILE
    from cpi.resurrection.durable.files import known_files as files_in

    return files_in(_rows(url, FILE))


def resurrections(url: str | None) -> "History":
    """Which VM has replaced which."""
    from cpi.resurrection.durable.history import History

    return History(_rows(url, "resurrection"))


def _rows(url: str | None, name: str) -> "list[Row]":
    from cpi.durable.engine import works_of

    kept = database_of(url, "resurrections")
    if not kept.exists():
        return []
    with contextlib.closing(kept.locks(give_up)), contextlib.closing(works_of(kept)) as works:
        return works.rows(name)
