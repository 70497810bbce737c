"""Repeating what failed for a passing reason: the other place that sleeps."""

from collections.abc import Callable
from typing import TypeVar

import tenacity

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
) -> T:
    """The answer of call, which is made up to attempts times, and until the deadline if there is one, while it raises on.

    Between two attempts it pauses, twice as long each time and jittered. Raises what the last attempt raised; anything
    that is not in on, or is in unless, at once.
    """
    stop = tenacity.stop_after_attempt(attempts)
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, on) and not isinstance(error, unless)),
        stop=stop if deadline_seconds is None else tenacity.stop_any(stop, tenacity.stop_after_delay(deadline_seconds)),
        wait=tenacity.wait_random_exponential(multiplier=first_pause_seconds, max=longest_pause_seconds),
        reraise=True,
    )
    return retrying(call)
