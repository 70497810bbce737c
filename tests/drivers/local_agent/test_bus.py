"""The agent on a message bus: heartbeats, shutdown notices, whom it believes, and that it stays."""

import contextlib
import json
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from cpi.agent.errors import AgentTimeout, AgentUnreachable
from cpi.agent.nats import BusTls, NatsBus, Notice
from cpi.agent.protocol import Agent, Deadlines
from fixtures.certificates import Authority
from fixtures.nats_server import NatsServer, nats_server
from tests.agent.agents_in_reach import DEADLINES, change, joined, launch, put_on_bus, settings_of
from tests.drivers.local_agent.conftest import MakeVm
from tests.drivers.local_agent.vm import AGENT_ID, Vm, eventually

_RECORDING = Path(__file__).parents[3] / "fixtures" / "agent" / "bosh-agent-nats.jsonl"
_WAIT_SECONDS = 60


@pytest.fixture
def bus(message_bus: NatsServer) -> Iterator[NatsBus]:
    """The director's side of it."""
    with joined(message_bus) as connected:
        yield connected


class Heard:
    """The notices of one kind."""

    def __init__(self, bus: NatsBus, notice: Notice) -> None:
        self._told: queue.Queue[tuple[str, Mapping[str, Any]]] = queue.Queue()
        bus.listen(notice, lambda agent_id, document: self._told.put((agent_id, document)))

    def next(self) -> tuple[str, Mapping[str, Any]]:
        """The next one that comes."""
        return self._told.get(timeout=_WAIT_SECONDS)

    def is_silent(self) -> bool:
        """Whether none has come that was not asked for."""
        return self._told.empty()


def _ready(vm: Vm, bus: NatsBus) -> Agent:
    launch(vm)
    agent = bus.agent(AGENT_ID, DEADLINES)
    agent.wait_until_ready()
    return agent


def test_heartbeats_come_at_once_and_again_and_again(make_vm: MakeVm, message_bus: NatsServer, bus: NatsBus) -> None:
    """With the BOSH agent's keys; what they say changes with the VM."""
    heard, vm = Heard(bus, "heartbeat"), make_vm()
    put_on_bus(vm, message_bus, heartbeat_seconds=0.1)
    agent = _ready(vm, bus)
    agent_id, document = heard.next()
    assert agent_id == AGENT_ID
    assert {**document, "vitals": None} == {
        "deployment": "",
        "job": None,
        "index": None,
        "job_state": "running",
        "vitals": None,
        "node_id": "",
    }
    assert set(document["vitals"]) == set(agent.get_state(full=True).vitals)
    agent.apply({"deployment": "d", "job": {"name": "web"}, "index": 3, "id": "i-3"})
    applied = {"deployment": "d", "job": "web", "index": 3, "job_state": "running", "node_id": "i-3"}
    eventually(lambda: applied.items() <= heard.next()[1].items(), lambda: "no such heartbeat")


def test_a_heartbeat_comes_every_thirty_seconds_if_nothing_else_is_said(
    make_vm: MakeVm, message_bus: NatsServer, bus: NatsBus
) -> None:
    """So the second does not come soon."""
    heard, vm = Heard(bus, "heartbeat"), make_vm()
    put_on_bus(vm, message_bus)
    agent = _ready(vm, bus)
    heard.next()
    for _ in range(5):
        agent.ping()
    assert heard.is_silent()


def test_a_drain_for_shutdown_is_told_as_recorded(make_vm: MakeVm, message_bus: NatsServer, bus: NatsBus) -> None:
    """The notice of the BOSH agent, whose document is null."""
    lines = map(json.loads, _RECORDING.read_text().splitlines())
    recorded = next(line for line in lines if "subject" in line)
    raw: queue.Queue[tuple[str, bytes]] = queue.Queue()
    heard, vm = Heard(bus, "shutdown"), make_vm()
    put_on_bus(vm, message_bus)
    agent = _ready(vm, bus)

    async def put(message: Any) -> None:
        raw.put((message.subject, message.data))

    bus._on_loop(bus._client.subscribe("hm.agent.shutdown.>", cb=put), 5)
    bus._on_loop(bus._client.flush(), 5)
    agent.drain("update", {})
    assert heard.is_silent()
    agent.drain("shutdown")
    assert heard.next() == (AGENT_ID, {})
    subject, data = raw.get(timeout=_WAIT_SECONDS)
    assert (subject, json.loads(data)) == (recorded["subject"], recorded["message"])


