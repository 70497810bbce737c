"""Locks that die with the process that holds them: who is alive, and who has what in hand."""

import contextlib
import fcntl
import hashlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Protocol

from cpi.contract import errors

_HEARTBEAT_SECONDS: Final = 2.0
_ANSWER_SECONDS: Final = 10
# A machine that lost its power closes no connection: the server asks, so that its locks are free after half a minute.
_ASK_THE_CLIENT: Final = (
    "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=4 -c tcp_user_timeout=30000"
)
# Who only lost the way to the server has to know before that: a question that nobody confirms is not asked for minutes.
_GIVE_UP_MILLISECONDS: Final = 10_000


def executor_lock(executor_id: str) -> str:
    """What a process holds as long as it lives."""
    return f"executor {executor_id}"


class Locks(Protocol):
    """Named locks, shared by all processes that work on one database."""

    def hold(self, name: str) -> bool:
        """Take a lock, unless anybody has it, in this process or another."""

    def release(self, name: str) -> None:
        """Give it back."""

    def is_free(self, name: str) -> bool:
        """Whether no process holds it."""

    def close(self) -> None:
        """Give all of them back."""


class FolderLocks:
    """Files locked by the kernel, for processes on one machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._held: dict[str, int] = {}

    def hold(self, name: str) -> bool:
        """As in Locks."""
        file = self._opened(name)
        if not _locked(file, fcntl.LOCK_EX):
            os.close(file)
            return False
        self._held[name] = file
        return True

    def release(self, name: str) -> None:
        """As in Locks."""
        with contextlib.suppress(KeyError):
            os.close(self._held.pop(name))

    def is_free(self, name: str) -> bool:
        """As in Locks; asked with a shared lock, so that two who ask do not take each other for the holder."""
        file = self._opened(name)
        try:
            return _locked(file, fcntl.LOCK_SH)
        finally:
            os.close(file)

    def close(self) -> None:
        """As in Locks."""
        for name in list(self._held):
            self.release(name)

    def _opened(self, name: str) -> int:
        path = self._folder / hashlib.sha256(name.encode()).hexdigest()[:32]
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _locked(file: int, how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class PostgresLocks:
    """Advisory locks of one session, for processes on any number of machines."""

    def __init__(self, url: str, on_lost: Callable[[str], None]) -> None:
        """on_lost is told when the session ends by itself: the locks are anybody's then. Raises CloudError."""
        self._on_lost = on_lost
        self._guard = threading.Lock()
        self._held: set[str] = set()
        self._session = _session(url)
        self._closing = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="locks", daemon=True)
        self._heart.start()

    def hold(self, name: str) -> bool:
        """As in Locks. A session may take its own lock twice, so it is asked here first."""
        with self._guard:
            if name in self._held or not self._asked("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", name):
                return False
            self._held.add(name)
            return True

    def release(self, name: str) -> None:
        """As in Locks."""
        with self._guard:
            if name in self._held:
                self._held.remove(name)
                self._asked("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", name)

    def is_free(self, name: str) -> bool:
        """As in Locks; asked with a shared lock, so that two who ask do not take each other for the holder."""
        with self._guard:
            if name in self._held or not self._asked("SELECT pg_try_advisory_lock_shared(hashtextextended(%s, 0))", name):
                return False
            self._asked("SELECT pg_advisory_unlock_shared(hashtextextended(%s, 0))", name)
            return True

    def close(self) -> None:
        """As in Locks."""
        self._closing.set()
        self._heart.join()
        with self._guard:
            self._session.close()

    def _asked(self, statement: str, *values: object) -> bool:
        import psycopg

        try:
            with _hung_up_after(self._session, _ANSWER_SECONDS):
                row = self._session.execute(statement, values).fetchone()
        except psycopg.Error as error:
            message = f"the database does not answer: {error}"
            if not self._closing.is_set():
                self._on_lost(message)  # before a move takes the fault for its own, and is kept as one that failed
            raise errors.CloudError(message) from error
        return bool(row and row[0])

    def _beat(self) -> None:
        with contextlib.suppress(errors.CloudError):
            while not self._closing.wait(_HEARTBEAT_SECONDS):
                with self._guard:
                    self._asked("SELECT 1")


@contextlib.contextmanager
def _hung_up_after(session: Any, seconds: float) -> Iterator[None]:
    """A question has a deadline: what lies between may take it and never answer, and the kernel sees nothing wrong in that."""
    timer = threading.Timer(seconds, _hang_up, [session])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _hang_up(session: Any) -> None:
    import psycopg

    with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(session.fileno())) as way:
        way.shutdown(socket.SHUT_RDWR)


def _session(url: str) -> Any:
    try:
        import psycopg
    except ImportError as missing:
        raise errors.CpiError("PostgreSQL needs psycopg; install it with: pip install 'multicpi[durable]'") from missing
    try:
        return psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=_ANSWER_SECONDS,
            options=_ASK_THE_CLIENT,
            application_name="multicpi locks",
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            tcp_user_timeout=_GIVE_UP_MILLISECONDS,
        )
    except psycopg.Error as error:
        raise errors.CloudError(f"the database cannot be reached: {error}") from error
