"""The agent's messages over a real NATS server with client certificates."""

import asyncio
import json
import os
import signal
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from cpi.agent.errors import AgentTaskFailed, AgentTimeout, AgentUnreachable
from cpi.agent.nats import BusTls, NatsBus
from cpi.agent.protocol import Deadlines
from cpi.contract import errors
from cpi.contract.ids import DiskCid
from fixtures.certificates import Authority
from fixtures.nats_server import SERVER_NAME, NatsServer, nats_server

Answers = Callable[[Mapping[str, Any]], bytes | None]
_RECORDING = Path(__file__).parents[2] / "fixtures" / "agent" / "bosh-agent-nats.jsonl"


class BusAgent:
    """Something that answers on agent.<id> as it is told to, on a connection of its own."""

    def __init__(self, server: NatsServer, agent_id: str, answers: Answers, folder: Path) -> None:
        self._server, self._agent_id, self._answers = server, agent_id, answers
        self.heard: list[Mapping[str, Any]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._client = asyncio.run_coroutine_threadsafe(self._start(folder), self._loop).result(10)

    async def _start(self, folder: Path) -> Client:
        pair = self._server.authority.signed("agent.bosh-internal")
        chain = folder / "agent.pem"
        chain.write_text(pair.certificate + pair.private_key)
        context = ssl.create_default_context(cadata=self._server.authority.certificate)
        context.load_cert_chain(chain)
        client = await nats.connect(self._server.url, tls=context, tls_hostname=SERVER_NAME, allow_reconnect=False)

        async def handle(message: Msg) -> None:
            request = json.loads(message.data)
            self.heard.append(request)
            answer = self._answers(request)
            if answer is not None:
                await client.publish(request["reply_to"], answer)

        await client.subscribe(f"agent.{self._agent_id}", cb=handle)
        await client.flush()
        return client

    def publish(self, subject: str, document: object) -> None:
        """As an agent's heartbeat."""

        async def send() -> None:
            await self._client.publish(subject, json.dumps(document).encode())
            await self._client.flush()

        asyncio.run_coroutine_threadsafe(send(), self._loop).result(10)

    def close(self) -> None:
        """Leave the bus."""
        asyncio.run_coroutine_threadsafe(self._client.close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


Place = Callable[[str, Answers], BusAgent]


@pytest.fixture
def server(message_bus: NatsServer) -> NatsServer:
    """Where agents and the director meet."""
    return message_bus


@pytest.fixture
def place(server: NatsServer, tmp_path: Path) -> Iterator[Place]:
    """Puts agents on the bus."""
    placed: list[BusAgent] = []

    def put(agent_id: str, answers: Answers) -> BusAgent:
        placed.append(BusAgent(server, agent_id, answers, tmp_path))
        return placed[-1]

    yield put
    for agent in placed:
        agent.close()


@pytest.fixture
def bus(server: NatsServer) -> Iterator[NatsBus]:
    """The director's side."""
    with NatsBus([server.url], _tls(server), director_uuid="d-1") as connected:
        yield connected


def _tls(server: NatsServer) -> BusTls:
    client = server.client
    return BusTls(server.authority.certificate, client.certificate, client.private_key, SERVER_NAME)


def _answers_its_number(number: int, _: Mapping[str, Any]) -> bytes:
    return _value({"who": number})


def _value(value: object) -> bytes:
    return json.dumps({"value": value}).encode()


def test_a_request_goes_to_the_agents_subject_and_its_answer_comes_to_the_directors(bus: NatsBus, place: Place) -> None:
    """The reply subject is director.<uuid>.<agent>.<request>, new for each request."""
    agent = place("a-1", lambda _: _value("pong"))
    client = bus.agent("a-1")
    client.ping()
    client.ping()
    subjects = [request["reply_to"].split(".") for request in agent.heard]
    assert [parts[:3] for parts in subjects] == [["director", "d-1", "a-1"]] * 2
    assert subjects[0][3] != subjects[1][3]
    assert agent.heard[0]["protocol"] == 3


def test_a_lost_first_ping_is_sent_again(bus: NatsBus, place: Place) -> None:
    """The first message after an agent's start can get lost."""
    agent = place("a-1", lambda _: _value("pong") if len(agent.heard) > 1 else None)
    bus.agent("a-1").ping(deadline_seconds=4)
    assert len(agent.heard) == 2


def test_the_end_of_a_connection_is_no_warning(server: NatsServer, caplog: pytest.LogCaptureFixture) -> None:
    """asyncio has one, for whoever looks on, each time."""
    with NatsBus([server.url], _tls(server), director_uuid="d-1"):
        pass
    assert [record.message for record in caplog.records if record.name == "asyncio"] == []


def test_a_task_is_polled_until_it_is_done(bus: NatsBus, place: Place) -> None:
    """A running marker first, then the value."""

    def answers(_: Mapping[str, Any]) -> bytes:
        running = {"agent_task_id": "t1", "state": "running"}
        polls = [heard for heard in agent.heard if heard["method"] == "get_task"]
        return _value(["disk-1"] if len(polls) > 2 else running)

    agent = place("a-1", answers)
    assert bus.agent("a-1").list_disk() == (DiskCid("disk-1"),)


def test_all_that_a_real_agent_said_comes_over_the_bus_as_it_was_said(bus: NatsBus, place: Place) -> None:
    """Every recorded message is sent as it was sent, reply subject included; what it never answered is a timeout."""
    recorded = [line for line in map(json.loads, _RECORDING.read_text().splitlines()) if "request" in line]

    def answers(_: Mapping[str, Any]) -> bytes | None:
        response = recorded[len(agent.heard) - 1]["response"]
        return None if response == "TIMEOUT" else json.dumps(response).encode()

    agent = place("a-1", answers)
    transport = bus.agent("a-1")._transport
    for line in recorded:
        request = {key: value for key, value in line["request"].items() if key != "reply_to"}
        if line["response"] == "TIMEOUT":
            with pytest.raises(AgentTimeout):
                transport.exchange(request, 0.2)
        else:
            assert transport.exchange(request, 10) == line["response"]
        assert {**agent.heard[-1], "reply_to": ""} == {**line["request"], "reply_to": ""}
        assert len(agent.heard[-1]["reply_to"].split(".")) == len(line["request"]["reply_to"].split("."))


def test_an_exception_is_told_with_its_message(bus: NatsBus, place: Place) -> None:
    """What the agent says is wrong reaches the caller."""
    place("a-1", lambda _: b'{"exception": {"message": "Action Failed info: no such thing"}}')
    with pytest.raises(AgentTaskFailed, match="no such thing"):
        bus.agent("a-1").info()


def test_a_silent_agent_is_a_timeout_that_names_it(bus: NatsBus) -> None:
    """Nobody answers on the subject."""
    with pytest.raises(AgentTimeout, match=r"get_state: the agent a-404 did not answer within 0\.2 s"):
        bus.agent("a-404", Deadlines(message=0.2)).get_state()


def test_an_answer_that_is_no_document_is_refused(bus: NatsBus, place: Place) -> None:
    """Junk on the reply subject is not taken for an answer."""
    place("a-1", lambda _: b"junk")
    with pytest.raises(AgentUnreachable, match="invalid answer"):
        bus.agent("a-1").info()


def test_many_threads_ask_many_agents_over_one_connection(bus: NatsBus, place: Place) -> None:
    """Each gets the answer to its own question."""
    for number in range(4):
        place(f"a-{number}", partial(_answers_its_number, number))
    wrong: list[object] = []

    def ask(number: int) -> None:
        told = [bus.agent(f"a-{number}").info()["who"] for _ in range(20)]
        wrong.extend(who for who in told if who != number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_heartbeats_and_shutdowns_can_be_listened_to(bus: NatsBus, place: Place) -> None:
    """Each notice comes with its agent's id; what is no document is passed over."""
    heard: list[tuple[str, str, Mapping[str, Any]]] = []
    arrived = threading.Semaphore(0)

    def note(kind: str) -> Callable[[str, Mapping[str, Any]], None]:
        def told(agent_id: str, document: Mapping[str, Any]) -> None:
            heard.append((kind, agent_id, document))
            arrived.release()

        return told

    bus.listen("heartbeat", note("heartbeat"))
    bus.listen("shutdown", note("shutdown"))
    agent = place("a-1", lambda _: None)
    agent.publish("hm.agent.heartbeat.a-1", {"job_state": "running"})
    agent.publish("hm.agent.shutdown.a-1", None)
    assert arrived.acquire(timeout=60)
    assert arrived.acquire(timeout=60)
    assert sorted(heard) == [("heartbeat", "a-1", {"job_state": "running"}), ("shutdown", "a-1", {})]


def test_without_a_client_certificate_nobody_is_let_in(server: NatsServer) -> None:
    """The server verifies its clients."""
    stranger = Authority().signed("stranger")
    tls = BusTls(server.authority.certificate, stranger.certificate, stranger.private_key, SERVER_NAME)
    with pytest.raises(AgentUnreachable, match=r"(?i)unknown.ca|certificate"):
        NatsBus([server.url], tls, connect_seconds=1)


def test_a_server_of_another_authority_or_name_is_refused(server: NatsServer) -> None:
    """The client verifies the server."""
    client = server.client
    wrong_authority = BusTls(Authority().certificate, client.certificate, client.private_key, SERVER_NAME)
    wrong_name = BusTls(server.authority.certificate, client.certificate, client.private_key, "other.bosh-internal")
    for tls in (wrong_authority, wrong_name):
        with pytest.raises(AgentUnreachable, match="certificate verify failed"):
            NatsBus([server.url], tls, connect_seconds=1)


def test_bad_certificates_are_the_callers_fault_and_not_shown(server: NatsServer) -> None:
    """Neither the message nor repr holds the key."""
    tls = BusTls(server.authority.certificate, "no certificate", server.client.private_key)
    with pytest.raises(errors.CpiError, match="no PEM") as raised:
        NatsBus([server.url], tls)
    assert "PRIVATE" not in str(raised.value)
    assert "PRIVATE" not in repr(tls)


def test_a_server_that_goes_away_is_told_and_does_not_hang(tmp_path: Path) -> None:
    """Asking while it is away fails; closing works."""
    with nats_server(tmp_path) as server:
        bus = NatsBus([server.url], _tls(server))
        pid = int(next(tmp_path.glob("*.ports")).stem.rpartition("_")[2])
        os.kill(pid, signal.SIGKILL)
        with pytest.raises((AgentUnreachable, AgentTimeout)):
            bus.agent("a-1", Deadlines(message=1)).info()
        bus.close()
