"""The conformance suite, for authors of drivers and of directors. Nothing in cpi imports it, save the command that runs it.

    import pytest
    from cpi.testing import CloudContract, Harness

    class TestMyCloud(CloudContract):
        @pytest.fixture(scope="class")
        @classmethod
        def harness(cls) -> Harness:
            return Harness(config={"cloud": {"plugin": "mycloud", "properties": {…}}})

docs/conformance.md tells what else a Harness can hold, and lists every clause with its tests.
"""

import pytest

pytest.register_assert_rewrite("cpi.testing.conformance")

from cpi.testing.conformance import CloudContract, GuestlessContract, LibraryContract  # noqa: E402 - told of above, to be rewritten
from cpi.testing.guest import AgentGuest, Guest  # noqa: E402 - as above
from cpi.testing.harness import Absent, Harness, Stemcell  # noqa: E402 - as above
from cpi.testing.ledger import Leak, Ledger  # noqa: E402 - as above

__all__ = [
    "Absent",
    "AgentGuest",
    "CloudContract",
    "Guest",
    "GuestlessContract",
    "Harness",
    "Leak",
    "Ledger",
    "LibraryContract",
    "Stemcell",
]
