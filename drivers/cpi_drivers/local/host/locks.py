"""One lock per resource, over all processes and threads. The kernel frees it when its holder dies, however that was.

A lock file is removed together with its resource, by whoever holds it; so a lock counts only if its file still has its name.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from cpi.kit.waiting import wait_until

_LONGEST_WAIT_SECONDS = 120.0


@contextlib.contextmanager
def held(path: Path, what: str) -> Iterator[None]:
    """Holds the lock, waiting for whoever holds it now. Raises CloudError, naming what, when that takes too long."""
    lock = wait_until(
        lambda: _try(path),
        f"{what} is being changed by another call, which did not end",
        deadline_seconds=_LONGEST_WAIT_SECONDS,
        first_pause_seconds=0.005,
        longest_pause_seconds=0.1,
    )
    try:
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def held_if_free(path: Path) -> Iterator[bool]:
    """Holds the lock if nobody else does, and tells which."""
    lock = _try(path)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            os.close(lock)


def _try(path: Path) -> int | None:
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _still_named(path, lock):
            return lock
    except BlockingIOError:
        pass
    except BaseException:
        os.close(lock)
        raise
    os.close(lock)
    return None


def _still_named(path: Path, lock: int) -> bool:
    try:
        named = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(named, os.fstat(lock))
