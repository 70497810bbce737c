"""The meltdown guard and the back-off: pure."""

from cpi.resurrection.guard import Guard
from cpi.resurrection.rules import Backoff, Meltdown


def _names(count: int) -> list[str]:
    return [f"i/{number}" for number in range(count)]


def test_a_meltdown_needs_a_count_and_a_share() -> None:
    """As a BOSH director's: five, and a fifth of all."""
    few = Guard(Meltdown(), of=10)
    few.see(_names(4), (), 0)
    assert not few.is_meltdown
    few.see(_names(5), (), 0)
    assert few.is_meltdown
    small = Guard(Meltdown(), of=26)
    small.see(_names(5), (), 0)
    assert not small.is_meltdown


def test_who_was_down_of_late_counts_and_then_no_more() -> None:
    """One after the other within the window is a meltdown too."""
    guard = Guard(Meltdown(within=600), of=20)
    for number, name in enumerate(_names(5)):
        assert not guard.is_meltdown
        guard.see([name], (), 100.0 * number)
    assert guard.is_meltdown
    guard.see((), (), 650.0)
    assert not guard.is_meltdown


def test_who_is_only_suspected_counts_for_as_long_as_that() -> None:
    """So that the first of many who fell at once is not recreated before the others are silent long enough."""
    guard = Guard(Meltdown(), of=20)
    guard.see(["i/0"], _names(6), 0)
    assert guard.is_meltdown
    assert guard.down == tuple(_names(6))
    guard.see(["i/0"], ["i/0"], 1)
    assert not guard.is_meltdown


def test_the_backoff_doubles_up_to_its_longest() -> None:
    """Nothing to wait for at first."""
    backoff = Backoff(first=30, longest=200)
    assert [backoff.seconds(tries) for tries in range(6)] == [0, 30, 60, 120, 200, 200]
    assert backoff.seconds(10_000) == 200
