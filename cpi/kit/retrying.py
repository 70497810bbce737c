"""Repeating what failed for a passing reason: the other place that sleeps."""

from collections.abc import Callable
from typing import TypeVar

import tenacity

from cpi.kit import deadline

T = TypeVar("T")


def repeated(
    call: Callable[[], T],
    *,
    on: type[BaseException] | tuple[type[BaseException], ...],
    attempts: int,
    unless: type[BaseException] | tuple[type[BaseException], ...] = (),
    deadline_seconds: float | None = None,
    first_pause_seconds: float = 0.2,
    longest_pause_seconds: float = 10.0,
    at_least: Callable[[BaseException], float] = lambda _: 0.0,
) -> T:
    """The answer of call, which is made up to attempts times, and until the deadline if there is one, while it raises on.

    It is not made again once the deadline of the whole call (cpi.kit.deadline) has passed, or would have after the pause.
    Between two attempts it pauses, twice as long each time and jittered, and at least as long as the failure asks for by
    at_least (a Retry-After). Raises what the last attempt raised; anything
    that is not in on, or is in unless, at once.
    """
    stop = tenacity.stop_any(tenacity.stop_after_attempt(attempts), _TooLate())
    pause = tenacity.wait_random_exponential(multiplier=first_pause_seconds, max=longest_pause_seconds)
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, on) and not isinstance(error, unless)),
        stop=stop if deadline_seconds is None else tenacity.stop_any(stop, tenacity.stop_after_delay(deadline_seconds)),
        wait=lambda state: max(pause(state), _asked(state, at_least)),
        reraise=True,
    )
    return retrying(call)


class _TooLate(tenacity.stop.stop_base):
    """The whole call would be over before the next attempt."""

    def __call__(self, state: tenacity.RetryCallState) -> bool:
        of_call = deadline.current()
        return of_call is not None and state.upcoming_sleep >= of_call.left


def _asked(state: tenacity.RetryCallState, at_least: Callable[[BaseException], float]) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    return at_least(error) if error is not None else 0.0
