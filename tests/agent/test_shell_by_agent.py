"""A shell by the agent's messages, over HTTPS and NATS, by a real SSH server and without one; it is shut whatever happens."""

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from cpi.agent.errors import AgentTaskFailed, AgentTimeout, AgentUnknownMessage, AgentUnreachable
from cpi.agent.protocol import Agent
from cpi.agent.shell import ExecShell, Shell, SshShell, shell_by_agent
from cpi.kit.waiting import wait_until
from fixtures.nats_server import NatsServer
from tests.agent.agents_in_reach import AgentInReach, agent_in_reach

_SOON = 60.0
_SLEEP = ("sleep", str(100_000 + os.getpid()))  # told from those of tests that run beside
_WAYS = [
    pytest.param("https", True, marks=pytest.mark.root, id="https-ssh"),
    pytest.param("nats", True, marks=pytest.mark.root, id="nats-ssh"),
    pytest.param("https", False, id="https-exec"),
    pytest.param("nats", False, id="nats-exec"),
]


@pytest.fixture
def there(transport: str, has_server: bool, message_bus: NatsServer, tmp_path: Path) -> Iterator[AgentInReach]:  # noqa: FBT001 - a parameter
    """A VM, with an SSH server or without."""
    bus = message_bus if transport == "nats" else None
    with agent_in_reach(bus, tmp_path, isolated=has_server, ssh_server=has_server) as agent:
        yield agent


each_way = pytest.mark.parametrize(("transport", "has_server"), _WAYS)


def _is_shut(shell: Shell) -> bool:
    try:
        shell.run(["true"], deadline_seconds=_SOON)
    except AgentUnreachable:
        return isinstance(shell, SshShell)
    except AgentTaskFailed as error:
        return "nobody was let in" in error.message
    return False


@each_way
def test_commands_run_in_the_vm_as_root(there: AgentInReach) -> None:
    """Where root is, is told; the same face whichever way it goes."""
    told: list[bytes] = []
    with shell_by_agent(there.agent) as shell:
        assert isinstance(shell, SshShell if "ssh" in there.kind else ExecShell)
        assert shell.root == str(there.vm.root)
        assert shell.run(["id", "-u"], deadline_seconds=_SOON).stdout == f"{os.geteuid()}\n".encode()
        every = bytes(range(256)) * 100
        done = shell.run(["tee", "/dev/stderr"], deadline_seconds=_SOON, stdin=every, on_output=told.append)
        assert [done.stdout == every, done.stderr == every, b"".join(told) == every] == [True] * 3
        assert shell.run(["sh", "-c", "echo no >&2; exit 3"], deadline_seconds=_SOON).complaint == "no"
    assert _is_shut(shell)


@each_way
def test_it_is_shut_after_an_exception_too(there: AgentInReach) -> None:
    """And can be opened again; what was running has ended."""
    opened: list[Shell] = []

    def fail() -> None:
        with shell_by_agent(there.agent) as shell:
            opened.append(shell)
            with pytest.raises(AgentTimeout):
                shell.run(_SLEEP, deadline_seconds=0.5)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert _is_shut(opened[0])
    assert not _running(*_SLEEP)
    with shell_by_agent(there.agent) as shell:
        assert shell.run(["true"], deadline_seconds=_SOON).status == 0


