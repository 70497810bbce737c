"""Two local clouds with real disks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.migration.between.two_clouds import TwoClouds, two_clouds


@pytest.fixture
def both(tmp_path: Path) -> Iterator[TwoClouds]:
    """A VM whose job writes on the one cloud, and nothing but a stemcell on the other."""
    with two_clouds(tmp_path) as made:
        yield made
