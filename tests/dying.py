"""What a process of a test runs: it dies, or something beside it does, at the step that its request names.

"before" the step, "between" its doing and its record, or "after" its record.
"""

import contextlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

from cpi.contract import errors
from cpi.durable import engine
from cpi.migration.durable import faults

DIED: Final = 77
"""The exit status of one that died where it was asked to."""

_Step = Callable[[str, Callable[[], Any]], Any]

when_hurt: Final[list[Callable[[], None]]] = []
"""What this process does besides, when something beside it was killed."""


def answer(act: Callable[[dict[str, Any]], Any]) -> NoReturn:
    """Do what the request on stdin asks for, write what came of it to its file, and end at once."""
    status = 1
    try:
        request = json.load(sys.stdin)
        engine.step = hurting(engine.step, request)
        Path(request["answer"]).write_text(json.dumps(act(request)))
        status = 0
    finally:
        if status:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(status)


def fill(folder: Path) -> None:
    """Leave no room in the filesystem of a folder."""
    with (folder / "filling").open("ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while file.write(b"x" * size):
                    pass


def lost(message: str) -> None:
    """What an engine that lost its database ends with."""
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()
    os._exit(1)


def hurting(inner: _Step, request: dict[str, Any]) -> _Step:
    """As inner, with something dying where the request says."""
    at, when, hurt = request.get("at"), request.get("when"), request.get("hurt", "process")
    times = [0]

    def now(name: str, moment: str) -> bool:
        if (name, moment) != (at, when) or times[0]:
            return False
        times[0] += 1
        request["struck"] = True
        return True

    def step(name: str, call: Callable[[], Any], /) -> Any:
        if now(name, "before"):
            _hurt(hurt, request)

        def acted() -> Any:
            answer = call()
            if now(name, "between"):
                _hurt(hurt, request)
                if hurt == "answer":
                    return {"fault": faults.to_plain(errors.CloudError("the answer was lost")), "began": 0.0, "seconds": 0.0}
            return answer

        kept = inner(name, acted)
        if now(name, "after"):
            _hurt(hurt, request)
        return kept

    return step


def _hurt(what: str, request: dict[str, Any]) -> None:
    if what == "full":
        fill(Path(request["state"]))
    if what == "process":
        os._exit(DIED)
    if what in {"agent", "vm"}:
        leader = int(Path(request["agent_lock"]).read_text(encoding="ascii").split()[0])
        (os.kill if what == "agent" else os.killpg)(leader, signal.SIGKILL)
        for act in when_hurt:
            act()
