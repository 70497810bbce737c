"""A VM on the local cloud whose disk is moved by processes that die."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.local_cloud import local_config_file
from tests.crash.scenario import CrashScenario
from tests.dying_processes import DyingProcesses, dying_processes
from tests.migration.shared_vms import SharedVms, pytest_runtest_makereport, vms  # noqa: F401 - a hook and a fixture


@pytest.fixture(scope="session")
def processes() -> Iterator[DyingProcesses]:
    """Processes for every test."""
    with dying_processes("tests.crash.dying_mover") as made:
        yield made


@pytest.fixture
def scenario(request: pytest.FixtureRequest, vms: SharedVms, processes: DyingProcesses) -> Iterator[CrashScenario]:  # noqa: F811 - a fixture's name
    """On folders: what is tested is who does what again, not filesystems."""
    with vms.lent("folder", request.node) as vm:
        yield CrashScenario(vm, processes, local_config_file(vm.root.parent))


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A small filesystem of its own."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
