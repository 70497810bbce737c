"""VMs of a local cloud whose jobs write acknowledged rows on their persistent disks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cpi.migration import measuring
from fixtures.local_cloud import local_config
from tests.migration.database_vm import DatabaseVm, MakeVm, database_vms
from tests.migration.shared_vms import SharedVms, pytest_runtest_makereport, vms  # noqa: F401 - a hook and a fixture

_BACKINGS = [pytest.param("folder", id="folder"), pytest.param("loop", id="loop", marks=pytest.mark.root)]


@pytest.fixture(autouse=True)
def _short_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """A move that has to choose its way looks at the store for a moment: what comes of it is not what these tests are about."""
    monkeypatch.setattr(measuring, "_SAMPLED_SECONDS", 0.2)


@pytest.fixture(params=_BACKINGS)
def backing(request: pytest.FixtureRequest) -> str:
    """What disks are: folders anywhere, loop devices with ext4 where we are root."""
    return str(request.param)


on_folders = pytest.mark.parametrize("backing", [pytest.param("folder", id="folder")], indirect=True)
on_loop = pytest.mark.parametrize("backing", [pytest.param("loop", id="loop", marks=pytest.mark.root)], indirect=True)
"""For what is the same whatever disks are."""


@pytest.fixture
def make_vm(tmp_path: Path, backing: str) -> Iterator[MakeVm]:
    """Makes a VM with a disk of so many MiB and so many of data on it, alone on its cloud; all is removed afterwards."""
    with database_vms(tmp_path, local_config(tmp_path, backing)) as make:
        yield make


@pytest.fixture
def vm(request: pytest.FixtureRequest, vms: SharedVms, backing: str) -> Iterator[DatabaseVm]:  # noqa: F811 - a fixture's name
    """A VM that was well when the test before this one had done with it; 4 MiB of data on a disk of 96 MiB or more."""
    with vms.lent(backing, request.node) as lent:
        yield lent
