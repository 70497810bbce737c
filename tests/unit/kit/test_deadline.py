"""One deadline for a call, whatever it waits for one after the other: on a clock that moves by pauses alone."""

import time

import pytest

from cpi.contract import errors
from cpi.kit import deadline
from cpi.kit.deadline import Deadline, within
from cpi.kit.retrying import repeated
from cpi.kit.undo import Undo
from cpi.kit.waiting import Overdue, refuse_late, wait_until


class Clock:
    """Time that passes only in sleep."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let it pass."""
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    """Begins at 100."""
    return Clock()


def _never(clock: Clock, what: str = "a pool", seconds: float = 300) -> None:
    wait_until(lambda: None, what, deadline_seconds=seconds, sleep=clock.sleep, clock=clock)


def test_waits_of_one_call_share_its_deadline(clock: Clock) -> None:
    """Twenty pools take no longer than two; the message names the setting."""
    late: list[str] = []
    with within(Deadline(600, "call_timeout", clock)):
        for number in range(20):
            try:
                _never(clock, f"pool {number}")
            except Overdue as error:
                late.append(error.message)
    assert clock.now <= 700
    assert len(late) == 20
    assert late[0] == "pool 0: not within 300 s"
    assert late[-1] == "pool 19: not within 0 s, and the call's 600 s (call_timeout) are over"


def test_what_is_there_is_found_also_when_the_deadline_has_passed(clock: Clock) -> None:
    """It is asked for once; only waiting has an end."""
    with within(Deadline(1, "call_timeout", clock)):
        clock.sleep(5)
        assert wait_until(lambda: "there", "it", deadline_seconds=9, sleep=clock.sleep, clock=clock) == "there"


def test_nothing_is_asked_for_after_the_deadline(clock: Clock) -> None:
    """Neither once more, nor for the first time."""
    calls: list[float] = []

    def failing() -> None:
        calls.append(clock.now)
        clock.sleep(7)
        raise OSError("reset")

    with within(Deadline(20, "call_timeout", clock)):
        refuse_late("has_vm")
        with pytest.raises(OSError, match="reset"):
            repeated(failing, on=OSError, attempts=1000, first_pause_seconds=0.001, longest_pause_seconds=0.001)
        with pytest.raises(errors.CloudError, match=r"^has_vm was not asked for any more: the call's 20 s \(call_timeout\)"):
            refuse_late("has_vm")
    assert calls == [100, 107, 114]
    refuse_late("outside of a call")


def test_a_pause_that_the_call_has_no_time_for_is_not_made(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that asks for a pause of an hour does not get it."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)

    def throttled() -> None:
        raise OSError("later")

    with within(Deadline(60, "call_timeout", clock)), pytest.raises(OSError, match="later"):
        repeated(throttled, on=OSError, attempts=5, at_least=lambda _: 3600.0)
    assert slept == []


def test_an_outer_deadline_that_is_sooner_wins(clock: Clock) -> None:
    """And an inner one that is sooner ends its block alone."""
    with within(Deadline(60, "outer", clock)):
        with within(Deadline(3600, "inner", clock)):
            assert str(deadline.current()).endswith("60 s (outer) are over")
        with within(Deadline(5, "inner", clock)):
            assert str(deadline.current()).endswith("5 s (inner) are over")
        assert str(deadline.current()).endswith("60 s (outer) are over")
    assert deadline.current() is None


def test_what_a_late_call_made_is_removed_all_the_same(clock: Clock) -> None:
    """Removing has as much time again, and no more."""
    removed: list[str] = []

    def remove() -> None:
        refuse_late("delete")
        removed.append("server")

    with within(Deadline(10, "call_timeout", clock)):
        undo = Undo()
        undo.push("server", remove)
        undo.push("port", lambda: _never(clock, "a port", 8))
        with pytest.raises(Overdue), undo:
            _never(clock, "a server")
        assert not undo.clean
        assert removed == ["server"]
        assert clock.now <= 100 + 10 + 8
        with pytest.raises(Overdue):
            refuse_late("more")
