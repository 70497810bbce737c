"""The only loop that sleeps: it asks at once, ever less often, and gives up in time."""

import pytest

from cpi.contract import errors
from cpi.kit.waiting import LATE_SECONDS, Overdue, late, pause, wait_until


class Clock:
    """Time that passes only in sleep."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let it pass."""
        assert seconds >= 0
        self.pauses.append(seconds)
        self.now += seconds


def test_what_is_true_at_once_is_not_waited_for() -> None:
    """Not even for a moment; zero and an empty answer are answers."""
    clock = Clock()
    assert wait_until(lambda: 0, "zero", deadline_seconds=1, sleep=clock.sleep, clock=clock) == 0
    assert wait_until(lambda: "", "nothing", deadline_seconds=0, sleep=clock.sleep, clock=clock) == ""
    assert clock.pauses == []


@pytest.mark.parametrize("not_yet", [None, False])
def test_it_asks_until_there_is_an_answer(not_yet: bool | None) -> None:  # noqa: FBT001 - a value of the table
    """None and False mean not yet."""
    clock = Clock()
    answers = iter([not_yet, not_yet, "done"])
    assert wait_until(lambda: next(answers), "it", deadline_seconds=60, sleep=clock.sleep, clock=clock) == "done"
    assert len(clock.pauses) == 2


def test_pauses_grow_between_their_bounds() -> None:
    """A quarter of what was waited: many questions at first, few in the end."""
    clock = Clock()
    with pytest.raises(Overdue):
        wait_until(lambda: None, "it", deadline_seconds=60, sleep=clock.sleep, clock=clock)
    assert clock.pauses[0] == 0.05
    assert max(clock.pauses) == 2.0
    assert clock.pauses[:-1] == sorted(clock.pauses[:-1])
    assert len(clock.pauses) < 60


def test_it_gives_up_at_the_deadline_and_says_on_what() -> None:
    """Not later: the last pause is cut; the last question is asked at the deadline."""
    clock = Clock()
    asked: list[float] = []
    with pytest.raises(errors.CloudError, match=r"^the disk: not within 7\.5 s$"):
        wait_until(lambda: asked.append(clock.now), "the disk", deadline_seconds=7.5, sleep=clock.sleep, clock=clock)
    assert clock.now == pytest.approx(107.5)
    assert asked[-1] == pytest.approx(107.5)


def test_what_the_probe_raises_ends_the_wait() -> None:
    """It is not taken for a not yet."""

    def probe() -> None:
        raise errors.VMNotFound("vm-1")

    with pytest.raises(errors.VMNotFound):
        wait_until(probe, "it", deadline_seconds=60)


def test_what_comes_late_is_found_and_what_never_comes_is_none() -> None:
    """Looked for at once, and for the last time when the seconds are over."""
    clock = Clock()
    asked: list[float] = []
    assert late(lambda: clock.now >= 102 or None, sleep=clock.sleep, clock=clock) is True
    assert clock.now < 103
    began = clock.now
    assert late(lambda: asked.append(clock.now), sleep=clock.sleep, clock=clock) is None
    assert asked[0] == began
    assert asked[-1] == pytest.approx(began + LATE_SECONDS)


def test_a_pause_may_be_nothing() -> None:
    """Less than nothing is nothing."""
    pause(-1)
    pause(0)
