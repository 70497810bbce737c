"""Agents over NATS: one connection to the message bus serves any number of them.

A request goes to `agent.<agent_id>`; its answer comes to the subject named in reply_to, `director.<uuid>.<agent_id>.<request>`.
What agents publish by themselves comes on `hm.agent.heartbeat.<agent_id>` and `hm.agent.shutdown.<agent_id>`.
"""

import asyncio
import contextlib
import json
import logging
import ssl
import tempfile
import threading
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar

import msgspec

from cpi.agent.errors import AgentTimeout, AgentUnreachable
from cpi.agent.protocol import Agent, Deadlines
from cpi.contract import errors
from cpi.kit.quiet import hush_closed_streams

try:
    import nats.errors
    from nats.aio.client import Client
    from nats.aio.msg import Msg
except ImportError as missing:
    raise errors.CpiError("NATS needs nats-py; install it with: pip install 'multicpi[nats]'") from missing

T = TypeVar("T")
Notice = Literal["heartbeat", "shutdown", "alert"]
OnNotice = Callable[[str, Mapping[str, Any]], None]
"""Told the agent's id and its document; called on the bus's own thread, so it must return at once."""

_RECONNECT_SECONDS: Final = 1
_GRACE_SECONDS: Final = 5.0
_log = logging.getLogger(__name__)


class BusTls(msgspec.Struct, frozen=True):
    """Who we are to the bus, and whom we believe: PEM texts. server_name is checked if it is not the host in the URL."""

    ca_certificate: str
    certificate: str
    private_key: str
    server_name: str | None = None

    def __repr__(self) -> str:
        return "BusTls(…)"


class _OnlyWithTls(Client):
    """nats-py believes a server, or who is between, that says it wants no TLS; we do not."""

    def _connect_command(self) -> bytes:
        if not self._server_info.get("tls_required"):
            raise nats.errors.SecureConnWantedError
        return super()._connect_command()


