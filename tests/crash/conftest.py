"""A VM on the local cloud whose disk is moved by processes that die."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.local_cloud import local_config, local_config_file
from tests.crash.scenario import CrashScenario
from tests.dying_processes import DyingProcesses, dying_processes
from tests.migration.database_vm import database_vms


@pytest.fixture(scope="session")
def processes() -> Iterator[DyingProcesses]:
    """Processes for every test."""
    with dying_processes("tests.crash.dying_mover") as made:
        yield made


@pytest.fixture
def scenario(tmp_path: Path, processes: DyingProcesses) -> Iterator[CrashScenario]:
    """On folders: what is tested is who does what again, not filesystems."""
    with database_vms(tmp_path, local_config(tmp_path)) as make:
        yield CrashScenario(make(96, 2), processes, local_config_file(tmp_path))
