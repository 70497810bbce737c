"""The process of a ForkServer: run as a script, so that a child has imported what a start imports and nothing of the suite.

It forks one child for each start that is asked for on a socket, and imports what the first of them import.
A start is one byte with four descriptors (a channel and the child's stdin, stdout and stderr); its order is a line of JSON on the
channel, answered by {"pid"} and, at the end, {"status"}. A child stays unreaped until the channel is closed, so that its number
stays its own; children die with this process.
"""

import ctypes
import gc
import importlib
import io
import json
import os
import runpy
import select
import signal
import socket
import sys
import time
from typing import Any, Final, NamedTuple

_SET_DEATH_SIGNAL: Final = 1
_LARGEST_ORDER: Final = 1 << 22
LOCALE: Final = ("LC_ALL", "LC_CTYPE", "LANG")
"""Without any of them, as a director starts it, the interpreter sets one: so this process is started without them."""

_libc: Final = ctypes.CDLL(None)


class Start(NamedTuple):
    """What a child is to be; learned is where it tells what it imports, or None."""

    order: dict[str, Any]
    stdio: tuple[int, int, int]
    learned: int | None


class Server:
    """Waits for orders and for the ends of children."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._channels: dict[int, socket.socket | None] = {}
        """Of the children that are not reaped; None if whoever asked for it went away."""

        self._told: set[int] = set()
        self._learned: dict[int, bytes] = {}
        """By the descriptor on which a child tells what it imports."""

        self._handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGCHLD)}
        self._woken, self._wakes = socket.socketpair()
        for end in (self._woken, self._wakes):
            end.settimeout(0)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: whoever owns this process ends it
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wakes.fileno())
        self._pid = os.getpid()

    def serve(self) -> Start | None:
        """A child's start, in the child; None, here, once nobody can order any more."""
        while True:
            ready = self._ready()
            if self._woken.fileno() in ready:
                self._woken.recv(4096)
            for descriptor in ready & self._learned.keys():
                self._learn(descriptor)
            for pid, channel in list(self._channels.items()):
                self._see_to(pid, None if channel is None or channel.fileno() in ready else channel)
            if self._control.fileno() in ready:
                _, descriptors, _, _ = socket.recv_fds(self._control, 1, 4)
                start = self._ordered(descriptors) if descriptors else None
                if start is not None or not descriptors:
                    return start

    def _ready(self) -> set[int]:
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        for channel in filter(None, self._channels.values()):
            poll.register(channel, 0)  # its end
        for descriptor in self._learned:
            poll.register(descriptor, select.POLLIN)
        return {descriptor for descriptor, _ in poll.poll()}

    def _see_to(self, pid: int, channel: socket.socket | None) -> None:
        """Without a channel, whoever asked for it does so no more."""
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if channel is None:
            old = self._channels[pid]
            if old is not None:
                old.close()
            self._channels[pid] = None
            if ended is not None:
                os.waitpid(pid, 0)
                del self._channels[pid]
                self._told.discard(pid)
        elif ended is not None and pid not in self._told:
            self._told.add(pid)
            _tell(channel, status=ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status)

    def _ordered(self, descriptors: list[int]) -> Start | None:
        channel, *stdio = socket.socket(fileno=descriptors[0]), *descriptors[1:]
        order = _read(channel)
        start = self._forked(order, channel, (stdio[0], stdio[1], stdio[2])) if order else None
        if start is None:
            for descriptor in stdio:
                os.close(descriptor)
            if channel not in self._channels.values():
                channel.close()
        return start

    def _forked(self, order: dict[str, Any], channel: socket.socket, stdio: tuple[int, int, int]) -> Start | None:
        threads = os.listdir("/proc/self/task")  # noqa: PTH208 - a child is to import no more than a start does
        if len(threads) > 1:
            _tell(channel, refused=f"{len(threads)} threads run in it: something that it imported started them")
            return None
        telling = os.pipe() if order["learn"] else None
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        pid = os.fork()
        if pid == 0:
            self._leave(channel, telling)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            return Start(order, stdio, telling and telling[1])
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        self._channels[pid] = channel
        _tell(channel, pid=pid)
        if telling:
            os.close(telling[1])
            self._learned[telling[0]] = b""
        return None

    def _learn(self, descriptor: int) -> None:
        """Import what a child imported, once it has ended."""
        told = os.read(descriptor, 65536)
        self._learned[descriptor] += told
        if not told:
            os.close(descriptor)
            _import(self._learned.pop(descriptor).decode().split())

    def _leave(self, channel: socket.socket, telling: tuple[int, int] | None) -> None:
        """In a child: none of the server's descriptors and handlers; but it dies with the server."""
        _libc.prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != self._pid:
            os._exit(1)
        signal.set_wakeup_fd(-1)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        for end in (self._control, self._woken, self._wakes, channel, *filter(None, self._channels.values())):
            end.close()
        for descriptor in self._learned:
            os.close(descriptor)
        if telling:
            os.close(telling[0])


