"""Turns at a file: who came first is served first, over all threads and processes, and all others wait.

SQLite lets each waiter sleep and try again, and whoever tries at the right moment is next: among many, some are never.
Here each who comes locks one byte of a file, the one whose number is the time at which it came, and waits until no
earlier byte is locked. The kernel frees the byte of a process that died. In a process only the first in line looks at
the file; it wakes the next when it leaves.
"""

import contextlib
import fcntl
import os
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cpi.kit.waiting import Overdue, wait_until

_LONGEST_WAIT_SECONDS = 120.0


class _Stand:
    """A place in the line."""

    def __init__(self, path: Path) -> None:
        self.first = threading.Event()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._came = 0

    def take(self) -> None:
        """Behind all who are there: two that come at one time do not share a byte."""
        while True:
            self._came = time.monotonic_ns()
            if _lock(self._file, fcntl.F_WRLCK, self._came, 1):
                return

    def nobody_before(self) -> bool:
        """Whether it is this one's turn."""
        return _lock(self._file, fcntl.F_WRLCK, 0, self._came)

    def leave(self) -> None:
        """Free the bytes: closing the file is not enough if a child that was forked meanwhile has it open too."""
        if self._file >= 0:
            _lock(self._file, fcntl.F_UNLCK, 0, 0)
            self.forget()

    def forget(self) -> None:
        """Close the file; another process that has it open keeps the place."""
        os.close(self._file)
        self._file = -1


_guard = threading.Lock()
_lines: Final[defaultdict[Path, dict[int, _Stand]]] = defaultdict(dict)


@contextlib.contextmanager
def turn(path: Path, what: str) -> Iterator[None]:
    """Alone in the block. Raises CloudError, naming what, when the turn does not come.

    A thread has one place: if it comes again, say because a signal broke its way out, the one that it had is free.
    """
    thread = threading.get_ident()
    stand = _Stand(path)
    try:
        _join(path, thread, stand)
        began = time.monotonic()
        if not stand.first.wait(_LONGEST_WAIT_SECONDS):
            raise Overdue(f"{what}: not within {_LONGEST_WAIT_SECONDS:g} s")
        wait_until(
            stand.nobody_before,
            what,
            deadline_seconds=_LONGEST_WAIT_SECONDS - (time.monotonic() - began),
            first_pause_seconds=0.001,
            longest_pause_seconds=0.005,
        )
        yield
    finally:
        _leave(path, thread, stand)


def _join(path: Path, thread: int, stand: _Stand) -> None:
    with _guard:
        line = _lines[path]
        if thread in line:
            line.pop(thread).leave()
        stand.take()
        line[thread] = stand
        _call_first(line)


def _leave(path: Path, thread: int, stand: _Stand) -> None:
    with _guard:
        line = _lines[path]
        if line.get(thread) is stand:
            del line[thread]
        stand.leave()
        _call_first(line)
        if not line:
            del _lines[path]


def _call_first(line: dict[int, _Stand]) -> None:
    for stand in line.values():
        stand.first.set()
        return


def _lock(file: int, kind: int, first: int, count: int) -> bool:
    """Lock or free bytes for this open file, which no other thread has; False if another holds one of them."""
    wanted = struct.pack("hhqqi", kind, os.SEEK_SET, first, count, 0)
    try:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, wanted)
    except BlockingIOError:
        return False
    return True


def _forget_all() -> None:
    """A forked child stands in no line: its threads are gone, and the places are its parent's."""
    global _guard  # noqa: PLW0603 - another thread may hold the parent's
    _guard = threading.Lock()
    for line in _lines.values():
        for stand in line.values():
            stand.forget()
    _lines.clear()


os.register_at_fork(after_in_child=_forget_all)
