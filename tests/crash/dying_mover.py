"""A process that has imported the engine and forks one child for each move, so that a child that dies is cheap.

One JSON request a line on stdin, one answer a line on stdout. A child is hurt where the request says: at the step named,
"before" it, "between" its doing and its record, or "after" its record.
"""

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cpi.agent.protocol import Deadlines
from cpi.contract import errors
from cpi.contract.encoding import from_plain, to_plain
from cpi.durable import engine
from cpi.durable.database import database
from cpi.kit.waiting import wait_until
from cpi.migration.durable import faults, workflow
from cpi.migration.durable.entry import Entry
from tests.dying_processes import DIED

_SECONDS = 100.0
"""A move takes a few; on a machine that does much else it takes many, and that is no fault."""
_PATIENT = Deadlines(ready=1.5, start=20, task=20, copy=30)
_Step = Callable[[str, Callable[[], Any]], Any]


def main(be_the_child: Callable[[dict[str, Any], Path], None] | None = None) -> None:
    """Answer requests until stdin ends. A child makes a move, unless it is to be another."""
    for line in sys.stdin:
        request = json.loads(line)
        answer = Path(request["folder"]) / "answer.json"
        for file in (answer, _fault(answer)):
            file.unlink(missing_ok=True)
        child = os.fork()
        if child == 0:
            (be_the_child or _be_the_child)(request, answer)
        if "kill_after" in request:
            time.sleep(request["kill_after"])
            os.kill(child, signal.SIGKILL)
        told: dict[str, Any] = {"status": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}
        if answer.exists():
            told["outcome"] = json.loads(answer.read_bytes())
        if _fault(answer).exists():
            told["fault"] = _fault(answer).read_text()
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


def _be_the_child(request: dict[str, Any], answer: Path) -> None:
    status = 1
    try:
        engine.step = hurting(engine.step, request)
        answer.write_text(json.dumps(_moved(request)))
        status = 0
    finally:
        if status:
            _fault(answer).write_text(traceback.format_exc())
        sys.stderr.flush()
        os._exit(status)


def _fault(answer: Path) -> Path:
    return answer.with_suffix(".fault")


def _moved(request: dict[str, Any]) -> Any:
    with workflow.Engine(database(request["database"]), _lost, works=True, deadlines=_PATIENT) as mover:
        move_id = request["move_id"]
        if request.get("again"):
            move_id = mover.start_again(mover.book.move(move_id))
        elif "entry" in request and not _is_known(mover, move_id):
            mover.start(from_plain(request["entry"], Entry), move_id)
        wait_until(
            lambda: mover.book.move(move_id).standing.is_over and mover.is_idle,
            f"the move {move_id}",
            deadline_seconds=_SECONDS,
            longest_pause_seconds=0.1,
        )
        return {**to_plain(mover.book.move(move_id).outcome), "move_id": mover.book.move(move_id).move_id}


def _is_known(mover: workflow.Engine, move_id: str) -> bool:
    return any(record.move_id == move_id for record in mover.book.moves())


def _lost(message: str) -> None:
    sys.stderr.write(f"{message}\n")
    os._exit(1)


def hurting(inner: _Step, request: dict[str, Any]) -> _Step:
    """As inner, with something dying where the request says."""
    at, when, hurt = request.get("at"), request.get("when"), request.get("hurt", "process")
    times = [0]

    def now(name: str, moment: str) -> bool:
        if (name, moment) != (at, when) or times[0]:
            return False
        times[0] += 1
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
    if what == "process":
        os._exit(DIED)
    if what in {"agent", "vm"}:
        leader = int(Path(request["agent_lock"]).read_text(encoding="ascii").split()[0])
        (os.kill if what == "agent" else os.killpg)(leader, signal.SIGKILL)


if __name__ == "__main__":
    main()