def _read(channel: socket.socket) -> dict[str, Any] | None:
    """None if whoever orders went away meanwhile."""
    data = b""
    while not data.endswith(b"\n") and len(data) < _LARGEST_ORDER:
        chunk = channel.recv(65536)
        if not chunk:
            return None
        data += chunk
    order: dict[str, Any] = json.loads(data)
    return order


def _tell(channel: socket.socket, **words: object) -> None:
    try:
        channel.sendall(json.dumps(words).encode() + b"\n")
    except OSError:  # whoever asked went away
        return


def _import(names: list[str]) -> None:
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:  # as it was to the child, which then went another way
            continue
    _settle()


def _settle() -> None:
    """What is here now is not looked through by the children's garbage collection, which would have them copy it."""
    gc.collect()
    gc.freeze()


def become(start: Start, added: dict[str, str]) -> None:
    """In a child: everything in which one start differs from another."""
    order = start.order
    for number, descriptor in enumerate(start.stdio):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin, sys.stdout, sys.stderr = (
        _stream(number, stream) for number, stream in enumerate((sys.stdin, sys.stdout, sys.stderr))
    )
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]  # as at a start
    if order["new_session"]:
        os.setsid()
    os.chdir(order["cwd"])
    environment = order["environment"]
    os.environ.clear()
    os.environ.update(environment if any(name in environment for name in LOCALE) else {**added, **environment})
    time.tzset()
    sys.path[0] = order["cwd"]
    sys.orig_argv[1:] = ["-m", order["module"], *order["arguments"]]
    sys.argv[1:] = order["arguments"]
    if start.learned is not None:
        _tell_imports(start.learned)


def _stream(number: int, like: Any) -> io.TextIOWrapper:
    """As the interpreter makes it."""
    raw = io.FileIO(number, "wb" if number else "rb", closefd=False)
    raw.name = like.name
    binary = io.BufferedWriter(raw) if number else io.BufferedReader(raw)
    lines = number == 2 or raw.isatty()
    stream = io.TextIOWrapper(binary, like.encoding, like.errors, newline="\n" if number else None, line_buffering=lines)
    stream.mode = like.mode  # type: ignore[misc]  # as the interpreter does
    return stream


def _tell_imports(descriptor: int) -> None:
    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "import":
            os.write(descriptor, f"{arguments[0]}\n".encode())

    sys.addaudithook(hook)


def main() -> None:
    """Import, serve, and in a child be what was ordered, to the end of the interpreter."""
    given = json.loads(sys.argv[1])
    added = {name: value for name, value in os.environ.items() if name not in given["names"]}
    sys.path[0] = os.getcwd()  # noqa: PTH109 - as for `python -m`
    start = Server(socket.socket(fileno=given["control"])).serve()
    if start is not None:
        become(start, added)
        runpy.run_module(start.order["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