class NatsBus:
    """A connection to the message bus, kept up for as long as it is open. Any number of threads may use it."""

    def __init__(
        self,
        servers: Sequence[str],
        tls: BusTls | None,
        *,
        director_uuid: str | None = None,
        connect_seconds: float = 10.0,
    ) -> None:
        """tls is None only for a bus that the operator runs without. Raises AgentUnreachable, CpiError for bad PEM."""
        self._servers = list(servers)
        self._inbox = f"director.{director_uuid or uuid.uuid4()}"
        self._waiting: dict[str, asyncio.Future[bytes]] = {}
        self._loop = asyncio.new_event_loop()
        hush_closed_streams()
        self._thread = threading.Thread(target=self._loop.run_forever, name="nats", daemon=True)
        self._thread.start()
        try:
            self._client = self._on_loop(self._connected(_context(tls), tls, connect_seconds), connect_seconds)
        except BaseException:
            self._stop_loop()
            raise

    def __repr__(self) -> str:
        return f"NatsBus({', '.join(_without_password(server) for server in self._servers)})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def is_connected(self) -> bool:
        """Whether the bus is there now."""
        return bool(self._client.is_connected)

    def agent(self, agent_id: str, deadlines: Deadlines | None = None) -> Agent:
        """The agent of that id; closing it leaves the bus open."""
        return Agent(NatsTransport(self, agent_id), deadlines)

    def listen(self, notice: Notice, heard: OnNotice) -> None:
        """From now on, heard is told of every such notice of every agent."""
        prefix = f"hm.agent.{notice}."

        async def handle(message: Msg) -> None:
            try:
                document = json.loads(message.data or b"null")
            except ValueError:
                _log.warning("what came on %s is no JSON document", message.subject)
                return
            heard(message.subject.removeprefix(prefix), document if isinstance(document, Mapping) else {})

        self._on_loop(self._client.subscribe(f"{prefix}>", cb=handle), _GRACE_SECONDS)
        self._on_loop(self._client.flush(), _GRACE_SECONDS)

    def exchange(self, agent_id: str, request: Mapping[str, Any], deadline_seconds: float) -> Mapping[str, Any]:
        """One agent's answer to one request. Raises AgentTimeout, AgentUnreachable."""
        method = request.get("method")
        if not self._client.is_connected:
            raise AgentUnreachable(f"{method}: {self!r} is not connected; it tries again by itself")
        try:
            data = self._on_loop(self._exchanged(agent_id, request, deadline_seconds), deadline_seconds)
        except TimeoutError as error:
            raise AgentTimeout(f"{method}: the agent {agent_id} did not answer within {deadline_seconds:g} s") from error
        except nats.errors.Error as error:
            raise AgentUnreachable(f"{method}: {self!r} could not carry the message: {error}") from error
        with contextlib.suppress(ValueError):
            document = json.loads(data)
            if isinstance(document, Mapping):
                return document
        raise AgentUnreachable(f"{method}: invalid answer for the agent {agent_id}: {len(data)} bytes, no JSON object")

    def close(self) -> None:
        """Leave the bus; the agents go on."""
        if self._loop.is_closed():
            return
        with contextlib.suppress(nats.errors.Error, TimeoutError):
            self._on_loop(self._client.close(), _GRACE_SECONDS)
        self._stop_loop()

    async def _connected(self, context: ssl.SSLContext | None, tls: BusTls | None, connect_seconds: float) -> Client:
        faults: list[Exception] = []
        client = Client() if context is None else _OnlyWithTls()

        async def grumble(error: Exception) -> None:
            faults[:] = [error]
            _log.info("the message bus: %s", error)

        try:
            await asyncio.wait_for(
                client.connect(
                    self._servers,
                    tls=context,
                    tls_hostname=tls.server_name if tls else None,
                    error_cb=grumble,
                    connect_timeout=max(1, int(connect_seconds)),
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=_RECONNECT_SECONDS,
                    allow_reconnect=True,
                ),
                connect_seconds,
            )
        except (nats.errors.Error, OSError, TimeoutError) as error:
            why = str(faults[0] if faults else error) or "no answer in time"
            raise AgentUnreachable(f"{self!r} cannot be reached: {why}") from error
        await client.subscribe(f"{self._inbox}.>", cb=self._answered)
        await client.flush()
        return client

    async def _answered(self, message: Msg) -> None:
        waiting = self._waiting.get(message.subject)
        if waiting is not None and not waiting.done():
            waiting.set_result(message.data)

    async def _exchanged(self, agent_id: str, request: Mapping[str, Any], deadline_seconds: float) -> bytes:
        reply_to = f"{self._inbox}.{agent_id}.{uuid.uuid4()}"
        self._waiting[reply_to] = waiting = self._loop.create_future()
        try:
            await self._client.publish(f"agent.{agent_id}", json.dumps({**request, "reply_to": reply_to}).encode())
            return await asyncio.wait_for(waiting, deadline_seconds)
        finally:
            del self._waiting[reply_to]

    def _on_loop(self, work: Coroutine[Any, Any, T], deadline_seconds: float) -> T:
        if self._loop.is_closed():
            work.close()
            raise AgentUnreachable(f"{self!r} is closed")
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(deadline_seconds + _GRACE_SECONDS)
        except NotInTime:
            future.cancel()
            raise

    def _stop_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_GRACE_SECONDS)
        if not self._thread.is_alive():
            self._loop.close()


class NatsTransport:
    """One agent on the bus."""

    def __init__(self, bus: NatsBus, agent_id: str) -> None:
        self._bus = bus
        self._agent_id = agent_id

    def __repr__(self) -> str:
        return f"NatsTransport({self._agent_id!r}, {self._bus!r})"

    def exchange(self, request: Mapping[str, Any], deadline_seconds: float) -> Mapping[str, Any]:
        """The agent's answer to one request. Raises AgentTimeout, AgentUnreachable."""
        return self._bus.exchange(self._agent_id, request, deadline_seconds)

    def close(self) -> None:
        """The bus stays open: other agents are on it."""


def _context(tls: BusTls | None) -> ssl.SSLContext | None:
    if tls is None:
        return None
    try:
        context = ssl.create_default_context(cadata=tls.ca_certificate)
        with tempfile.TemporaryDirectory() as private:  # ssl reads a key from a file only; the folder is 0700
            chain = Path(private) / "client.pem"
            chain.touch(mode=0o600)
            chain.write_text(f"{tls.certificate}\n{tls.private_key}\n")
            context.load_cert_chain(chain)
    except (ssl.SSLError, ValueError) as error:
        raise errors.CpiError("the certificates for the message bus are no PEM, or do not belong together") from error
    return context


def _without_password(server: str) -> str:
    scheme, slashes, rest = server.partition("://")
    return f"{scheme}{slashes}{rest.rpartition('@')[2]}"
