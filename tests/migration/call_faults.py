"""A move of which one call after the other fails, and what must be true after each."""

import functools
from collections.abc import Callable, Iterable

from cpi.contract import errors
from cpi.migration import MoveFailed, Report
from tests.migration.database_vm import DatabaseVm
from tests.unit.migration.world import Faults

Move = Callable[[Faults], Report]


@functools.cache
def _counted(of: str) -> Faults:
    return Faults()


def calls_of(of: str, move: Move) -> int:
    """How many calls such a move makes when none of them fails. Counted once in a process."""
    faults = _counted(of)
    if not faults.count:
        move(faults)
    return faults.count


def assert_no_row_is_lost(vm: DatabaseVm, move: Move, turns: Iterable[int], *, acts: bool) -> None:
    """Whichever of these calls fails: before the swap the move is undone, after it the move is finished.

    acts: each call does its work and its answer is lost.
    """
    for turn in turns:
        before = vm.disks()
        outcome = _outcome(move, Faults(turn, acts=acts))
        vm.assert_well()
        if isinstance(outcome, Report):
            assert vm.disks() == before | {outcome.disk_cid}, f"turn {turn}"
        else:
            assert "made to fail" in outcome.message
            assert not isinstance(outcome, MoveFailed) or (outcome.left, outcome.swapped) == ((), False), f"turn {turn}"
            assert vm.disks() == before, f"turn {turn}"


def _outcome(move: Move, faults: Faults) -> Report | errors.Error:
    try:
        return move(faults)
    except errors.Error as error:
        return error
