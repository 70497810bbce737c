"""What the tests of resurrection share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.resurrection.deployment import Deployment, deployment_in


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """A local cloud of its own."""
    with deployment_in(tmp_path) as made:
        yield made
