"""The parts of waiting and repeating that drivers tune."""

import pytest

from cpi.kit.retrying import repeated
from cpi.kit.waiting import wait_until


def test_a_wait_overshoots_by_no_more_than_its_share() -> None:
    """A pause is the share of what was waited."""
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    ready = 10.0
    wait_until(
        lambda: now >= ready, "it", deadline_seconds=60, longest_pause_seconds=60, share=0.1, sleep=sleep, clock=lambda: now
    )
    assert ready <= now <= ready * 1.1 + 0.05


def test_repeating_ends_at_its_deadline() -> None:
    """However many attempts are left; the last error is raised."""
    calls = []

    def failing() -> None:
        calls.append(1)
        raise TimeoutError

    with pytest.raises(TimeoutError):
        repeated(failing, on=TimeoutError, attempts=1_000_000, deadline_seconds=0.2, first_pause_seconds=0.01)
    assert 1 < len(calls) < 1000
