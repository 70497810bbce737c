"""A program that tests start, cold or forked: it does what its first argument says."""

import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final


def found() -> dict[str, Any]:
    """All in which one process differs from another."""
    return {
        "argv": sys.argv,
        "name": __name__,
        "path": sys.path,
        "cwd": str(Path.cwd()),
        "environment": dict(os.environ),
        "descriptors": _descriptors(),
        "session": os.getsid(0) == os.getpid(),
        "threads": threading.active_count(),
        "handlers": {number.name: str(signal.getsignal(number)).partition(" at ")[0] for number in signal.Signals},
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "streams": [
            (stream.encoding, stream.errors, stream.line_buffering, stream.fileno(), stream.name, stream.mode)
            for stream in (sys.stdin, sys.stdout, sys.stderr)
        ],
        "zone": time.tzname,
        "umask": os.umask(0o22),
    }


def _descriptors() -> list[int]:
    found = []
    for descriptor in range(256):
        with contextlib.suppress(OSError):
            os.fstat(descriptor)
            found.append(descriptor)
    return found


def drawn() -> list[str]:
    """What must not be the same in two."""
    folder = Path(tempfile.mkdtemp())
    folder.rmdir()
    return [str(random.random()), uuid.uuid4().hex, folder.name, os.urandom(8).hex()]  # noqa: S311 - not for secrets


def _tell(told: object) -> None:
    sys.stdout.write(f"{json.dumps(told)}\n")


def _write(size: str) -> None:
    sys.stdout.write("x" * int(size))
    sys.stderr.write("y" * int(size))


def _fail() -> None:
    raise LookupError("nothing here")


def _import(name: str) -> None:
    __import__(name)
    _tell(name in sys.modules)


def _leave_a_thread() -> None:
    def late() -> None:
        threading.main_thread().join()
        sys.stdout.write("late\n")
        sys.stdout.flush()

    threading.Thread(target=late).start()


def _wait() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        signal.pause()


def _wait_deaf() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _wait()


_CALLS: Final[Mapping[str, Callable[..., object]]] = {
    "tell": lambda *_: _tell(found()),
    "draw": lambda: _tell(drawn()),
    "exit": lambda status: sys.exit(int(status)),
    "fail": _fail,
    "print": sys.stdout.write,
    "write": _write,
    "read": lambda: _tell(len(sys.stdin.buffer.read())),
    "wait": _wait,
    "wait deaf": _wait_deaf,
    "leave a thread": _leave_a_thread,
    "import": _import,
    "imported": lambda *names: _tell([name in sys.modules for name in names]),
}

if __name__ == "__main__":
    _CALLS[sys.argv[1]](*sys.argv[2:])
