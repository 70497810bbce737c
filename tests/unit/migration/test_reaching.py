"""What a move leaves in its guest when it ends."""

from typing import Any, cast

import pytest

from cpi.agent.errors import AgentUnreachable
from cpi.agent.shell import user_of
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.units import MiB
from cpi.migration.durable.entry import Entry
from cpi.migration.durable.reaching import EntrySite

_ENTRY = Entry("/c.json", VmCid("vm-1"), DiskCid("disk-1"), MiB(64))


class _Agent:
    """Writes down who is let out."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.told: list[tuple[str, dict[str, str]]] = []
        self._fault = fault

    def ssh(self, command: str, parameters: dict[str, str]) -> dict[str, Any]:
        """As in Agent."""
        self.told.append((command, parameters))
        if self._fault is not None:
            raise self._fault
        return {"status": "success"}


def _end(agent: _Agent, move_id: str | None, raised: BaseException | None = None, *, is_ours: bool = True) -> None:
    site = EntrySite(_ENTRY, move_id=move_id)
    site.is_ours = is_ours
    with site:
        site._agent = cast("Any", agent)
        if raised is not None:
            raise raised


def test_a_move_that_ends_without_having_needed_a_shell_removes_what_a_killed_one_left() -> None:
    """It is asked of the agent, and fails nobody."""
    for agent in (_Agent(), _Agent(AgentUnreachable("gone"))):
        _end(agent, "move.2")
        assert agent.told[0] == ("cleanup", {"user_regex": "^bosh_cpi_"})


def test_who_only_looks_who_was_refused_and_who_gives_a_move_to_others_removes_nobody() -> None:
    """The users may be in use by then."""
    agent = _Agent()
    _end(agent, None)
    _end(agent, "move", is_ours=False)
    with pytest.raises(KeyboardInterrupt):
        _end(agent, "move", KeyboardInterrupt())
    assert agent.told == []


def test_the_user_of_a_move_is_the_same_each_time() -> None:
    """And one that every system takes."""
    assert user_of("move") == user_of("move") != user_of("other")
    assert len(user_of("x" * 100)) <= 31
