"""The cloud is counted once a test, and again whenever that count may be of no use."""

import dataclasses
from pathlib import Path

import pytest

from cpi.contract.capability import Capability
from cpi.contract.units import MiB
from cpi.testing import Leak, Ledger
from cpi.testing.census import Census
from tests.suite.memory_cloud import MemoryCloud
from tests.suite.memory_harness import memory_harness


@dataclasses.dataclass
class Counted:
    """A cloud that holds so many things."""

    held: int = 0
    looks: int = 0

    def look(self) -> dict[str, int]:
        self.looks += 1
        return {"things": self.held}


@pytest.fixture
def counted() -> Counted:
    """The cloud."""
    return Counted()


@pytest.fixture
def common(tmp_path: Path) -> Ledger:
    """What the tests share."""
    harness = memory_harness(MemoryCloud, tmp_path)
    return Ledger(harness.connect(harness.config), frozenset(Capability))


@pytest.fixture
def census(counted: Counted, common: Ledger) -> Census:
    """What counts it."""
    return Census(counted.look, common)


def test_the_count_after_a_test_serves_the_next(census: Census, counted: Counted) -> None:
    """One look for each, and one before the first."""
    for _ in range(3):
        with census.kept():
            pass
    assert counted.looks == 1 + 3


def test_what_tests_share_is_counted_anew(census: Census, counted: Counted, common: Ledger) -> None:
    """It is no leak of the test that it is made for."""
    with census.kept():
        pass
    common.create_disk(MiB(1024), {})
    counted.held = 1
    with census.kept():
        pass


def test_what_stays_is_the_leak_of_one_test(census: Census, counted: Counted) -> None:
    """The next begins from a count of its own."""
    with pytest.raises(Leak, match=r"holds .* after it"), census.kept():
        counted.held = 1
    with census.kept():
        pass


def test_what_appears_between_tests_is_a_leak_too(census: Census, counted: Counted) -> None:
    """Some tests are given no ledger."""
    with census.kept():
        pass
    counted.held = 1
    with pytest.raises(Leak), census.kept():
        pass
