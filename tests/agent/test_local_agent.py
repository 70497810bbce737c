"""The whole face of Agent against the local cloud's agent, over HTTPS and over a real NATS server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cpi.agent.errors import AgentTaskFailed, AgentUnknownMessage
from cpi.agent.protocol import Agent
from cpi.contract.ids import DiskCid
from cpi.contract.model import DiskHint
from cpi.kit.waiting import wait_until
from fixtures.nats_server import NatsServer
from tests.agent.agents_in_reach import AgentInReach, agent_in_reach

_DISK, _OTHER = DiskCid("disk-1"), DiskCid("disk-2")


@pytest.fixture(params=["https", "nats"])
def there(request: pytest.FixtureRequest, message_bus: NatsServer, tmp_path: Path) -> Iterator[AgentInReach]:
    """The same agent, each way."""
    with agent_in_reach(message_bus if request.param == "nats" else None, tmp_path) as agent:
        yield agent


def _wait_for_job_state(agent: Agent, state: str) -> None:
    wait_until(lambda: agent.get_state().job_state == state, f"job_state {state}", deadline_seconds=60, first_pause_seconds=0.02)


def _hint(folder: Path, name: str) -> DiskHint:
    data = folder / name / "data"
    data.mkdir(parents=True)
    return DiskHint(path=str(data))


def test_it_tells_who_it_is_and_how_it_does(there: AgentInReach) -> None:
    """Vitals only when asked."""
    assert there.agent.info() == {"api_version": 1}
    state = there.agent.get_state()
    assert state.document["agent_id"] == there.settings()["agent_id"]
    assert not state.vitals
    assert set(there.agent.get_state(full=True).vitals) >= {"cpu", "disk", "load", "mem", "swap", "uptime"}


def test_jobs_are_applied_started_drained_and_stopped(there: AgentInReach) -> None:
    """What runs is what was applied."""
    agent = there.agent
    agent.prepare({})
    agent.apply({"jobs": [{"name": "steady", "command": ["sleep", "60"]}], "deployment": "d"})
    agent.start()
    _wait_for_job_state(agent, "running")
    assert [(process.name, process.state) for process in agent.get_state().processes] == [("steady", "running")]
    agent.run_script("pre-start", {"A": "b"})
    assert agent.drain("shutdown") == 0
    agent.stop()
    assert agent.get_state().job_state == "stopped"


def test_disks_are_mounted_copied_and_forgotten(there: AgentInReach, tmp_path: Path) -> None:
    """A whole move the old way."""
    agent = there.agent
    for cid in (_DISK, _OTHER):
        agent.add_persistent_disk(cid, _hint(tmp_path, cid))
    agent.mount_disk(_DISK)
    (there.vm.store / "row").write_text("kept")
    agent.mount_disk(_OTHER)
    assert agent.list_disk() == (_DISK, _OTHER)
    agent.migrate_disk(_DISK, _OTHER)
    assert agent.list_disk() == (_OTHER,)
    assert (there.vm.store / "row").read_text() == "kept"
    agent.unmount_disk(_OTHER)
    for cid in (_DISK, _OTHER):
        agent.remove_persistent_disk(cid)
    assert agent.list_disk() == ()


def test_a_dynamic_disk_is_linked_and_taken_away_again(there: AgentInReach, tmp_path: Path) -> None:
    """By its CID; to take it away twice changes nothing, and nothing is mounted."""
    link = there.vm.store.parent / "data" / "dynamic_disks" / _DISK
    there.agent.add_dynamic_disk(_DISK, _hint(tmp_path, _DISK))
    assert link.is_symlink()
    assert there.agent.list_disk() == ()
    for _ in range(2):
        there.agent.remove_dynamic_disk(_DISK)
    assert not link.is_symlink()


def test_what_fails_is_told_in_the_agents_words(there: AgentInReach) -> None:
    """A task, a message, an unknown one; and the agent goes on."""
    with pytest.raises(AgentTaskFailed, match=r"^mount_disk: Reading persistent disk settings: .*'disk-1' could not be found"):
        there.agent.mount_disk(_DISK)
    with pytest.raises(AgentTaskFailed, match=r"^get_task: Task with id no-such could not be found$"):
        there.agent.get_task("no-such")
    with pytest.raises(AgentTaskFailed, match="Unexpected call with drain type 'status'"):
        there.agent.drain("status")
    with pytest.raises(AgentUnknownMessage, match="does not know the message"):
        there.agent._asked("no_such_message")
    there.agent.ping()


def test_it_is_waited_for_while_it_boots(there: AgentInReach) -> None:
    """And found again by the same client, though it lost the connection."""
    there.vm.lose()
    assert there.vm.launch().returncode == 0
    there.agent.wait_until_ready()
    assert there.agent.get_state().job_state == "running"


def test_many_questions_at_once_each_get_their_answer(there: AgentInReach) -> None:
    """A task that takes long keeps no message waiting."""
    agent = there.agent
    drain = {"name": "slow", "command": ["sleep", "60"], "drain": {"command": ["sh", "-c", "sleep 2; echo 0"]}}
    agent.apply({"jobs": [drain]})
    agent.start()
    _wait_for_job_state(agent, "running")
    marker = agent._asked("drain", "shutdown")
    for _ in range(10):
        agent.ping()
    assert agent.get_task(marker["agent_task_id"]) == marker
    agent.cancel_task(marker["agent_task_id"])
    with pytest.raises(AgentTaskFailed, match="cancelled"):
        agent._awaited("drain", marker["agent_task_id"], 15)
