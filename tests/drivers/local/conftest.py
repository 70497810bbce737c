"""Local clouds that are cleared away, whatever a test does with them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drivers.local.place import Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A local cloud with folder disks."""
    made = Place(tmp_path)
    yield made
    made.clear()


@pytest.fixture(params=["folder", pytest.param("loop", marks=pytest.mark.root)])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A local cloud with folder disks, and one with loop disks."""
    made = Place(tmp_path, request.param)
    yield made
    made.clear()


@pytest.fixture
def loop_place(tmp_path: Path) -> Iterator[Place]:
    """A local cloud with loop disks; its tests are marked root."""
    made = Place(tmp_path, "loop")
    yield made
    made.clear()
