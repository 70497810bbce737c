"""Processes that die where a test wants them to: forked starts of a module that answers by tests.dying."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cpi.testing.fork_server import ForkServer, fork_server
from tests.dying import DIED as DIED  # noqa: PLC0414 - a test needs it beside what it is the status of

_ROOT = Path(__file__).resolve().parents[1]
_SECONDS = 330.0
"""Longer than any of them waits."""


@contextmanager
def dying_processes(module: str) -> Iterator["DyingProcesses"]:
    """Processes that run the module, gone at the end of the block."""
    with fork_server(["-W", "error"]) as server:
        yield DyingProcesses(server, module)


class DyingProcesses:
    """Starts them, one after another."""

    def __init__(self, server: ForkServer, module: str) -> None:
        self._server = server
        self._command = [sys.executable, "-m", module]

    def run(self, *, folder: str, kill_after: float | None = None, **request: Any) -> dict[str, Any]:
        """One process: how it ended, the outcome if there is one, and what it said if it failed."""
        answer, said = Path(folder) / "answer.json", Path(folder) / "said"
        answer.unlink(missing_ok=True)
        with said.open("wb") as written:
            process = self._server.start(
                self._command, cwd=_ROOT, new_session=False, stdout=subprocess.DEVNULL, stderr=written.fileno()
            )
        with process:
            try:
                _send(process.stdin, {**request, "folder": folder, "answer": str(answer)})
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_SECONDS if kill_after is None else kill_after)
            finally:
                process.kill()
        told: dict[str, Any] = {"status": process.returncode}
        if answer.exists():
            told["outcome"] = json.loads(answer.read_bytes())
        if process.returncode not in {0, DIED}:
            told["said"] = said.read_text(encoding="utf-8", errors="replace")
        return told


def _send(stdin: Any, request: dict[str, Any]) -> None:
    with suppress(BrokenPipeError), stdin:
        stdin.write(json.dumps(request).encode())
