"""Each boundary of each way a move can go: something dies vm, and all is well in the end."""

import itertools
import os
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from cpi.migration.report import Strategy
from tests.crash.scenario import CrashScenario, boundaries

pytestmark = pytest.mark.slow

_ALL = tuple(strategy for strategy in Strategy if strategy not in {Strategy.NOTHING, Strategy.ONLINE, Strategy.BETWEEN_CLOUDS})
"""What grows in use, and what leaves its cloud, has filesystems and tests of its own: test_online.py, migration/between."""

_CHAOS = int(os.environ.get("CHAOS", "0"))
"""How many random instants, from `make nightly` and `make chaos`."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("when", ["between", pytest.param("after", marks=pytest.mark.nightly)])
@pytest.mark.parametrize("strategy", _ALL, ids=lambda strategy: strategy.value)
def test_a_move_gets_to_its_end_though_every_part_kills_its_process(
    scenario: CrashScenario, strategy: Strategy, when: str
) -> None:
    """Dead between a part's doing and its record, or after the record and before the next part."""
    scenario.killed_all_along(strategy, when)


_COPIES = (Strategy.COPY, Strategy.LIVE_COPY)
_IN_A_ROW = 4


def _batched(parts: Sequence[tuple[str, str]]) -> Iterator[Sequence[tuple[str, str]]]:
    for first in range(0, len(parts), _IN_A_ROW):
        yield parts[first : first + _IN_A_ROW]


_HURT = {"agent or VM": ("agent", "vm"), "VM or agent": ("vm", "agent"), "answer": ("answer",)}
"""What is hurt at one boundary after the other. Which of the two dies first goes by the strategy: most steps are in several."""


def _rows() -> Iterator[Any]:
    """The boundaries of each strategy, a few in a row, with what is hurt there.

    In every run it is the agent or the VM, and the answer of what the cloud does in place: a copy loses the answer of each of its
    calls in tests/migration.
    """
    often = {(strategy, "agent or VM") for strategy in _ALL} | {
        (strategy, "answer") for strategy in _ALL if strategy not in _COPIES
    }
    for strategy, hurt in itertools.product(_ALL, _HURT):
        names = boundaries(strategy)
        parts = [*((name, "before") for name in names), (names[-1], "after")]
        for few in _batched(parts):
            marks = () if (strategy, hurt) in often else pytest.mark.nightly
            yield pytest.param(strategy, few, hurt, id=f"{strategy.value}-{few[0][0]}-{few[-1][0]}-{hurt}", marks=marks)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("strategy", "parts", "hurt"), list(_rows()))
def test_what_dies_at_a_boundary_loses_no_row(
    scenario: CrashScenario, strategy: Strategy, parts: Sequence[tuple[str, str]], hurt: str
) -> None:
    """The agent or the VM dies before the part, or after the last, or its answer is lost: undone, finished, or tried again."""
    if hurt == "answer":
        parts = [(name, "between") for name in dict.fromkeys(name for name, _ in parts)]
    hurts = itertools.islice(itertools.cycle(_HURT[hurt]), _ALL.index(strategy) % 2, None)
    scenario.hurt_along(strategy, [(*part, which) for part, which in zip(parts, hurts, strict=False)])


@pytest.mark.timeout(600 + 60 * _CHAOS)
@pytest.mark.parametrize("strategy", _COPIES, ids=lambda strategy: strategy.value)
def test_moves_killed_at_random_instants_get_to_their_end(scenario: CrashScenario, strategy: Strategy) -> None:
    """Killed, and killed again while it is finished: once here, as often as one likes with `make chaos`."""
    times = max(1, _CHAOS)
    died = sum(scenario.killed_after(strategy, random.uniform(0.2, 4.0)) for _ in range(times))  # noqa: S311 - not for secrets
    print(f"\n{strategy.value}: {times} moves, {died} of them killed under way, none lost a row")  # noqa: T201 - the count is asked for
