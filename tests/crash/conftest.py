"""A VM on the local cloud whose disk is moved by processes that die."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.ground import Ground, Mother, mother
from tests.migration.making import local_place


@pytest.fixture(scope="session")
def processes() -> Iterator[Mother]:
    """Processes for every test."""
    with mother() as made:
        yield made


@pytest.fixture
def ground(tmp_path: Path, processes: Mother) -> Iterator[Ground]:
    """On folders: what is tested is who does what again, not filesystems."""
    document = {
        "cloud": {"plugin": "local", "properties": {"local": {"root": str(tmp_path / "cloud"), "disk_backing": "folder"}}}
    }
    config = tmp_path / "cpi.json"
    config.write_text(json.dumps(document))
    with local_place(tmp_path, document) as make:
        yield Ground(make(96, 2), processes, config)
