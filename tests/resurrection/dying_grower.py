"""A process that grows one disk, and dies where it is asked to."""

from pathlib import Path
from typing import Any

from cpi.contract.encoding import from_plain, to_plain
from cpi.kit.waiting import wait_until
from cpi.resurrection.alert import Alert
from cpi.resurrection.durable.runner import Runner
from cpi.resurrection.growth.report import GrowthOrder
from tests import dying
from tests.resurrection.monitors import kept_in

_SECONDS = 100.0


def grown(request: dict[str, Any]) -> Any:
    """Begin what is asked for, or go on with what was left, and tell how it ended."""
    order, told = from_plain(request["order"], GrowthOrder), list[Alert]()
    with Runner(kept_in(Path(request["folder"])), dying.lost, told.append) as runner:
        if not runner.growths().all():
            runner.begin_growth(order, runner.growths().past(order.plugin, order.disk))

        def over() -> bool:
            return not runner.growths().under_way(order.group) and runner.is_idle

        wait_until(over, "the growth", deadline_seconds=_SECONDS, longest_pause_seconds=0.1)
        return {
            "reports": [to_plain(one.report) for one in runner.growths().all()],
            "told": [alert.kind.value for alert in told],
        }


if __name__ == "__main__":
    dying.answer(grown)