@pytest.mark.parametrize(("transport", "has_server"), [way for way in _WAYS if way.values[0] == "https"])
def test_a_killed_caller_keeps_nobody_out(there: AgentInReach, tmp_path: Path) -> None:
    """What it left is found by cleanup, and is in nobody's way until then."""
    (tmp_path / "settings.json").write_text(json.dumps(there.settings()))
    program = (
        "import json, sys; from cpi.agent.https import from_settings; from cpi.agent.shell import shell_by_agent\n"
        "with shell_by_agent(from_settings(json.load(open(sys.argv[1])))) as shell:\n"
        "  shell.run(['true'], deadline_seconds=20); print('in', flush=True); shell.run(sys.argv[2:], deadline_seconds=60)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "settings.json"), *_SLEEP]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as caller:
        assert caller.stdout is not None
        assert caller.stdout.readline() == b"in\n"
        wait_until(lambda: _running(*_SLEEP), "its command", deadline_seconds=_SOON)
        os.killpg(caller.pid, signal.SIGKILL)
    with shell_by_agent(there.agent) as shell:
        assert shell.run(["true"], deadline_seconds=_SOON).status == 0
    there.agent.ssh("cleanup", {"user_regex": "^bosh_"})
    wait_until(lambda: not _running(*_SLEEP), "the end of its command", deadline_seconds=_SOON)


@pytest.mark.parametrize(("transport", "has_server"), [way for way in _WAYS if way.values[0] == "https"])
def test_however_often_a_move_is_killed_nobody_of_it_stays(there: AgentInReach, tmp_path: Path) -> None:
    """Two moves, each killed twice while it had a shell: the next set-up removes them all, whichever move it is of."""
    (tmp_path / "settings.json").write_text(json.dumps(there.settings()))
    program = (
        "import json, sys; from cpi.agent.https import from_settings; from cpi.agent.shell import shell_by_agent\n"
        "agent = from_settings(json.load(open(sys.argv[1])))\n"
        "with shell_by_agent(agent, move_id=sys.argv[2]) as shell:\n"
        "  shell.run(['true'], deadline_seconds=20); print('in', flush=True); sys.stdin.read()"
    )
    for move_id in ("one", "one", "two", "two"):
        command = [sys.executable, "-c", program, str(tmp_path / "settings.json"), move_id]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as caller:
            assert caller.stdout is not None
            assert caller.stdout.readline() == b"in\n"
            os.killpg(caller.pid, signal.SIGKILL)
        assert len(_let_in(there)) <= 1
    with shell_by_agent(there.agent, move_id="three") as shell:
        assert shell.run(["true"], deadline_seconds=_SOON).status == 0
        assert len(_let_in(there)) <= 1
    assert _let_in(there) == []
    assert _is_shut(shell)


def _let_in(there: AgentInReach) -> list[Path]:
    """The keys of those who are let in by SSH."""
    return list((there.vm.path / "state" / "ssh").glob("*.keys"))


@pytest.mark.parametrize("has_server", [pytest.param(True, marks=pytest.mark.root), False])
def test_who_was_let_in_and_has_no_session_is_let_out_in_time(tmp_path: Path, has_server: bool) -> None:  # noqa: FBT001 - a case
    """Whoever let them in may have died; who has a session stays, however long."""
    with agent_in_reach(None, tmp_path, isolated=has_server, ssh_server=has_server, ssh_idle_seconds=2) as there:
        with shell_by_agent(there.agent) as shell:
            assert shell.run(["sleep", "6"], deadline_seconds=60).status == 0
            if isinstance(shell, SshShell):
                assert len(_let_in(there)) == 1
                shell.close()  # the connection that it keeps for its next command is a session
            log = "has had no session since: removed"
            wait_until(lambda: log in there.vm.log(), "the idle one is let out", deadline_seconds=60)
            assert _is_shut(shell)
        assert _let_in(there) == []


def _running(*command: str) -> list[int]:
    """Where it runs in a VM: the SSH client's own process has more words."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cmdline() == list(command) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


# ---------------------------------------------------------------------- agents that answer otherwise


class Through:
    """An agent whose answers to ssh are changed, or get lost, on their way."""

    def __init__(self, real: Agent | None, changes: Mapping[str, Any] | None = None, lost: tuple[str, ...] = ()) -> None:
        self._real, self._changes, self._lost = real, changes or {}, lost
        self.heard: list[tuple[str, Mapping[str, str]]] = []

    def exchange(self, request: Mapping[str, Any], deadline_seconds: float) -> Mapping[str, Any]:
        command, parameters = request["arguments"]
        self.heard.append((command, parameters))
        answer = self._real._transport.exchange(request, deadline_seconds) if self._real else {"value": {"status": "success"}}
        if command in self._lost:
            raise AgentTimeout(f"{request['method']}: lost")
        return {"value": {**answer["value"], **self._changes}} if command == "setup" else answer

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.root
@pytest.mark.parametrize(("transport", "has_server"), _WAYS[:1])
def test_a_server_that_is_not_the_agents_is_not_believed(there: AgentInReach) -> None:
    """The host key is the one that the agent told, on a way that is safe already."""
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8YVJQHfd0Wv4sZzHyN3AJc4hUzvSmjXJ8hr0Wf0s3b"
    agent = Agent(Through(there.agent, {"host_public_key": key}))
    with shell_by_agent(agent) as shell, pytest.raises(AgentUnreachable, match="Host key verification failed"):
        shell.run(["true"], deadline_seconds=_SOON)


@pytest.mark.root
@pytest.mark.parametrize(("transport", "has_server"), _WAYS[:1])
def test_the_guest_can_be_reached_at_another_address(there: AgentInReach) -> None:
    """Than the one that the agent knows of itself."""
    agent = Agent(Through(there.agent, {"ip": "192.0.2.1"}))
    with shell_by_agent(agent, host="127.0.0.1") as shell:
        assert shell.run(["true"], deadline_seconds=_SOON).status == 0


def test_a_user_whose_setup_was_not_answered_is_removed() -> None:
    """It may have been made."""
    transport = Through(None, lost=("setup",))
    with pytest.raises(AgentTimeout, match="ssh: lost"), shell_by_agent(Agent(transport)):
        raise AssertionError("let in without an answer")
    (_, setup), (command, cleanup) = transport.heard
    assert (command, cleanup) == ("cleanup", {"user_regex": f"^{setup['user']}$"})


def test_a_cleanup_that_fails_is_tried_again_and_told(caplog: pytest.LogCaptureFixture) -> None:
    """But what was done in the guest is done."""
    transport = Through(None, {"command": "exec"}, lost=("cleanup",))
    with caplog.at_level(logging.WARNING), shell_by_agent(Agent(transport)):
        pass
    assert [command for command, _ in transport.heard] == ["setup", "cleanup", "cleanup", "cleanup"]
    assert f"the user {transport.heard[0][1]['user']} is left in the guest: ssh: lost" in caplog.text


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"status": "failed"}, AgentTaskFailed, "refused access: 'failed'"),
        ({"ip": "127.0.0.1"}, AgentUnknownMessage, "returned no host key"),
        ({"host_public_key": "ssh-ed25519 AAAA"}, AgentUnknownMessage, "or no address"),
        ({"ip": "127.0.0.1", "host_public_key": "k k", "port": "x"}, AgentTaskFailed, "an invalid port: 'x'"),
    ],
)
def test_an_answer_that_gives_no_way_in_is_refused(changes: dict[str, Any], error: type[Exception], said: str) -> None:
    """And cleaned up after."""
    transport = Through(None, changes)
    with pytest.raises(error, match=said), shell_by_agent(Agent(transport)):
        raise AssertionError("let in without a way")
    assert [command for command, _ in transport.heard] == ["setup", "cleanup"]
