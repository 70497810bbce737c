"""The passes of a move between clouds: all of it once, then what changed meanwhile; the last one with the jobs down."""

import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import msgspec

from cpi.agent.shell import OnOutput, Output
from cpi.kit.retrying import repeated
from cpi.migration import copying, holding
from cpi.migration.between import scripts
from cpi.migration.between.crossing import LOST, Crossing
from cpi.migration.copying import Tell
from cpi.migration.holding_scripts import HELD
from cpi.migration.report import Pass, Verify
from cpi.migration.stopping import Limits
from cpi.migration.verifying import three_numbers

T = TypeVar("T")

_ATTEMPTS: Final = 8
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0


def patiently(opened: Callable[[], Crossing], leave: Callable[[], None], call: Callable[[Crossing], T]) -> T:
    """The answer of call; where the connection did not hold, it is made anew and call goes on with what is copied."""

    def once() -> T:
        try:
            return call(opened())
        except LOST:
            leave()
            raise

    return repeated(once, on=LOST, attempts=_ATTEMPTS, first_pause_seconds=_FIRST_PAUSE, longest_pause_seconds=_LONGEST_PAUSE)


class _OldGuest(msgspec.Struct, frozen=True):
    """It sends what it has to the new one."""

    crossing: Crossing

    def run(self, script: str, *words: str, on_output: OnOutput | None = None, fine: Sequence[int] = (0,)) -> Output:
        return self.crossing.here(script, *words, on_output=on_output, fine=fine)


def copy_all(crossing: Crossing, limits: Limits, files: int, size: int, tell: Tell) -> Pass:
    """The first pass. What is there already is not sent again; what vanishes or changes meanwhile is left to later ones."""
    return copying.copy_all(_OldGuest(crossing), limits, files, size, tell, scripts.BULK)


def copy_changes(crossing: Crossing, limits: Limits, number: int, tell: Tell) -> Pass:
    """A pass over what changed since the one before, the jobs still running."""
    return copying.copy_changes(_OldGuest(crossing), limits, number, tell, scripts.ROUND)


def copy_until_little_is_left(
    crossing: Crossing, limits: Limits, passes: tuple[Pass, ...], tell: Tell, since: int = 0
) -> tuple[tuple[Pass, ...], str]:
    """Passes while another one is of use; and why there are no more. Those before `since` do not count."""
    return copying.copy_until_little_is_left(_OldGuest(crossing), limits, passes, tell, since, scripts.ROUND)


def copy_last(crossing: Crossing, number: int, verify: Verify) -> tuple[Pass, str]:
    """The pass with the jobs down, and why the store could not be made read-only before it, if so.

    Raises CloudError if anything cannot be read or copied, Busy if something holds the store.
    """
    began = time.monotonic()
    crossing.there(scripts.TAKE_BACK)
    done = crossing.here(scripts.LAST, verify.value, fine=(0, HELD))
    if done.status == HELD:
        raise holding.busy(done)
    files, size, strange = three_numbers(done.stdout)
    why = " ".join(done.stdout.decode(errors="replace").splitlines()[:-2])
    made = Pass(number, time.monotonic() - began, size, files, strange=strange, jobs_down=True)
    return made, why
