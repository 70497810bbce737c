"""Where work is kept: SQLite in the user's state folder, or PostgreSQL by URL."""

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from cpi.contract import errors
from cpi.durable.locks import FolderLocks, Locks, PostgresLocks
from cpi.kit.redaction import scrubbed

_SQLITE: Final = "sqlite:///"
_BUSY_SECONDS: Final = 30.0
_POSTGRES: Final = frozenset({"postgresql", "postgres"})


class Database(msgspec.Struct, frozen=True):
    """One place where work is kept."""

    url: str
    path: Path | None
    """The file, of SQLite."""

    def exists(self) -> bool:
        """Whether anything can be in it."""
        return self.path is None or self.path.exists()

    def prepare(self) -> None:
        """Make the file, for its owner alone. Raises CpiError if it cannot be used."""
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.touch(mode=0o600)
        except OSError as error:
            where = "choose another place with --database (sqlite:///PATH, or PostgreSQL's URL)"
            raise errors.CpiError(f"{self.path} cannot be created: {error.strerror}; {where}") from error
        try:
            with contextlib.closing(sqlite3.connect(self.path, timeout=_BUSY_SECONDS)) as connection:
                # the file keeps this: who looks at a move does not hold it up, and a record is synced once, not three times
                connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.Error as error:
            raise errors.CpiError(f"{self.path} cannot be used as a database: {error}") from error

    def locks(self, on_lost: Callable[[str], None]) -> Locks:
        """The locks of all who work on it. on_lost is told when they are gone though nobody gave them back."""
        if self.path is not None:
            return FolderLocks(self.path.parent / f"{self.path.name}.locks")
        return PostgresLocks(self.url, on_lost)


def database(url: str | None = None, name: str = "moves") -> Database:
    """The one at url; none means NAME.sqlite in the state folder. Raises CpiError for what is no such URL."""
    if url is None:
        path = _state_folder() / f"{name}.sqlite"
        return Database(f"{_SQLITE}{path}", path)
    if url.startswith(_SQLITE):
        path = Path(url.removeprefix(_SQLITE)).expanduser().absolute()
        return Database(f"{_SQLITE}{path}", path)
    address = urlsplit(url)
    if address.scheme not in _POSTGRES:
        raise errors.CpiError(f"{scrubbed(url)!r} is not a database URL: use postgresql://USER@HOST/NAME or sqlite:///PATH")
    return Database(address._replace(scheme="postgresql", query=_in_utf8(address.query)).geturl(), None)


def _in_utf8(query: str) -> str:
    """Texts come as text whatever the database's encoding is, unless the operator says another."""
    return query if "client_encoding=" in query else "&".join(filter(None, (query, "client_encoding=utf8")))


def _state_folder() -> Path:
    told = os.environ.get("XDG_STATE_HOME")
    return (Path(told) if told else Path.home() / ".local" / "state") / "multicpi"
