"""Waiting for the cloud: the only loop that sleeps."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from cpi.contract import errors
from cpi.kit import deadline

if TYPE_CHECKING:
    from cpi.kit.usual import Usual

T = TypeVar("T")

_SHORTEST_SECONDS: Final = 1e-6
LATE_SECONDS: Final = 3.0
"""How long after a lost answer a cloud may still begin what it was asked for."""


class Overdue(errors.CloudError):
    """What was waited for did not come true in time."""


def pause(seconds: float) -> None:
    """Do nothing for so long, because somebody asked for just that."""
    time.sleep(max(seconds, 0))


def wait_until(  # noqa: PLR0913 - all but three are of the pauses, and have defaults
    probe: Callable[[], T | None],
    what: str,
    *,
    deadline_seconds: float,
    first_pause_seconds: float = 0.05,
    longest_pause_seconds: float = 2.0,
    share: float = 0.25,
    usual: "Usual | None" = None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """The first answer of probe that is neither None nor False.

    Asks at once, then ever less often: each pause is a share (a quarter) of what was waited, between the two bounds, so
    that a wait overshoots by no more than that share. usual: what is known of earlier waits; what usually takes long is
    looked for when it may be there. Raises Overdue, naming what, when deadline_seconds have passed, or
    the deadline of the whole call has.
    """
    began, in_vain = clock(), None
    while True:
        answer = probe()
        waited = clock() - began
        if answer is not None and answer is not False:
            if usual is not None and in_vain is not None:
                usual.note(what, in_vain)
            return answer
        in_vain = waited
        if deadline_seconds - waited < _SHORTEST_SECONDS:
            raise Overdue(f"{what}: not within {deadline_seconds:g} s")
        due = usual.pause(what, waited) if usual is not None else None
        next_pause = min(max(first_pause_seconds, waited * share), longest_pause_seconds) if due is None else due
        next_pause = min(next_pause, max(deadline_seconds - waited, 0))
        of_call = deadline.current()
        if of_call is not None and next_pause >= of_call.left:
            of_call.end()
            raise Overdue(f"{what}: not within {waited:.0f} s, and {of_call}")
        sleep(next_pause)


def refuse_late(what: str) -> None:
    """Raises Overdue if the deadline of the whole call has passed: what is asked now would only make it longer."""
    of_call = deadline.current()
    if of_call is not None and of_call.has_passed:
        raise Overdue(f"{what} was not asked for any more: {of_call}")


def late(
    look: Callable[[], T | None],
    *,
    seconds: float = LATE_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> T | None:
    """What a call has done whose answer was lost: the first answer of look that is neither None nor False, or None.

    The first look tells little: the cloud may carry the call out some seconds after the connection is gone. look does not wait.
    """
    try:
        return wait_until(look, "a call without an answer", deadline_seconds=seconds, sleep=sleep, clock=clock)
    except Overdue:
        return None
