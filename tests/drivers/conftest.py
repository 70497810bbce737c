"""What the tests of every driver share."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from cpi.testing.fork_server import ForkServer, fork_server

ForkServers = Callable[[str], ForkServer]


@pytest.fixture(scope="session")
def fork_servers() -> Iterator[ForkServers]:
    """One for each driver: a start has imported what its own driver needs, and nothing of another's."""
    servers: dict[str, ForkServer] = {}
    with ExitStack() as made:

        def server_of(driver: str) -> ForkServer:
            if driver not in servers:
                servers[driver] = made.enter_context(fork_server())
            return servers[driver]

        yield server_of
