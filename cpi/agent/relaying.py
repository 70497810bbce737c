"""From one guest to another through this machine: for guests that cannot reach each other.

In the one guest a command writes what it wants to say to the pipe `up`, first a line with the command that is to answer in the
other, and reads the answer from the pipe `down`. What passes here passes between two connections, each with its own pinned key.
"""

import contextlib
import logging
import os
import shlex
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import IO, Final

from cpi.agent.errors import AgentError
from cpi.agent.shell import SshShell

_END_SECONDS: Final = 30.0
_LONGEST_LINE: Final = 65_536
_NEWLINE: Final = b"\n"
_log = logging.getLogger(__name__)

MAKE: Final = 'rm -f "$1/up" "$1/down"; mkfifo -m 600 "$1/up" "$1/down"'
"""Makes the pipes in the folder $1."""

# A reader that waits for a writer finds one that says nothing.
_WAKE: Final = ': 1<>"$1/up"; : 1<>"$1/down"'


class Relay:
    """Answers in one guest what is asked in the other, one command after the other."""

    def __init__(self, asking: SshShell, answering: SshShell, folder: str, allowed: Sequence[Sequence[str]]) -> None:
        """folder is the asking guest's, with the pipes. No command is run in the answering one that begins otherwise."""
        self._asking = asking
        self._answering = answering
        self._folder = folder
        self._allowed = [list(words) for words in allowed]
        self._ending = threading.Event()
        self.complaint = ""
        """What the last command that failed in the answering guest said."""

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Answer until the block ends."""
        self._ending.clear()
        thread = threading.Thread(target=self._run, name="relay", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ending.set()
            while thread.is_alive():
                with contextlib.suppress(AgentError):
                    self._asking.run(["sh", "-c", _WAKE, "cpi", self._folder], deadline_seconds=_END_SECONDS)
                thread.join(1)

    def _run(self) -> None:
        while not self._ending.is_set():
            up = _started(self._asking.command(["cat", f"{self._folder}/up"]), subprocess.DEVNULL, subprocess.PIPE)
            with up:
                try:
                    line = _line(up.stdout)
                    if line:
                        self._answer(up, line)
                finally:
                    up.kill()

    def _answer(self, up: "subprocess.Popen[bytes]", line: bytes) -> None:
        words = shlex.split(line.decode("utf-8", "surrogateescape"))
        if not any(words[: len(begin)] == begin for begin in self._allowed):
            self.complaint = f"a command was asked for that is not allowed: {words[:1]}"
            _log.error("%s", self.complaint)
            words = ["false"]
        command = self._answering.command(words)
        # a file: the connection that ssh leaves behind for a while would keep a pipe open
        with tempfile.TemporaryFile() as said, _started(command, up.stdout, subprocess.PIPE, said) as there:
            down = _started(self._asking.command(["sh", "-c", 'cat >"$1"', "cpi", f"{self._folder}/down"]), there.stdout)
            with down:
                _let_go(up.stdout, there.stdout)
                if there.wait() != 0:
                    said.seek(0)
                    self.complaint = " / ".join(said.read().decode(errors="replace").strip().splitlines()[-3:])


def _started(
    command: Sequence[str],
    stdin: "IO[bytes] | int | None",
    stdout: int = subprocess.DEVNULL,
    stderr: "IO[bytes] | int" = subprocess.DEVNULL,
) -> "subprocess.Popen[bytes]":
    # a group of its own: Ctrl-C is for the move to decide on
    return subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr, bufsize=0, process_group=0)


def _line(stdout: "IO[bytes] | None") -> bytes:
    """The first line, and not a byte of what follows."""
    line = bytearray()
    while stdout is not None and len(line) < _LONGEST_LINE:
        letter = os.read(stdout.fileno(), 1)
        if letter in {b"", _NEWLINE}:
            break
        line += letter
    return bytes(line)


def _let_go(*pipes: "IO[bytes] | None") -> None:
    """What two other processes hold between them must not be held open here."""
    for pipe in pipes:
        if pipe is not None:
            pipe.close()
