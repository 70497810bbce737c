"""The local cloud keeps the contract, by both faces, with disks on loop devices and with disks in folders."""

from collections.abc import Iterator

import pytest

from cpi.testing import CloudContract, Harness
from tests.conformance.local_ground import local_harness


@pytest.mark.root
class TestLocalOnLoopDevices(CloudContract):
    """As root on Linux: each disk has a filesystem of its own."""

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
        """A cloud in a folder of its own."""
        with local_harness(tmp_path_factory.mktemp("local"), "loop") as harness:
            yield harness


class TestLocalOnFolders(CloudContract):
    """Anywhere: a disk is a folder."""

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
        """A cloud in a folder of its own."""
        with local_harness(tmp_path_factory.mktemp("local"), "folder") as harness:
            yield harness
