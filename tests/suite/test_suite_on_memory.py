"""The suite has nothing to say against a cloud that is right, whether it has every power or none."""

import pytest

from cpi.contract.capability import Capability
from cpi.testing import Harness, LibraryContract, clause_table
from cpi.testing.powers import PROBES
from tests.suite import faulty_contracts
from tests.suite.bare_cloud import BareCloud
from tests.suite.memory_cloud import MemoryCloud
from tests.suite.memory_harness import memory_harness
from tests.suite.memory_wire import MemoryWire


class TestMemoryCloud(LibraryContract):
    """A cloud with every power."""

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, tmp_path_factory: pytest.TempPathFactory) -> Harness:
        return memory_harness(MemoryCloud, tmp_path_factory.mktemp("memory"))


def turns_on_a_power(test: str) -> bool:
    """Whether a test asks what the cloud declares."""
    return hasattr(getattr(LibraryContract, test), "power") or "without_the_capability" in test or "the_powers_declared" in test


class TestBareCloud(LibraryContract):
    """A cloud with none: its refusals are what the suite proves, by the tests that ask for powers; all others do as above."""

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, tmp_path_factory: pytest.TempPathFactory) -> Harness:
        return memory_harness(BareCloud, tmp_path_factory.mktemp("bare"))


for _name in clause_table.tests():
    if hasattr(LibraryContract, _name) and not turns_on_a_power(_name):
        setattr(TestBareCloud, _name, None)


def test_every_power_is_asked_of_the_bare_cloud() -> None:
    """Each in its own tests, and in the one of each of its methods that wants the refusal."""
    chosen = [getattr(TestBareCloud, name) for name in clause_table.tests() if getattr(TestBareCloud, name, None) is not None]
    assert {test.power for test in chosen if hasattr(test, "power")} == set(Capability)
    refused = {method for method in PROBES if any(f"test_{method}_raises" in test.__name__ for test in chosen)}
    assert refused == set(PROBES)


TestMemoryWire = faulty_contracts.contract_for_wire(MemoryWire)
"""An executable without a fault."""
