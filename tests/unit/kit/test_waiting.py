"""The only loop that sleeps: it asks at once, ever less often, and gives up in time."""

from pathlib import Path

import pytest

from cpi.contract import errors
from cpi.kit import private_files
from cpi.kit.usual import Usual
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
        assert len(self.pauses) < 10_000, "it never ends"
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


def test_it_ends_though_the_last_pause_is_too_short_for_the_clock() -> None:
    """What is left of the deadline may be less than the smallest step of the clock, which only pauses move here."""
    for number in range(2000):
        clock = Clock()
        clock.now = 1000.0 + number / 7
        with pytest.raises(Overdue):
            wait_until(lambda: None, "it", deadline_seconds=50 + number / 3001, sleep=clock.sleep, clock=clock)
        assert len(clock.pauses) < 100


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


def _looks(ready_after: float, what: str, usual: Usual | None) -> tuple[int, float]:
    """How often it was looked for, and how late it was found."""
    clock, looks = Clock(), 0
    began = clock.now

    def probe() -> bool:
        nonlocal looks
        looks += 1
        return clock.now - began >= ready_after

    wait_until(probe, what, deadline_seconds=600, first_pause_seconds=0.1, usual=usual, sleep=clock.sleep, clock=clock)
    return looks, clock.now - began - ready_after


@pytest.fixture
def usual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Usual:
    """A driver that has waited for nothing yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return Usual("a-driver")


def test_what_usually_takes_3_s_is_looked_for_a_few_times(usual: Usual) -> None:
    """The same kind of thing under another name; once it was waited for, at most 8 looks, and at most 0.5 s late."""
    assert _looks(3.0, "the disk disk-1 is not ready", usual)[0] == 15
    for number in range(2, 9):
        looks, late_seconds = _looks(3.0, f"the disk disk-{number} is not ready", usual)
        assert looks <= 8
        assert late_seconds <= 0.5


@pytest.mark.parametrize("seconds", [1.2, 2.9, 3.4, 8.0, 20.0])
def test_what_varies_is_found_in_time(usual: Usual, seconds: float) -> None:
    """The shortest of the last waits counts: what is ready sooner than usual is not found much later than without."""
    for took in (3.0, 9.0, 3.0):
        _looks(took, "the disk disk-1 is not ready", usual)
    _, late_seconds = _looks(seconds, "the disk disk-2 is not ready", usual)
    assert late_seconds <= max(0.8 * 3.0 - seconds, seconds * 0.25, 0.5)


def test_kinds_are_apart_and_short_waits_teach_nothing(usual: Usual) -> None:
    """A VM takes longer than a disk; what once was ready soon is looked for soon."""
    _looks(3.0, "the disk disk-1 is not ready", usual)
    assert _looks(3.0, "the VM i-0a1 does not run", usual)[0] == 15
    _looks(0.05, "the disk disk-2 is not ready", usual)
    assert _looks(0.05, "the disk disk-3 is not ready", usual)[0] == 2


def test_a_first_pause_is_10_s_at_most(usual: Usual) -> None:
    """A VM that fails early is not noticed minutes later."""
    _looks(300.0, "the VM i-0a1 does not run", usual)
    assert usual.pause("the VM i-0a2 does not run", 0.0) == 10.0


def test_what_is_spoilt_is_not_known(usual: Usual, tmp_path: Path) -> None:
    """Anybody's text in the file."""
    file = tmp_path / "multicpi" / "usual" / "a-driver.json"
    file.parent.mkdir(parents=True, mode=0o700)
    for text in ("[]", "{", '{"the disk …": ["x"]}'):
        file.write_text(text)
        file.chmod(0o600)
        assert usual.pause("the disk disk-1", 0.0) is None
        usual.note("the disk disk-1", 5.0)
        assert usual.pause("the disk disk-2", 0.0) == 4.0


def test_without_a_folder_nothing_is_known_and_no_wait_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else has it in hand: that is no reason for a call to fail after the cloud has done its part."""

    def refused(_: str | None = None) -> Path:
        raise errors.CpiError("no folder to store logins in")

    monkeypatch.setattr(private_files, "folder", refused)
    usual = Usual("a-driver")
    assert _looks(3.0, "the disk disk-1 is not ready", usual)[0] == _looks(3.0, "the disk disk-2 is not ready", usual)[0] == 15


def test_the_folder_is_the_one_of_the_settings(tmp_path: Path) -> None:
    """An operator chooses it where the home folder cannot be written to."""
    Usual("a-driver", str(tmp_path)).note("the disk disk-1", 5.0)
    assert Usual("a-driver", str(tmp_path)).pause("the disk disk-2", 0.0) == 4.0
    assert [file.name for file in tmp_path.rglob("*.json")] == ["a-driver.json"]
