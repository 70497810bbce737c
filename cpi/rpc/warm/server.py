"""`cpi serve`: has loaded what the calls of one configuration need, and forks a child for each that is handed over.

Run by itself as `python -P -m cpi.rpc.warm.server CONFIG IDLE_SECONDS`: the commands for people load far more than a call needs.
"""

import contextlib
import fcntl
import gc
import importlib
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from typing import Final, NoReturn

from cpi import config, connecting, registry
from cpi.contract import errors
from cpi.contract.operator import LoadsAhead
from cpi.rpc import dispatcher, interruption, process
from cpi.rpc.warm import call, launcher, likeness
from cpi.rpc.warm.freshness import Freshness

_WAITING_CALLS: Final = 128
_LEARN_FROM: Final = 20
_NEEDED: Final = (dispatcher, interruption, process)
"""What a call imports late, and a child finds imported."""


class AlreadyServed(RuntimeError):
    """Another process serves the configuration."""


class Child:
    """One call that is under way."""

    def __init__(self, pid: int, connection: socket.socket, learned: int) -> None:
        self.pid, self.connection, self.learned = pid, connection, learned
        self.end = os.pidfd_open(pid)
        self.modules = b""

    def learn(self, ready: set[int]) -> None:
        """Take in what it says about its modules. A process that it left behind may hold the other end."""
        with contextlib.suppress(BlockingIOError):
            while self.learned in ready and (chunk := os.read(self.learned, 65536)):
                self.modules += chunk

    def close(self) -> None:
        """Let go of all three descriptors."""
        self.connection.close()
        os.close(self.end)
        os.close(self.learned)


class Server:
    """One configuration, as it was at the start. Serves until it is idle, signalled, or no longer what lies on the disk."""

    def __init__(self, path: str, idle_seconds: float) -> None:
        self._path = os.path.abspath(path)  # noqa: PTH100 - no links are followed
        self._idle_seconds = idle_seconds
        self._children: dict[int, Child] = {}
        self._to_learn_from = _LEARN_FROM
        self._own = likeness.surroundings(os.getpid(), os.environ)
        self._woken, self._wakes = socket.socketpair()

    def serve(self) -> None:
        """Raises AlreadyServed, and CpiError if the configuration has faults."""
        _load(self._path)
        with self._listening() as listener:
            self._freshness = Freshness(self._path)
            gc.collect()
            gc.freeze()
            for end in (self._woken, self._wakes):
                end.settimeout(0)
            signal.set_wakeup_fd(self._wakes.fileno())
            signal.signal(signal.SIGTERM, lambda *_: None)
            signal.signal(signal.SIGINT, lambda *_: None)
            self._accept(listener)
        while self._children:  # calls that run are left to end
            self._ready(None, None)

    @contextlib.contextmanager
    def _listening(self) -> Iterator[socket.socket]:
        """Alone, on a socket that only this user can reach."""
        where = launcher.socket_path(self._path)
        if where is None:
            raise errors.CpiError(f"the configuration {self._path} cannot be read")
        with contextlib.suppress(FileExistsError):
            os.mkdir(launcher.folder(), 0o700)  # noqa: PTH102 - one rule for both sides, see launcher
        if not launcher.is_private(launcher.folder()):
            raise errors.CpiError(f"{launcher.folder()} belongs to another user, or is open to others: remove it")
        with open(f"{where}.lock", "w", encoding="utf-8") as lock:  # noqa: PTH123 - as above
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyServed(f"another process serves {self._path}") from None
            if not _is_the_file(lock.fileno(), f"{where}.lock"):  # another server was just ending
                raise AlreadyServed(f"another process served {self._path} until now")
            _remove(where)
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
                listener.bind(where)
                listener.listen(_WAITING_CALLS)
                try:
                    yield listener
                finally:
                    _remove(where)
                    _remove(f"{where}.lock")

    def _accept(self, listener: socket.socket) -> None:
        idle_since = time.monotonic()
        while True:
            left = max(self._idle_seconds - (time.monotonic() - idle_since), 0)
            ready = self._ready(listener, None if self._children else left)
            if self._woken.fileno() in ready or not (ready or self._children):
                return
            if listener.fileno() in ready:
                connection, _ = listener.accept()
                if self._freshness.is_lost() or not self._fork(connection, listener):
                    connection.close()
                    return
            if ready:
                idle_since = time.monotonic()

    def _ready(self, listener: socket.socket | None, seconds: float | None) -> set[int]:
        """What can be read, seen to as far as it is of children."""
        poll = select.poll()
        for end in filter(None, (listener, self._woken if listener else None)):
            poll.register(end, select.POLLIN)
        for child in self._children.values():
            poll.register(child.connection, select.POLLRDHUP)
            poll.register(child.end, select.POLLIN)
            if not child.modules:
                poll.register(child.learned, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll(None if seconds is None else seconds * 1000)}
        for child in list(self._children.values()):
            self._see_to(child, ready)
        return ready

    def _see_to(self, child: Child, ready: set[int]) -> None:
        child.learn(ready)
        if child.end in ready:
            self._ended(child)
        elif child.connection.fileno() in ready:  # the caller is gone: as if the call itself had been killed
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)

    def _ended(self, child: Child) -> None:
        child.learn({child.learned})
        status = os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])
        with contextlib.suppress(OSError):  # it said so itself, unless something killed it
            child.connection.sendall(f"exit {status}\n".encode() if status >= 0 else f"signal {-status}\n".encode())
        child.close()
        del self._children[child.pid]
        if child.modules and self._to_learn_from > 0:
            self._learn(child.modules.decode().split())

    def _learn(self, names: list[str]) -> None:
        """Import what a call had to import, for those that follow."""
        self._to_learn_from -= 1
        new, began = [name for name in names if name not in sys.modules], time.time_ns()
        for name in new:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        if new:
            self._freshness.take_in(began)
            gc.collect()
            gc.freeze()

    def _fork(self, connection: socket.socket, listener: socket.socket) -> bool:
        """Whether another child may follow. In the child: the call, and nothing after it."""
        if len(os.listdir("/proc/self/task")) > 1:  # noqa: PTH208 - only how many
            return False  # a thread of a library: a fork may copy a lock that it holds
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                signal.set_wakeup_fd(-1)
                for end in (listener, self._woken, self._wakes):
                    end.close()
                for child in self._children.values():
                    child.close()
                os.close(reading)
                self._make(connection, writing)
            finally:  # whatever happens in it: what the server does at its end is not a child's to do
                os._exit(1)
        os.close(writing)
        os.set_blocking(reading, False)
        self._children[pid] = Child(pid, connection, reading)
        return True

    def _make(self, connection: socket.socket, learned: int) -> NoReturn:
        try:
            handed = call.received(connection)
        except call.Refused:
            os._exit(0)
        call.make(handed, self._own, learned)


def _load(path: str) -> None:
    """Import what calls need, and check the configuration. Asks the cloud nothing."""
    document = config.read_document(path)
    registry.load(config.plugin_of(document))
    with connecting.connect(document) as cloud:
        if isinstance(cloud, LoadsAhead):
            cloud.load_ahead()


def _is_the_file(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))  # noqa: PTH116 - one rule for both sides, see launcher
    except FileNotFoundError:
        return False


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108 - a string from launcher


def main(arguments: list[str]) -> int:
    """The exit status."""
    path, idle = arguments
    try:
        Server(path, float(idle)).serve()
    except (errors.Error, AlreadyServed, OSError) as error:
        os.write(2, f"cpi serve: {error}\n".encode(errors="replace"))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
