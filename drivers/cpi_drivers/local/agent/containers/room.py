"""The room of a container: mounts and process numbers of its own. All that is in it dies with the process that made it.

An engine's monitor makes itself a daemon, and the container is its child: neither would die with the VM. In a room they do: its
first process dies with its maker, and the kernel ends all others with it, and takes their mounts away.
"""

import contextlib
import ctypes
import os
import signal
from collections.abc import Iterator
from typing import Final

from cpi_drivers.local.agent.namespace import die_with_parent, separate_view

_CLONE_NEWPID: Final = 0x20000000
_MS_NOSUID: Final = 2
_MS_NODEV: Final = 4
_MS_NOEXEC: Final = 8
SCRATCH: Final = "/dev/shm"  # noqa: S108 - the room's own, mounted by enter_room
"""Short, as sockets want it, in memory, and seen by the room alone; the engine's locks are kept here too."""


def enter_room() -> int:
    """From here on, children of this process are in a room of their own; the number of its first process.

    Call it once, before threads are started.
    """
    separate_view()
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.unshare(_CLONE_NEWPID), "process numbers of its own")
    ready, report = os.pipe()
    first = os.fork()
    if first == 0:
        os.close(ready)
        _be_first(libc, report)
    os.close(report)
    with os.fdopen(ready, "rb") as pipe:
        said = pipe.read()
    if said:
        raise OSError(said.decode(errors="replace"))
    _check(
        libc.mount(b"tmpfs", SCRATCH.encode(), b"tmpfs", ctypes.c_ulong(_MS_NOSUID | _MS_NODEV), b"mode=700"),
        f"a {SCRATCH} of its own",
    )
    return first


def leave_room(first: int) -> None:
    """Returns when nothing is left in the room: the first process goes last, once every child of this one was waited for."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(first, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def _be_first(libc: ctypes.CDLL, report: int) -> None:
    try:
        die_with_parent(signal.SIGKILL)
        flags = ctypes.c_ulong(_MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
        _check(libc.mount(b"proc", b"/proc", b"proc", flags, None), "a /proc of its own")
    except OSError as error:
        os.write(report, str(error).encode())
        os._exit(1)
    os.close(report)
    _drop_files()
    for _ in _orphans():
        pass
    os._exit(0)


def _drop_files() -> None:
    """It keeps only the streams: the lock of the VM is held by its maker."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names are all that is wanted
        with contextlib.suppress(OSError):
            if int(name) > 2:  # noqa: PLR2004 - the streams
                os.close(int(name))


def _orphans() -> Iterator[int]:
    """A process that loses its parent in the room becomes a child of the first process, which takes note of its end, for ever."""
    ended = {signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, ended)
    while True:
        with contextlib.suppress(ChildProcessError):
            while (pid := os.waitpid(-1, os.WNOHANG)[0]) > 0:
                yield pid
        signal.sigwait(ended)


def _check(answer: int, what: str) -> None:
    if answer != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what} was refused: {os.strerror(number)}")
