"""The parts of waiting and repeating that drivers tune."""

from types import SimpleNamespace

import pytest
import tenacity

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


def test_repeating_ends_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many attempts are left; the last error is raised. The clock is one that moves by pauses alone."""
    calls, now = [], 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    def failing() -> None:
        sleep(0.1)
        calls.append(now)
        raise TimeoutError

    clock = SimpleNamespace(monotonic=lambda: now, sleep=sleep)
    monkeypatch.setattr(tenacity, "time", clock)
    monkeypatch.setattr(tenacity.nap, "time", clock)
    with pytest.raises(TimeoutError):
        repeated(failing, on=TimeoutError, attempts=1_000_000, deadline_seconds=20)
    assert len(calls) > 2
    assert calls[-2] < 20 <= calls[-1] < 31
