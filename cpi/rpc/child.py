"""One run of an executable: bytes in, bytes out, within a deadline."""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import IO, Final, Literal, NamedTuple, Protocol, TypeAlias

_CHUNK: Final = 65_536
_ENOUGH: Final = 16 * 2**20

Ended = Literal["by itself", "late", "too loud"]


class Outcome(NamedTuple):
    """What a run left."""

    stdout: bytes
    stderr: bytes
    exit_status: int | None
    """None if it had to be killed."""
    ended: Ended
    """"late": its output was still open at the deadline. "too loud": it wrote more than anybody will read."""


class Process(AbstractContextManager["Process"], Protocol):
    """What is needed of a process: subprocess.Popen has it all."""

    @property
    def pid(self) -> int:
        """Its number; its process group has the same."""

    @property
    def returncode(self) -> int | None:
        """How it ended, once that was seen."""

    @property
    def stdin(self) -> IO[bytes] | None:
        """A pipe, as the other two."""

    @property
    def stdout(self) -> IO[bytes] | None:
        """What it answers."""

    @property
    def stderr(self) -> IO[bytes] | None:
        """What it tells beside."""

    def wait(self, timeout: float | None = None) -> int:
        """How it ended. Raises subprocess.TimeoutExpired."""


Start: TypeAlias = Callable[[Sequence[str], Mapping[str, str] | None], Process]
"""Starts a command with that environment (None: this process's own) in a session of its own, with three pipes."""


def start(command: Sequence[str], environment: Mapping[str, str] | None) -> "subprocess.Popen[bytes]":
    """As an operating system does."""
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )


def run(
    command: Sequence[str],
    data: bytes,
    environment: Mapping[str, str] | None,
    *,
    deadline_seconds: float,
    grace_seconds: float,
    start: Start = start,
) -> Outcome:
    """Run command until its stdout and stderr are closed, as the director waits.

    At the deadline the executable gets SIGTERM, and after grace_seconds everything in its process group SIGKILL.
    Raises OSError if it cannot be started.
    """
    with start(command, environment) as process:
        conversation = _Conversation(process, data)
        try:
            ended = conversation.until(time.monotonic() + deadline_seconds)
            if ended == "late":
                os.kill(process.pid, signal.SIGTERM)  # not yet reaped, so the number is still its own
                conversation.until(time.monotonic() + grace_seconds)
            if ended == "by itself":
                ended = _reaped(process, grace_seconds)
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
            conversation.close()
    exit_status = process.returncode if ended == "by itself" else None
    return Outcome(bytes(conversation.stdout), bytes(conversation.stderr), exit_status, ended)


def _reaped(process: Process, grace_seconds: float) -> Ended:
    try:
        process.wait(grace_seconds)
    except subprocess.TimeoutExpired:
        return "late"
    return "by itself"


class _Conversation:
    """Feeds stdin and gathers stdout and stderr, in one thread."""

    def __init__(self, process: Process, data: bytes) -> None:
        assert process.stdin and process.stdout and process.stderr  # noqa: S101, PT018 - for the type checker: all three are pipes
        self.stdout = bytearray()
        self.stderr = bytearray()
        self._left = memoryview(data)
        self._stdin = process.stdin
        self._gathered: dict[IO[bytes], bytearray] = {process.stdout: self.stdout, process.stderr: self.stderr}
        self._selector = selectors.DefaultSelector()
        self._selector.register(process.stdin, selectors.EVENT_WRITE)
        os.set_blocking(process.stdin.fileno(), False)
        for pipe in self._gathered:
            self._selector.register(pipe, selectors.EVENT_READ)

    def until(self, deadline: float) -> Ended:
        """Talk until the executable closed its pipes."""
        while self._gathered:
            left = deadline - time.monotonic()
            if left <= 0:
                return "late"
            for key, _ in self._selector.select(left):
                if key.fileobj is self._stdin:
                    self._feed()
                else:
                    self._gather(key.fileobj)  # type: ignore[arg-type]  # we registered the pipes themselves
            if len(self.stdout) + len(self.stderr) > _ENOUGH:
                return "too loud"
        return "by itself"

    def close(self) -> None:
        """Let go of the pipes, whoever still holds their other ends."""
        self._selector.close()
        for pipe in (self._stdin, *self._gathered):
            with contextlib.suppress(OSError):
                pipe.close()

    def _feed(self) -> None:
        try:
            written = os.write(self._stdin.fileno(), self._left[:_CHUNK]) if self._left else 0
        except BlockingIOError:
            return
        except BrokenPipeError:  # it will not read on; what it answers decides
            self._left = self._left[:0]
        else:
            self._left = self._left[written:]
        if not self._left:
            self._selector.unregister(self._stdin)
            self._stdin.close()

    def _gather(self, pipe: IO[bytes]) -> None:
        chunk = os.read(pipe.fileno(), _CHUNK)
        self._gathered[pipe] += chunk
        if not chunk:
            self._selector.unregister(pipe)
            self._gathered.pop(pipe)
            pipe.close()
