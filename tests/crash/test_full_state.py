"""The state folder of a move is full from one of its steps on: a clear end, the jobs run, and a resume finishes it."""

from pathlib import Path

import pytest

from cpi.migration.report import Strategy
from tests.crash.scenario import CrashScenario, boundaries

pytestmark = [pytest.mark.slow, pytest.mark.root, pytest.mark.timeout(600)]

_OFTEN = {(Strategy.COPY, "create_disk"), (Strategy.COPY, "remove_old_disk"), (Strategy.LIVE_COPY, "verify_live")}
_PARTS = [
    pytest.param(strategy, name, id=f"{strategy.value}-{name}", marks=() if (strategy, name) in _OFTEN else pytest.mark.nightly)
    for strategy in (Strategy.COPY, Strategy.LIVE_COPY)
    for name in boundaries(strategy)
]


@pytest.mark.parametrize(("strategy", "name"), _PARTS)
def test_a_full_state_folder_ends_the_move_with_a_word_and_loses_nothing(
    scenario: CrashScenario, state: Path, strategy: Strategy, name: str
) -> None:
    """Nothing can be written down any more: undone before the swap, finished after it; then there is room again."""
    scenario.filled(strategy, name, state)
