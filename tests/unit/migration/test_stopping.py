"""When a live copy stops making passes."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cpi.migration.report import Pass
from cpi.migration.stopping import Limits, enough, expected_seconds

_GIGA = 1 << 30


def _passes(*rounds: tuple[float, int]) -> list[Pass]:
    return [Pass(1, 600.0, 100 * _GIGA, 9), *(Pass(number, took, size, 9) for number, (took, size) in enumerate(rounds, 2))]


def test_the_first_pass_is_never_the_last() -> None:
    """It says nothing of how much changes meanwhile."""
    assert enough(_passes(), Limits()) is None


@pytest.mark.parametrize(
    ("rounds", "reason"),
    [
        ([(2.5, 8 * _GIGA)], "the last pass took 2.5 s"),
        ([(40.0, 1000)], "1000 bytes had changed"),
        ([(90.0, 9 * _GIGA), (80.0, 8 * _GIGA)], "does not shrink"),
        ([(600.0 / 2**n, 9 * _GIGA >> n) for n in range(7)], "8 passes are the most"),
    ],
)
def test_the_passes_end_when_another_is_of_no_use(rounds: list[tuple[float, int]], reason: str) -> None:
    """Quick enough, little enough, no longer less, or too many."""
    assert reason in (enough(_passes(*rounds), Limits()) or "")


def test_the_passes_go_on_while_what_changes_shrinks() -> None:
    """Each one has less to do."""
    assert enough(_passes((200.0, 9 * _GIGA)), Limits()) is None
    assert enough(_passes((200.0, 9 * _GIGA), (60.0, 3 * _GIGA)), Limits()) is None


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # how busy the machine is proves nothing here
@given(st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, 1 << 50)), min_size=7, max_size=20))
def test_the_passes_always_end(rounds: list[tuple[float, int]]) -> None:
    """Whatever the job writes."""
    assert enough(_passes(*rounds), Limits())


def test_the_next_pass_is_expected_to_be_as_the_last() -> None:
    """Nothing better is known."""
    assert expected_seconds(_passes((7.0, 5))) == 7.0
    assert expected_seconds([]) == 0.0
