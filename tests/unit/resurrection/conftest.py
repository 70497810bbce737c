"""What the tests of the monitor share."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.unit.resurrection.place import Place


@pytest.fixture
def place() -> Iterator[Place]:
    """Parts of the test's own, around a monitor."""
    with ExitStack() as made:
        yield Place(made)
