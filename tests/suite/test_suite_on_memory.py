"""The suite has nothing to say against a cloud that is right, whether it has every power or none."""

import pytest

from cpi.testing import Harness, LibraryContract
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


class TestBareCloud(LibraryContract):
    """A cloud with none: its refusals are what the suite proves."""

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, tmp_path_factory: pytest.TempPathFactory) -> Harness:
        return memory_harness(BareCloud, tmp_path_factory.mktemp("bare"))


TestMemoryWire = faulty_contracts.contract_for_wire(MemoryWire)
"""An executable without a fault."""
