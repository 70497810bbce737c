"""Repeating what failed for a passing reason."""

import time

import pytest

from cpi.kit.retrying import repeated


class _Flaky:
    def __init__(self, *faults: Exception) -> None:
        self._faults = list(faults)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self._faults:
            raise self._faults.pop(0)
        return "done"


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was slept, without sleeping."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


def test_a_passing_fault_passes(pauses: list[float]) -> None:
    """The answer is that of the attempt that worked."""
    flaky = _Flaky(OSError("once"), OSError("twice"))
    assert repeated(flaky, on=OSError, attempts=3) == "done"
    assert (flaky.calls, len(pauses)) == (3, 2)


def test_a_lasting_fault_is_raised_as_it_is(pauses: list[float]) -> None:
    """That of the last attempt, not of the library that repeats."""
    flaky = _Flaky(OSError("one"), OSError("two"), OSError("three"))
    with pytest.raises(OSError, match="two"):
        repeated(flaky, on=OSError, attempts=2)
    assert len(pauses) == 1


def test_another_fault_is_raised_at_once(pauses: list[float]) -> None:
    """Repeating would not mend it."""
    flaky = _Flaky(KeyError("x"))
    with pytest.raises(KeyError):
        repeated(flaky, on=OSError, attempts=5)
    assert (flaky.calls, pauses) == (1, [])


def test_an_excepted_fault_is_raised_at_once(pauses: list[float]) -> None:
    """The one kind among many that is final."""
    flaky = _Flaky(FileNotFoundError("gone"))
    with pytest.raises(FileNotFoundError):
        repeated(flaky, on=OSError, unless=FileNotFoundError, attempts=5)
    assert (flaky.calls, pauses) == (1, [])


def test_pauses_have_a_bound(pauses: list[float]) -> None:
    """However often it is repeated."""
    flaky = _Flaky(*(OSError(str(number)) for number in range(9)))
    repeated(flaky, on=OSError, attempts=10, first_pause_seconds=1, longest_pause_seconds=2)
    assert max(pauses) <= 2
