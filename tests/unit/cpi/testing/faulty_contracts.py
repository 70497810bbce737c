"""The suite for each cloud with a fault: run by test_suite_finds_faults.py, in a pytest of its own."""

import pytest

from cpi.testing import Harness, LibraryContract
from tests.unit.cpi.testing import faulty_disks, faulty_others, faulty_vms
from tests.unit.cpi.testing.faults import FAULTS
from tests.unit.cpi.testing.memory_cloud import MemoryCloud
from tests.unit.cpi.testing.memory_harness import memory_harness

MODULES = (faulty_disks, faulty_others, faulty_vms)


def contract_for(cloud_class: type[MemoryCloud]) -> type[LibraryContract]:
    """What an author of that cloud would write."""

    class Contract(LibraryContract):
        @pytest.fixture(scope="class")
        @classmethod
        def harness(cls, tmp_path_factory: pytest.TempPathFactory) -> Harness:
            return memory_harness(cloud_class, tmp_path_factory.mktemp("faulty"))

    return Contract


globals().update({f"Test{cloud_class.__name__}": contract_for(cloud_class) for cloud_class in FAULTS})
