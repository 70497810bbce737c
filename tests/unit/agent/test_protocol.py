"""What the client does when an agent is slow, silent, or answers what it should not."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from cpi.agent.errors import AgentError, AgentTaskFailed, AgentTimeout, AgentUnreachable
from cpi.agent.protocol import Agent, Deadlines
from cpi.contract import errors
from cpi.contract.ids import DiskCid

Answer = Mapping[str, Any] | errors.Error
_RUNNING = {"value": {"agent_task_id": "t", "state": "running"}}


class Scripted:
    """Gives its answers one after the other, the last for ever."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.methods: list[str] = []
        self.deadlines: list[float] = []
        self.closed = False

    def close(self) -> None:
        self.closed = True

    def exchange(self, request: Mapping[str, Any], deadline_seconds: float) -> Mapping[str, Any]:
        self.methods.append(request["method"])
        self.deadlines.append(deadline_seconds)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, errors.Error):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)


def test_a_task_is_asked_for_until_it_is_done() -> None:
    """And its answer is the method's."""
    transport = Scripted(_RUNNING, _RUNNING, _RUNNING, {"value": -5})
    assert Agent(transport).drain() == -5
    assert transport.methods == ["drain", "get_task", "get_task", "get_task"]


def test_an_answer_lost_while_a_task_is_asked_for_is_asked_again() -> None:
    """Four times, as a director does."""
    lost = AgentTimeout("lost")
    transport = Scripted(_RUNNING, lost, lost, lost, lost, {"value": "stopped"})
    Agent(transport).stop()
    assert transport.methods.count("get_task") == 5


def test_what_changes_something_is_not_sent_twice() -> None:
    """A lost answer to mount_disk is told: whether it was done is not known."""
    transport = Scripted(AgentTimeout("lost"))
    with pytest.raises(AgentTimeout):
        Agent(transport).mount_disk(DiskCid("d"))
    assert transport.methods == ["mount_disk"]


def test_a_task_that_takes_too_long_is_told_with_its_id() -> None:
    """The deadline is ours."""
    agent = Agent(Scripted(_RUNNING), Deadlines(task=0.01))
    with pytest.raises(AgentTimeout, match=r"run_script: the agent's task t was not done within 0\.01 s"):
        agent.run_script("pre-start")


def test_each_message_has_a_directors_deadline() -> None:
    """45 seconds; a ping has less."""
    transport = Scripted({"value": {}})
    agent = Agent(transport)
    agent.info()
    agent.ping()
    assert transport.deadlines == [45, 5]


def test_waiting_for_an_agent_that_boots() -> None:
    """It is pinged until it answers."""
    transport = Scripted(*[AgentUnreachable("not yet")] * 7, {"value": "pong"})
    Agent(transport).wait_until_ready(60)
    assert transport.methods == ["ping"] * 8


def test_an_agent_that_never_answers_is_told_with_the_last_fault() -> None:
    """So that a wrong address can be told from a slow boot."""
    agent = Agent(Scripted(AgentUnreachable("no route to 127.64.0.9")))
    with pytest.raises(AgentUnreachable, match=r"not ready within 0\.01 s: no route to 127\.64\.0\.9"):
        agent.wait_until_ready(0.01)


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (Agent.info, {"value": "one"}),
        (Agent.get_state, {"value": None}),
        (Agent.list_disk, {"value": "disk-1"}),
        (Agent.list_disk, {"value": [7]}),
        (Agent.drain, {"value": "soon"}),
        (Agent.drain, {"value": True}),
        (Agent.start, {}),
        (Agent.get_state, {"value": {"job_state": "running", "processes": [3]}}),
    ],
)
def test_an_answer_of_the_wrong_shape_is_an_agents_error(call: Callable[[Agent], object], answer: Answer) -> None:
    """Never a TypeError from within."""
    with pytest.raises(AgentTaskFailed, match=r"invalid answer|answered neither"):
        call(Agent(Scripted(answer)))


def test_an_exception_without_a_message_is_still_told() -> None:
    """Whatever it is."""
    with pytest.raises(AgentTaskFailed, match="boom"):
        Agent(Scripted({"exception": "boom"})).start()


def test_agents_errors_are_the_contracts() -> None:
    """One except clause for cpi.Error catches them."""
    assert issubclass(AgentError, errors.CloudError)
    assert AgentTimeout("x").wire_name == "Bosh::Clouds::CloudError"


def test_an_agent_is_closed_by_its_block() -> None:
    """Connections do not outlive it."""
    transport = Scripted({"value": "pong"})
    with Agent(transport) as agent:
        agent.ping()
    assert transport.closed
