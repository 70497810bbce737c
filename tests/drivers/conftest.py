"""What the tests of every driver share."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Final

import pytest

from cpi.testing.clause_table import clause_of
from cpi.testing.fork_server import ForkServer, fork_server

ForkServers = Callable[[str], ForkServer]

_WHERE_PROCESSES_DIFFER: Final = (
    "_token_", "callers_at_once", "secret", "added_to_what_is_there", "delete_vm_again", "again_answers_the_same_hint",
    "reboot_vm_raises",
)  # fmt: skip
"""The words of clauses that a driver may keep in one process and break when each call has its own: what a token does, what two of
them do at once, what a process shows, what one call would have to remember for the next; and one error. Each step of a
recreation is a process of its own as well."""


_ONLY_CALLS: Final = frozenset({"test_a_move_arrives_step_by_step_and_is_undone_wholly"})
"""Tests that are no clauses, and make the calls that clauses prove."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave to `make nightly` what the executable only passes on: in this process the same clause has just been proven.

    On the local cloud the whole table goes through the executable in every run, so the passing on of each argument, answer and
    error is proven too, once for all drivers. Clauses that are not the contract's (wire, recreating) stay.
    """
    for item in items:
        face = getattr(item, "callspec", None) and item.callspec.params.get("face")  # type: ignore[attr-defined]  # of those that have one
        if face != "executable" or "local" in item.path.parent.name or item.path.name != "test_conformance.py":
            continue
        name = item.name.partition("[")[0]
        if name in _ONLY_CALLS or (clause_of(name) and not any(words in name for words in _WHERE_PROCESSES_DIFFER)):
            item.add_marker(pytest.mark.nightly)


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
