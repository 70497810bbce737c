"""The client against what a real agent said: each message is sent as it was sent, and its answer understood."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cpi.agent.errors import AgentTaskFailed, AgentTimeout, AgentUnknownMessage
from cpi.agent.protocol import Agent
from cpi.contract.ids import DiskCid
from cpi.contract.model import DiskHint

_RECORDING = Path(__file__).parents[3] / "fixtures" / "agent" / "bosh-agent-nats.jsonl"
_LINES = [json.loads(line) for line in _RECORDING.read_text().splitlines()]
_EXCHANGES = [line for line in _LINES if "request" in line]


class Replay:
    """Answers as the recording does, from a given line on, and only to what was asked there."""

    def __init__(self, first: int) -> None:
        self.at = first

    def close(self) -> None:
        """Nothing is open."""

    def exchange(self, request: Mapping[str, Any], deadline_seconds: float) -> Mapping[str, Any]:
        recorded = _EXCHANGES[self.at]
        asked = {key: value for key, value in recorded["request"].items() if key != "reply_to"}
        assert request == asked
        self.at += 1
        if recorded["response"] == "TIMEOUT":
            raise AgentTimeout(f"{request['method']}: as recorded")
        answer: Mapping[str, Any] = recorded["response"]
        return answer


def _from(method: str, *arguments: object, skip: int = 0) -> tuple[Agent, Replay]:
    """An agent that is about to be asked this message, as at its first (or a later) place in the recording."""
    places = [
        at
        for at, line in enumerate(_EXCHANGES)
        if (line["request"]["method"], line["request"]["arguments"]) == (method, list(arguments))
    ]
    replay = Replay(places[skip])
    return Agent(replay), replay


def test_the_first_ping_is_lost_and_asked_again() -> None:
    """As it was recorded: nothing came to the first, "pong" to the second."""
    agent, replay = _from("ping")
    agent.ping()
    assert replay.at == 2


def test_info() -> None:
    """The agent's own version of its API."""
    agent, _ = _from("info")
    assert agent.info() == {"api_version": 1}


def test_the_state_has_the_jobs_and_their_processes() -> None:
    """Without vitals unless asked."""
    agent, _ = _from("get_state")
    state = agent.get_state()
    assert (state.job_state, [process.state for process in state.processes]) == ("running", ["running", "running", "failing"])
    assert state.vitals == {}


def test_the_full_state_has_vitals() -> None:
    """Disks in per cent, as strings."""
    agent, _ = _from("get_state", "full")
    state = agent.get_state(full=True)
    assert state.vitals["disk"]["system"] == {"inode_percent": "4", "percent": "11"}
    assert state.document["agent_id"] == "11111111-2222-3333-4444-555555555555"


def test_a_missing_task_is_told() -> None:
    """With the agent's own words, without its wrapping."""
    agent, _ = _from("get_task", "no-such-task")
    with pytest.raises(AgentTaskFailed, match=r"^get_task: Task with id no-such-task could not be found$"):
        agent.get_task("no-such-task")


@pytest.mark.parametrize(("cid", "hint"), [("disk-1", DiskHint(path="/dev/sdc")), ("disk-2", DiskHint(id="vol-2"))])
def test_a_disk_is_added_by_its_hint(cid: str, hint: DiskHint) -> None:
    """A task of two messages."""
    agent, replay = _from("add_persistent_disk", cid, hint.to_wire())
    first = replay.at
    agent.add_persistent_disk(DiskCid(cid), hint)
    assert replay.at == first + 2


def test_an_agent_that_knows_no_dynamic_disks_says_so() -> None:
    """There is no other way to tell it."""
    old = Agent(_Always({"exception": {"message": "unknown message add_dynamic_disk"}}))
    with pytest.raises(AgentUnknownMessage, match="add_dynamic_disk"):
        old.add_dynamic_disk(DiskCid("d"), DiskHint(device="/dev/sdc"))
    with pytest.raises(AgentUnknownMessage, match="remove_dynamic_disk"):
        old.remove_dynamic_disk(DiskCid("d"))


def test_disks_are_mounted_listed_and_unmounted() -> None:
    """The whole of it, in the recording's order."""
    agent, _ = _from("mount_disk", "disk-1")
    agent.mount_disk(DiskCid("disk-1"))
    with pytest.raises(AgentTaskFailed, match=r"mount_disk: Reading persistent disk settings: .*'disk-404' could not"):
        agent.mount_disk(DiskCid("disk-404"))
    assert agent.list_disk() == ("disk-1", "disk-2")
    agent.mount_disk(DiskCid("disk-2"))


def test_a_disk_is_unmounted_and_forgotten() -> None:
    """And one that was never there is told apart."""
    agent, _ = _from("unmount_disk", "disk-1")
    agent.unmount_disk(DiskCid("disk-1"))
    agent.remove_persistent_disk(DiskCid("disk-1"))
    with pytest.raises(AgentTaskFailed, match="unmount_disk: Getting persistent disk settings"):
        agent.unmount_disk(DiskCid("disk-404"))
    assert agent.list_disk() == ("disk-2",)


def test_a_task_that_cannot_be_cancelled_says_so() -> None:
    """Few can."""
    task_id = "e4542892-8d1d-4aaf-6e6c-335e1969020c"
    agent, _ = _from("cancel_task", task_id)
    with pytest.raises(AgentTaskFailed, match="cancel_task: not supported"):
        agent.cancel_task(task_id)


def test_a_spec_is_applied_and_the_jobs_are_drained_stopped_and_started() -> None:
    """One deployment's life."""
    spec = next(line["request"]["arguments"][0] for line in _EXCHANGES if line["request"]["method"] == "apply")
    agent, _ = _from("apply", spec)
    agent.apply(spec)
    assert agent.drain("shutdown") == 0
    with pytest.raises(AgentTaskFailed, match="drain: Unexpected call with drain type 'status'"):
        agent.drain("status")
    agent.stop()
    assert agent.get_state().job_state == "stopped"
    agent.start()
    assert agent.get_state().job_state == "running"
    agent.run_script("pre-start")
    agent.prepare({})


def test_a_message_that_the_agent_does_not_know() -> None:
    """As it answered to a made-up one."""
    answer = next(line["response"] for line in _EXCHANGES if line["request"]["method"] == "bogus_method")
    with pytest.raises(AgentUnknownMessage, match="does not know the message start"):
        Agent(_Always(answer)).start()


def test_an_agent_too_old_to_be_told_of_disks_reads_its_settings() -> None:
    """So that is no error."""
    answer = {"exception": {"message": "unknown message add_persistent_disk"}}
    Agent(_Always(answer)).add_persistent_disk(DiskCid("d"), DiskHint(device="/dev/sdc"))
    Agent(_Always(answer)).remove_persistent_disk(DiskCid("d"))


class _Always:
    """One answer to everything."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        self._answer = answer

    def close(self) -> None:
        """Nothing is open."""

    def exchange(self, request: Mapping[str, Any], deadline_seconds: float) -> Mapping[str, Any]:
        return self._answer