def test_an_orderly_end_is_told_and_a_loss_is_not(make_vm: MakeVm, message_bus: NatsServer, bus: NatsBus) -> None:
    """The message shutdown is answered before."""
    heard, vm = Heard(bus, "shutdown"), make_vm()
    put_on_bus(vm, message_bus)
    _ready(vm, bus)
    vm.lose()
    agent = _ready(vm, bus)
    assert heard.is_silent()
    assert agent._asked("shutdown") == ""
    assert heard.next() == (AGENT_ID, {})
    vm.wait_until_gone()


def test_it_waits_for_a_bus_that_is_not_there_and_comes_back_to_one_that_went(make_vm: MakeVm, tmp_path: Path) -> None:
    """The same address serves again; the agent's jobs were there all the time."""
    folder, vm = tmp_path / "nats", make_vm()
    folder.mkdir()
    with nats_server(folder) as first:
        put_on_bus(vm, first, heartbeat_seconds=0.2)
    launch(vm)
    eventually(lambda: "it is tried again for ever" in vm.log(), vm.log)
    port = int(first.url.rpartition(":")[2])
    for _ in range(2):
        with nats_server(folder, authority=first.authority, port=port) as again, joined(again) as bus:
            heard = Heard(bus, "heartbeat")
            bus.agent(AGENT_ID, DEADLINES).wait_until_ready()
            heard.next()
    assert vm.is_alive()


def test_a_server_of_another_authority_is_not_joined(make_vm: MakeVm, message_bus: NatsServer) -> None:
    """Who could pose as the bus would be root in the VM."""
    vm = make_vm()
    put_on_bus(vm, message_bus)
    cert = {**settings_of(vm)["env"]["bosh"]["mbus"]["cert"], "ca": Authority().certificate}
    change(vm, {"mbus": {"urls": [message_bus.url], "cert": cert}})
    launch(vm)
    eventually(lambda: "certificate verify failed" in vm.log(), vm.log)


def test_a_server_that_is_no_directors_bus_is_not_joined(make_vm: MakeVm, tmp_path: Path) -> None:
    """Another certificate of the same authority, an agent's say, is not enough."""
    (tmp_path / "nats").mkdir()
    vm = make_vm()
    with nats_server(tmp_path / "nats", common_name="a.agent.bosh-internal") as server:
        put_on_bus(vm, server)
        launch(vm)
        eventually(lambda: "does not match *.nats.bosh-internal" in vm.log(), vm.log)


