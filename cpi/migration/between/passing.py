"""The passes of a move between clouds: all of it once, then what changed meanwhile; the last one with the jobs down."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

from cpi.kit.retrying import repeated
from cpi.migration import holding
from cpi.migration.between import scripts
from cpi.migration.between.crossing import LOST, Crossing
from cpi.migration.copying import Tell, told_bytes
from cpi.migration.holding_scripts import HELD
from cpi.migration.report import Pass, Progress, Verify
from cpi.migration.stopping import Limits, enough, expected_seconds
from cpi.migration.verifying import three_numbers

T = TypeVar("T")

_WHILE_LIVE: Final = (0, 23, 24)
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


def copy_all(crossing: Crossing, limits: Limits, files: int, size: int, tell: Tell) -> Pass:
    """The first pass. What is there already is not sent again; what vanishes or changes meanwhile is left to later ones."""
    began = time.monotonic()

    def on_output(chunk: bytes) -> None:
        copied = told_bytes(chunk)
        if copied is not None:
            tell(Progress(number=1, copied_bytes=min(copied, size), of_bytes=size, rate=_rate(copied, began)))

    done = crossing.here(scripts.BULK, str(limits.bandwidth_kib), on_output=on_output, fine=_WHILE_LIVE)
    return Pass(1, time.monotonic() - began, size, files, partial=done.status != 0)


def copy_changes(crossing: Crossing, limits: Limits, number: int, tell: Tell) -> Pass:
    """A pass over what changed since the one before, the jobs still running."""
    began = time.monotonic()
    done = crossing.here(scripts.ROUND, str(limits.bandwidth_kib), fine=_WHILE_LIVE)
    files, size, strange = three_numbers(done.stdout)
    took = time.monotonic() - began
    made = Pass(number, took, size, files, partial=done.status != 0, strange=strange)
    tell(Progress(number, size, size, _rate(size, began), changed_bytes=size, expected_down_seconds=expected_seconds((made,))))
    return made


def copy_until_little_is_left(
    crossing: Crossing, limits: Limits, passes: tuple[Pass, ...], tell: Tell, since: int = 0
) -> tuple[tuple[Pass, ...], str]:
    """Passes while another one is of use; and why there are no more. Those before `since` do not count."""
    while (reason := enough(passes[since:], limits)) is None:
        passes = (*passes, copy_changes(crossing, limits, len(passes) + 1, tell))
    return passes, reason


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


def _rate(copied: int, began: float) -> float:
    return copied / max(time.monotonic() - began, 0.001)
