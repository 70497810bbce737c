"""The local cloud keeps the contract: by both faces with disks in folders, and in this process with disks on loop devices."""

from collections.abc import Iterator

import pytest

from cpi.testing import CloudContract, Harness, LibraryContract
from tests.drivers.arriving import ArrivalClauses
from tests.drivers.local.guests import local_harness
from tests.drivers.recreating import RecreationClauses


class TestLocalOnFolders(CloudContract, RecreationClauses, ArrivalClauses):
    """Anywhere: a disk is a folder."""

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
        """A cloud in a folder of its own."""
        with local_harness(tmp_path_factory.mktemp("local"), "folder") as harness:
            yield harness


@pytest.mark.root
class TestLocalOnLoopDevices(LibraryContract):
    """As root on Linux: a disk has a filesystem of its own, which the executable treats no differently."""

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
        """A cloud in a folder of its own."""
        with local_harness(tmp_path_factory.mktemp("local"), "loop") as harness:
            yield harness