@contextlib.contextmanager
def _server_without_tls() -> Iterator[str]:
    """Says that it wants no TLS, and would take whatever comes."""
    info = b'INFO {"server_id":"x","version":"2.10.0","max_payload":1048576,"proto":1}\r\n'
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        connection.sendall(info)
                        connection.recv(1000)
                        connection.sendall(b"PONG\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"nats://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def test_a_server_that_says_it_wants_no_tls_is_not_believed(make_vm: MakeVm, message_bus: NatsServer) -> None:
    """Neither by the agent nor by the director."""
    vm = make_vm()
    put_on_bus(vm, message_bus)
    cert = settings_of(vm)["env"]["bosh"]["mbus"]["cert"]
    with _server_without_tls() as url:
        change(vm, {"mbus": {"urls": [url], "cert": cert}})
        launch(vm)
        eventually(lambda: "secure connection not available" in vm.log(), vm.log)
        with pytest.raises(AgentUnreachable, match="secure connection not available"):
            NatsBus([url], BusTls(cert["ca"], cert["certificate"], cert["private_key"]), connect_seconds=2)


def test_an_answer_that_the_bus_can_not_carry_is_refused_in_words(make_vm: MakeVm, message_bus: NatsServer, bus: NatsBus) -> None:
    """And the agent goes on."""
    vm = make_vm()
    put_on_bus(vm, message_bus, ssh_server=False)
    agent = _ready(vm, bus)
    public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8YVJQHfd0Wv4sZzHyN3AJc4hUzvSmjXJ8hr0Wf0s3b"
    agent.ssh("setup", {"user": "bosh_1", "public_key": public_key})
    with pytest.raises(Exception, match="Response exceeded maximum allowed length"):
        agent.exec(["head", "-c", "3000000", "/dev/zero"], "", 15)
    agent.ping()


def test_junk_on_its_subject_is_passed_over(make_vm: MakeVm, message_bus: NatsServer, bus: NatsBus) -> None:
    """It is logged, without what it was."""
    vm = make_vm()
    put_on_bus(vm, message_bus)
    agent = _ready(vm, bus)
    for junk in (b"s3cr3t", b"[]", b"{}", b'{"method": "ping"}', b'{"method": "ping", "reply_to": 3}', b""):
        bus._on_loop(bus._client.publish(f"agent.{AGENT_ID}", junk), 5)
    agent.ping()
    assert "no JSON document" in vm.log()
    assert "s3cr3t" not in vm.log()


def test_it_moves_from_https_to_the_bus(make_vm: MakeVm, message_bus: NatsServer, bus: NatsBus) -> None:
    """By update_settings; a reboot finds it there."""
    vm = make_vm().start()
    pair = message_bus.authority.signed("agent")
    cert = {"ca": message_bus.authority.certificate, "certificate": pair.certificate, "private_key": pair.private_key}
    assert vm.done("update_settings", {"mbus": {"urls": [message_bus.url], "cert": cert}}) == "ok"
    agent = bus.agent(AGENT_ID, DEADLINES)
    agent.wait_until_ready()
    vm.lose()
    with pytest.raises((AgentTimeout, AgentUnreachable)):
        bus.agent(AGENT_ID, Deadlines(message=0.5)).info()
    launch(vm)
    agent.wait_until_ready()


@pytest.mark.parametrize(
    ("bosh", "said"),
    [
        ({"mbus": {"urls": ["nats://127.0.0.1:1"], "cert": {"certificate": "x", "private_key": "y"}}}, "are no PEM"),
        ({"mbus": {"urls": ["nats://127.0.0.1:1"], "cert": {"certificate": "x"}}}, "must hold certificate and private_key"),
        (
            {"mbus": {"urls": ["nats://127.0.0.1:1"]}, "agent": {"settings": {"heartbeat_seconds": 0}}},
            "must be a positive number",
        ),
    ],
)
def test_settings_that_make_no_sense_end_it_with_the_reason(make_vm: MakeVm, bosh: dict[str, Any], said: str) -> None:
    """In its log, without a trace."""
    vm = make_vm()
    change(vm, bosh)
    launch(vm)
    vm.wait_until_gone()
    assert f"the agent ends: {said}" in vm.log() or said in vm.log()
    assert "Traceback" not in vm.log()


def test_without_nats_py_it_ends_and_says_what_to_install(make_vm: MakeVm) -> None:
    """Only an agent that is given a bus needs it."""
    vm = make_vm()
    change(vm, {"mbus": {"urls": ["nats://127.0.0.1:1"]}})
    hidden = "import sys; sys.modules['nats'] = None; from cpi_drivers.local.agent.launcher import main; sys.exit(main())"
    subprocess.run([sys.executable, "-c", hidden, "--vm-dir", str(vm.path)], start_new_session=True, timeout=60, check=True)
    vm.wait_until_gone()
    assert "an mbus on NATS needs nats-py; install it with: pip install 'multicpi[nats]'" in vm.log()
