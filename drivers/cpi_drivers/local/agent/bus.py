"""The agent's messages over NATS: it takes what comes on agent.AGENT_ID, answers where reply_to says, and tells how it does.

The server is believed as by the BOSH agent: its certificate is signed by the CA in env.bosh.mbus.cert, is for the host in the
URL, and its common name is NAME.nats.bosh-internal.
"""

import asyncio
import json
import logging
import re
import ssl
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cpi.kit.quiet import hush_closed_streams
from cpi_drivers.local.agent.actions import Actions
from cpi_drivers.local.agent.faults import Fault
from cpi_drivers.local.agent.settings import Bus

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

_SERVER: Final = re.compile(r"[a-zA-Z0-9*-]*\.nats\.bosh-internal")
_RECONNECT_SECONDS: Final = 1
_CONNECT_SECONDS: Final = 10
_LAST_WORDS_SECONDS: Final = 2.0
_log = logging.getLogger(__name__)


class BusListener:
    """One agent on the bus, whatever becomes of the connection, until it is told to stop."""

    def __init__(
        self, bus: Bus, agent_id: str, actions: Actions, heartbeat: Callable[[], Awaitable[Mapping[str, Any]]], every: float
    ) -> None:
        """heartbeat is asked for a document every so many seconds. Raises Fault where NATS cannot be spoken."""
        self._bus = bus
        self._agent_id = agent_id
        self._actions = actions
        self._heartbeat = heartbeat
        self._every = every
        self._client = _client_class(secure=bus.certificate is not None)()
        self._context = _context(bus)
        self._stopped = asyncio.Event()
        self._under_way: set[asyncio.Task[None]] = set()
        self._last_fault = ""

    @property
    def where(self) -> str:
        """For the log: without passwords."""
        return ", ".join(url.rpartition("@")[2].rpartition("//")[2] for url in self._bus.urls)

    async def serve(self) -> None:
        """Returns after stop(), when the answers under way are out."""
        staying, stopped = asyncio.create_task(self._stay()), asyncio.create_task(self._stopped.wait())
        try:
            await asyncio.wait({staying, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if staying.done():
                _check(staying)
            if self._under_way:
                await asyncio.wait(self._under_way, timeout=_LAST_WORDS_SECONDS)
        finally:
            for task in (staying, stopped):
                task.cancel()
            await self._leave()

    def stop(self) -> None:
        """Takes no more requests."""
        self._stopped.set()

    def tell_shutdown(self) -> None:
        """Tells who watches over VMs that this one ends because it was asked to."""
        self._begin(self._publish(f"hm.agent.shutdown.{self._agent_id}", None))

    async def _stay(self) -> None:
        hush_closed_streams()
        await self._client.connect(
            list(self._bus.urls),
            tls=self._context,
            error_cb=self._grumble,
            disconnected_cb=self._lost,
            reconnected_cb=self._found,
            connect_timeout=_CONNECT_SECONDS,
            reconnect_time_wait=_RECONNECT_SECONDS,
            max_reconnect_attempts=-1,
            name=f"agent.{self._agent_id}",
        )
        await self._client.subscribe(f"agent.{self._agent_id}", cb=self._take)
        await self._client.flush()
        _log.info("on the bus at %s", self.where)
        while True:
            if self._client.is_connected:
                await self._beat()
            await asyncio.sleep(self._every)

    async def _leave(self) -> None:
        import nats.errors

        try:
            if self._client.is_connected:
                await self._client.flush(int(_LAST_WORDS_SECONDS))
            await self._client.close()
        except (nats.errors.Error, OSError, TimeoutError) as error:
            _log.warning("the bus at %s was left in a hurry: %s", self.where, error)

    async def _beat(self) -> None:
        try:
            await self._publish(f"hm.agent.heartbeat.{self._agent_id}", await self._heartbeat())
        except (Fault, OSError) as error:
            _log.warning("no heartbeat: %s", error)

    async def _take(self, message: "Msg") -> None:
        # each in a task of its own: one that takes long must not keep the others waiting
        self._begin(self._answer(message))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _answer(self, message: "Msg") -> None:
        try:
            request = json.loads(message.data)
        except (ValueError, RecursionError) as error:
            _log.error("what came is no JSON document: %s", error)
            return
        if not isinstance(request, dict) or not isinstance(request.get("reply_to"), str):
            _log.error("what came is no request with a reply_to")
            return
        await self._publish(request["reply_to"], await self._actions.answer(request))

    async def _publish(self, subject: str, document: object) -> None:
        import nats.errors

        data = json.dumps(document).encode()
        if len(data) > self._client.max_payload:
            refusal = f"Response exceeded maximum allowed length: {len(data)} bytes, the bus carries {self._client.max_payload}"
            data = json.dumps({"exception": {"message": refusal}}).encode()
        try:
            await self._client.publish(subject, data)
        except nats.errors.Error as error:
            _log.error("what was meant for %s could not be sent: %s", subject, error)

    async def _grumble(self, error: Exception) -> None:
        said = str(error) or type(error).__name__
        if said != self._last_fault:
            _log.warning("the bus at %s: %s; it is tried again for ever", self.where, said)
        self._last_fault = said

    async def _lost(self) -> None:
        if not self._stopped.is_set():
            _log.warning("the bus at %s is lost", self.where)

    async def _found(self) -> None:
        self._last_fault = ""
        _log.info("the bus at %s is there again", self.where)


def _check(staying: asyncio.Task[None]) -> None:
    import nats.errors

    try:
        staying.result()
    except nats.errors.Error as error:
        raise Fault(f"the bus cannot be joined: {error}") from error


def _client_class(*, secure: bool) -> "type[Client]":
    try:
        import nats.errors
        from nats.aio.client import Client
    except ImportError as error:
        raise Fault("an mbus on NATS needs nats-py; install it with: pip install 'multicpi[nats]'") from error

    class Careful(Client):
        """nats-py believes a server that says it wants no TLS; who has certificates does not."""

        def _connect_command(self) -> bytes:
            if secure and not self._server_info.get("tls_required"):
                raise nats.errors.SecureConnWantedError
            return super()._connect_command()

    return Careful


class _Director(ssl.SSLObject):
    """A server whose certificate has the name of a director's bus."""

    def do_handshake(self) -> None:
        super().do_handshake()
        subject = (self.getpeercert() or {}).get("subject", ())
        names = [value for part in subject for key, value in part if key == "commonName"]  # type: ignore[str-unpack]  # typeshed does not tell apart what can come
        if not any(_SERVER.fullmatch(str(name)) for name in names):
            raise ssl.SSLCertVerificationError(f"the certificate's common name {names} does not match *.nats.bosh-internal")


def _context(bus: Bus) -> ssl.SSLContext | None:
    if bus.certificate is None or bus.private_key is None:
        return None
    try:
        context = ssl.create_default_context(cadata=bus.ca)
        with tempfile.TemporaryDirectory() as private:  # ssl reads a key from a file only; the folder is 0700
            chain = Path(private) / "agent.pem"
            chain.touch(mode=0o600)
            chain.write_text(f"{bus.certificate}\n{bus.private_key}\n", encoding="utf-8")
            context.load_cert_chain(chain)
    except (ssl.SSLError, ValueError) as error:
        raise Fault("the certificates in env.bosh.mbus.cert are no PEM, or do not belong together") from error
    context.sslobject_class = _Director
    return context
