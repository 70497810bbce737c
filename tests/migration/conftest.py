"""A local cloud of its own for each test, with a VM whose job writes acknowledged rows on its persistent disk."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.local_cloud import local_config
from tests.migration.database_vm import MakeVm, database_vms

_BACKINGS = [pytest.param("folder", id="folder"), pytest.param("loop", id="loop", marks=pytest.mark.root)]


@pytest.fixture(params=_BACKINGS)
def backing(request: pytest.FixtureRequest) -> str:
    """What disks are: folders anywhere, loop devices with ext4 where we are root."""
    return str(request.param)


@pytest.fixture
def make_vm(tmp_path: Path, backing: str) -> Iterator[MakeVm]:
    """Makes a VM with a disk of so many MiB and so many of data on it; all of it is removed afterwards."""
    with database_vms(tmp_path, local_config(tmp_path, backing)) as make:
        yield make
