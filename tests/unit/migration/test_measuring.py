"""How full a disk is: never told too much, for a refusal rests on it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpi.agent.protocol import AgentState
from cpi.contract.units import MiB
from cpi.migration.measuring import used_bytes_at_least


def _state(vitals: Any) -> AgentState:
    return AgentState("running", (), vitals, {})


@given(size=st.integers(1, 10**7), share=st.floats(0, 1), filesystem=st.floats(0.9, 1))
def test_a_percentage_gives_less_than_what_is_used(size: int, share: float, filesystem: float) -> None:
    """Whatever the rounding and the filesystem's own share of the disk."""
    used = size * 1024 * 1024 * filesystem * share
    for percent in (int(share * 100), -int(-share * 100 // 1)):
        told = used_bytes_at_least(_state({"disk": {"persistent": {"percent": str(percent)}}}), MiB(size))
        assert told is not None
        assert told <= used + 1


@pytest.mark.parametrize(
    "vitals", [{}, {"disk": {}}, {"disk": None}, {"disk": {"persistent": {"percent": "n/a"}}}, {"disk": {"persistent": {}}}]
)
def test_what_is_not_told_is_not_known(vitals: Any) -> None:
    """Not zero: unknown."""
    assert used_bytes_at_least(_state(vitals), MiB(100)) is None


def test_a_share_of_an_unknown_size_is_not_known() -> None:
    """Half of what is not told."""
    assert used_bytes_at_least(_state({"disk": {"persistent": {"percent": "50"}}}), None) is None
