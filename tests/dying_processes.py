"""Processes that die where a test wants them to: children of a process that has imported what they need."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

DIED: Final = 77
"""The exit status of one that died where it was asked to."""

_ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def dying_processes(module: str) -> Iterator["DyingProcesses"]:
    """Processes that do what the module does, gone at the end of the block."""
    made = DyingProcesses(module)
    try:
        yield made
    finally:
        made.end()


class DyingProcesses:
    """Has processes do things. A server that was left in the middle of an answer is replaced: the next must not get that."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._process = _started(module)
        self._waits = False

    def run(self, **request: Any) -> dict[str, Any]:
        """One process: how it ended, and the outcome if it did."""
        if self._waits:
            self.end()
            self._process = _started(self._module)
        if self._process.stdin is None or self._process.stdout is None:
            raise ValueError("the server was started without pipes")
        self._waits = True
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        self._waits = False
        return answer

    def end(self) -> None:
        """It ends when its input does, unless it still has a child."""
        if self._waits:
            self._process.kill()
        if self._process.stdin and self._process.stdout:
            self._process.stdin.close()
            self._process.wait(60)
            self._process.stdout.close()


def _started(module: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-W", "error", "-m", module]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT)
