"""A process that has imported the engine and forks one child for each recreation, so that a child that dies is cheap."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from cpi.contract.encoding import from_plain, to_plain
from cpi.durable import engine
from cpi.kit.waiting import wait_until
from cpi.resurrection.alert import Alert
from cpi.resurrection.durable.runner import Runner
from cpi.resurrection.report import Order
from cpi.resurrection.watchfile import read_watchfile
from tests.crash.dying_mover import hurting, main
from tests.resurrection.monitors import kept_in

_SECONDS = 25.0


def be_the_child(request: dict[str, Any], answer: Path) -> None:
    """Begin what is asked for, or go on with what was left, and tell how it ended."""
    status = 1
    try:
        engine.step = hurting(engine.step, request)
        answer.write_text(json.dumps(_recreated(request)))
        status = 0
    finally:
        sys.stderr.flush()
        os._exit(status)


def _recreated(request: dict[str, Any]) -> Any:
    order, told = from_plain(request["order"], Order), list[Alert]()
    instance = read_watchfile(order.file).instance(order.name)
    with Runner(kept_in(Path(request["folder"])), _lost, told.append) as runner:
        present = runner.history().present(instance, order.plugin)
        if not present.ended:
            runner.begin(order, present)

        def over() -> bool:
            now = runner.history().present(instance, order.plugin)
            return now.under_way is None and bool(now.ended) and runner.is_idle

        wait_until(over, "the recreation", deadline_seconds=_SECONDS, longest_pause_seconds=0.1)
        present = runner.history().present(instance, order.plugin)
        return {
            "report": to_plain(present.ended[-1].report),
            "tries": len(runner.history().all()),
            "told": [alert.kind.value for alert in told],
        }


def _lost(message: str) -> None:
    sys.stderr.write(f"{message}\n")
    os._exit(1)


if __name__ == "__main__":
    main(be_the_child)
