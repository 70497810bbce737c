"""A process that makes one recreation, and dies where it is asked to."""

from pathlib import Path
from typing import Any

from cpi.contract.encoding import from_plain, to_plain
from cpi.kit.waiting import wait_until
from cpi.resurrection.alert import Alert
from cpi.resurrection.durable.runner import Runner
from cpi.resurrection.report import Order
from cpi.resurrection.watchfile import read_watchfile
from tests import dying
from tests.resurrection.monitors import kept_in

_SECONDS = 100.0


def recreated(request: dict[str, Any]) -> Any:
    """Begin what is asked for, or go on with what was left, and tell how it ended."""
    order, told = from_plain(request["order"], Order), list[Alert]()
    instance = read_watchfile(order.file).instance(order.name)
    with Runner(kept_in(Path(request["folder"])), dying.lost, told.append) as runner:
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


if __name__ == "__main__":
    dying.answer(recreated)
