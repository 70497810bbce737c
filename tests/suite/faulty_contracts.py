"""The suite for each cloud and each executable with a fault: run by test_suite_finds_faults.py, in a pytest of its own."""

import pytest

from cpi.contract.cloud import Cloud
from cpi.testing import Harness, LibraryContract
from cpi.testing.conformance.wire import WireClauses
from tests.suite import faulty_disks, faulty_others, faulty_vms, faulty_wires
from tests.suite.faults import FAULTS
from tests.suite.memory_cloud import MemoryCloud
from tests.suite.memory_harness import memory_harness
from tests.suite.memory_wire import MemoryWire

MODULES = (faulty_disks, faulty_others, faulty_vms, faulty_wires)


def contract_for(cloud_class: type[MemoryCloud]) -> type[LibraryContract]:
    """What an author of that cloud would write."""

    class Contract(LibraryContract):
        @pytest.fixture(scope="class")
        @classmethod
        def harness(cls, tmp_path_factory: pytest.TempPathFactory) -> Harness:
            return memory_harness(cloud_class, tmp_path_factory.mktemp("faulty"))

    return Contract


def contract_for_wire(wire_class: type[MemoryWire]) -> type[WireClauses]:
    """The clauses of the executable alone, over a cloud that is right."""

    class Contract(WireClauses):
        @pytest.fixture(scope="class")
        @classmethod
        def harness(cls, tmp_path_factory: pytest.TempPathFactory) -> Harness:
            return memory_harness(MemoryCloud, tmp_path_factory.mktemp("faulty"))

        @pytest.fixture(scope="class")
        @classmethod
        def wire(cls, janitor: Cloud) -> MemoryWire:
            return wire_class(janitor)

    return Contract


_CLOUDS = [faulty for faulty in FAULTS if issubclass(faulty, MemoryCloud)]
_WIRES = [faulty for faulty in FAULTS if issubclass(faulty, MemoryWire)]

globals().update({f"Test{cloud_class.__name__}": contract_for(cloud_class) for cloud_class in _CLOUDS})
globals().update({f"Test{wire_class.__name__}": contract_for_wire(wire_class) for wire_class in _WIRES})
