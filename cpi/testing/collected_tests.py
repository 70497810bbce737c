"""What `cpi conformance` has pytest collect: the suite with the harness that the command made."""

import pytest

from cpi.testing import CloudContract, Harness
from cpi.testing.harness import Face


class TestCloud(CloudContract):
    """By both faces."""

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, harness_of_the_command: Harness) -> Harness:
        """As the command made it."""
        return harness_of_the_command


class TestExecutable(TestCloud):
    """For an executable that may be anybody's."""

    faces: tuple[Face, ...] = ("executable",)
