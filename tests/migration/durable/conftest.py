"""What the tests of durable moves share."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.local_cloud import local_config_file
from tests.migration.database_vm import MakeVm, database_vms


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration of a local cloud on folders."""
    return local_config_file(tmp_path)


@pytest.fixture
def make_vm(tmp_path: Path, config: Path) -> Iterator[MakeVm]:
    """Makes a VM with a disk of so many MiB and so many of data on it, on that cloud."""
    with database_vms(tmp_path, json.loads(config.read_text())) as make:
        yield make
