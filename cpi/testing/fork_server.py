"""Starts of `python -m MODULE` for the price of a fork: for a test that starts one program hundreds of times.

What a start imports is imported once, in a process of its own with a single thread; a start is a child of it, with its own
descriptors, environment, folder and session, which runs the module as the interpreter does. Linux alone.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from cpi.testing import fork_server_process

_END_SECONDS: Final = 60.0


class ForkServerEnded(RuntimeError):
    """The process that forks is no more, or cannot fork."""


class ForkedProcess:
    """One start; to whoever has it what a subprocess.Popen is."""

    def __init__(self, channel: socket.socket, pid: int, pipes: Sequence[IO[bytes] | None]) -> None:
        self.pid = pid
        self.stdin, self.stdout, self.stderr = pipes
        self.returncode: int | None = None
        self._channel = channel

    def poll(self) -> int | None:
        """The exit status, or None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit status once it has ended; of a signal, its negative number. Raises TimeoutExpired."""
        if self.returncode is None:
            ready = select.poll()
            ready.register(self._channel, select.POLLIN)
            if not ready.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            told = _heard(self._channel)
            self.returncode = -signal.SIGKILL if told is None else int(told["status"])
            self._channel.close()
            if told is None:
                raise ForkServerEnded(f"the process that had forked {self.pid} ended, and that one with it")
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Nothing if it has ended: until that is known its number is its own."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """At once."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Let go of the pipes, and wait for its end."""
        for pipe in (self.stdin, self.stdout, self.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self.wait()


class ForkServer:
    """Forks starts of this interpreter's modules. Any number of threads may use it.

    The first learn_from starts tell what they import; all later ones find it imported. options are the interpreter's.
    """

    def __init__(self, options: Sequence[str] = (), *, learn_from: int = 20) -> None:
        self._to_learn_from = learn_from
        self._control, theirs = socket.socketpair()
        environment = {name: value for name, value in os.environ.items() if name not in fork_server_process.LOCALE}
        given = {"control": theirs.fileno(), "names": sorted(environment)}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, *options, str(Path(fork_server_process.__file__)), json.dumps(given)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=environment,
                pass_fds=[theirs.fileno()],
            )

    @property
    def pid(self) -> int:
        """The process that forks."""
        return self._process.pid

    def start(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        *,
        cwd: str | Path | None = None,
        new_session: bool = True,
        stdin: int = subprocess.PIPE,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
    ) -> ForkedProcess:
        """Start `[sys.executable, "-m", MODULE, …]`. Raises ForkServerEnded if it cannot; ValueError for any other command."""
        if [*command[:2]] != [sys.executable, "-m"] or len(command) < 3:
            raise ValueError(f"a fork server starts {sys.executable} -m MODULE, and not {' '.join(command)}")
        self._to_learn_from -= 1
        order = {
            "module": command[2],
            "arguments": list(command[3:]),
            "environment": dict(os.environ if environment is None else environment),
            "cwd": str(cwd or Path.cwd()),
            "new_session": new_session,
            "learn": self._to_learn_from >= 0,
        }
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            ends = [_ends(number, descriptor, theirs, ours) for number, descriptor in enumerate((stdin, stdout, stderr))]
            channel, pid = self._ordered(order, [their for their, _ in ends])
            ours.pop_all()
        return ForkedProcess(channel, pid, [our for _, our in ends])

    def _ordered(self, order: Mapping[str, Any], stdio: Sequence[int]) -> tuple[socket.socket, int]:
        channel, theirs = socket.socketpair()
        try:
            with theirs:
                socket.send_fds(self._control, [b"s"], [theirs.fileno(), *stdio])
            channel.sendall(json.dumps(order).encode() + b"\n")
            told = _heard(channel)
        except ConnectionError:
            told = None
        if told is None or "pid" not in told:
            channel.close()
            raise ForkServerEnded(f"the fork server forks no more: {told['refused'] if told else self._fate()}")
        return channel, told["pid"]

    def _fate(self) -> str:
        try:
            return f"its process ended with status {self._process.wait(_END_SECONDS)}"
        except subprocess.TimeoutExpired:
            return "its process does not answer"

    def end(self) -> None:
        """End the process that forks, and with it every child that still runs."""
        self._control.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _ends(number: int, wanted: int, theirs: contextlib.ExitStack, ours: contextlib.ExitStack) -> tuple[int, IO[bytes] | None]:
    """The child's end, and ours if it is a pipe; closed with the stacks."""
    if wanted == subprocess.DEVNULL:
        null = os.open(os.devnull, os.O_RDWR)
        theirs.callback(os.close, null)
        return null, None
    if wanted != subprocess.PIPE:
        return wanted, None
    reading, writing = os.pipe()
    their, our = (reading, writing) if number == 0 else (writing, reading)
    theirs.callback(os.close, their)
    return their, ours.enter_context(os.fdopen(our, "wb" if number == 0 else "rb"))


def _heard(channel: socket.socket) -> dict[str, Any] | None:
    """One line, byte by byte: what follows it is of the next. None if there is none."""
    line = b""
    while not line.endswith(b"\n"):
        try:
            byte = channel.recv(1)
        except ConnectionError:
            byte = b""
        if not byte:
            return None
        line += byte
    told: dict[str, Any] = json.loads(line)
    return told


@contextlib.contextmanager
def fork_server(options: Sequence[str] = (), *, learn_from: int = 20) -> Iterator[ForkServer]:
    """One for the block."""
    server = ForkServer(options, learn_from=learn_from)
    try:
        yield server
    finally:
        server.end()
