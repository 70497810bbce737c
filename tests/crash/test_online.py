"""A disk that grows under its jobs, and what dies meanwhile: larger in the end, nothing lost, the jobs never stopped."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from cpi.migration.report import Strategy
from fixtures.local_cloud import local_config_file
from tests.crash.scenario import CrashScenario, boundaries
from tests.dying_processes import DyingProcesses
from tests.migration.shared_vms import XFS, SharedVms

pytestmark = [pytest.mark.slow, pytest.mark.root, pytest.mark.timeout(600)]

_PARTS = boundaries(Strategy.ONLINE)
_CHAOS = int(os.environ.get("CHAOS", "0"))


@pytest.fixture
def growing(request: pytest.FixtureRequest, vms: SharedVms, processes: DyingProcesses) -> Iterator[CrashScenario]:
    """On xfs, which grows mounted wherever root is root."""
    with vms.lent(XFS, request.node) as vm:
        yield CrashScenario(vm, processes, local_config_file(vm.root.parent))


@pytest.mark.parametrize("when", ["between", pytest.param("after", marks=pytest.mark.nightly)])
def test_a_growth_gets_to_its_end_though_every_part_kills_its_process(growing: CrashScenario, when: str) -> None:
    """Dead between a part's doing and its record, or after the record and before the next part."""
    growing.killed_all_along(Strategy.ONLINE, when, _PARTS if when == "after" else _PARTS[-2:])


_HURT = {
    "agent or VM": (("grow_attached_disk", "agent"), ("grow_in_guest", "vm")),
    "VM or agent": (("claim", "vm"), ("plan", "agent"), ("grow_attached_disk", "vm"), ("grow_in_guest", "agent")),
}


@pytest.mark.parametrize("hurt", ["agent or VM", pytest.param("VM or agent", marks=pytest.mark.nightly)])
def test_what_dies_before_a_part_loses_no_row_and_the_report_says_what_is_left(growing: CrashScenario, hurt: str) -> None:
    """There is no way back for a disk that has grown: what is left is told, and a resume finishes it."""
    growing.hurt_along(Strategy.ONLINE, [(name, "before", what) for name, what in _HURT[hurt]])


@pytest.mark.nightly
def test_a_lost_answer_is_asked_for_again(growing: CrashScenario) -> None:
    """Of every part."""
    growing.hurt_along(Strategy.ONLINE, [(name, "between", "answer") for name in _PARTS])


@pytest.mark.parametrize("name", [pytest.param(part, marks=() if "guest" in part else pytest.mark.nightly) for part in _PARTS])
def test_a_full_state_folder_ends_the_growth_with_a_word_and_loses_nothing(
    growing: CrashScenario, state: Path, name: str
) -> None:
    """Nothing can be written down any more; when there is room again, a resume finishes it."""
    growing.filled(Strategy.ONLINE, name, state)


@pytest.mark.nightly
def test_growths_killed_at_random_instants_get_to_their_end(growing: CrashScenario) -> None:
    """Killed, and killed again while it is finished."""
    for _ in range(max(3, _CHAOS)):
        growing.killed_after(Strategy.ONLINE, random.uniform(0.2, 2.5))  # noqa: S311 - not for secrets
