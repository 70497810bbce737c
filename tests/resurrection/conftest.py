"""What the tests of resurrection share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.resurrection.ground import Ground, ground_in


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    """A local cloud of its own."""
    with ground_in(tmp_path) as made:
        yield made
