"""The agent's messages over HTTPS: POST /agent with the user and password of the mbus URL."""

import asyncio
import base64
import contextlib
import hmac
import json
import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn

from cpi_drivers.local.agent.actions import Actions
from cpi_drivers.local.agent.blobs import Blobs
from cpi_drivers.local.agent.faults import Fault
from cpi_drivers.local.agent.layout import VmFolder, write_private
from cpi_drivers.local.agent.settings import Endpoint

_LARGEST_REQUEST_BYTES = 16 * 1024 * 1024
_BACKLOG = 128
_BLOBS = "/blobs/"
_PIECE = 1 << 20
_KEEP_ALIVE_SECONDS = 300  # a director asks now and then: it shall not meet a connection that is just being closed


class _Server(uvicorn.Server):
    """uvicorn without its own way with signals: a VM stops its jobs first."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Listener:
    """Serves one endpoint until it is told to stop."""

    def __init__(self, vm: VmFolder, endpoint: Endpoint, actions: Actions, blobs: Blobs) -> None:
        self._endpoint = endpoint
        self._socket = _bound(endpoint)
        self._server = _Server(_config(vm, endpoint, Application(endpoint, actions, blobs)))

    @property
    def where(self) -> str:
        """For the log: without the password."""
        return f"{self._endpoint.host}:{self._endpoint.port}"

    def tell_shutdown(self) -> None:
        """Nobody listens: over HTTPS an agent only answers."""

    async def serve(self) -> None:
        """Returns after stop(), when the answers under way are out."""
        await self._server.serve(sockets=[self._socket])

    def stop(self) -> None:
        """Takes no more requests."""
        self._server.should_exit = True


def _bound(endpoint: Endpoint) -> socket.socket:
    try:
        family = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)[0][0]
        # asyncio sends small answers at once only on sockets that say they are TCP
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((endpoint.host, endpoint.port))
        listening.listen(_BACKLOG)
    except OSError as error:
        raise Fault(f"cannot listen at {endpoint.host}:{endpoint.port}: {error}") from error
    return listening


def _config(vm: VmFolder, endpoint: Endpoint, application: "Application") -> uvicorn.Config:
    vm.tls.mkdir(mode=0o700, exist_ok=True)
    certificate, key = vm.tls / "certificate.pem", vm.tls / "key.pem"
    write_private(certificate, endpoint.certificate)
    write_private(key, endpoint.private_key)
    config = uvicorn.Config(
        application,
        http="h11",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=1,
        ssl_certfile=str(certificate),
        ssl_keyfile=str(key),
    )
    try:
        config.load()
    except OSError as error:
        raise Fault(f"the certificate in env.bosh.mbus.cert cannot be used: {error}") from error
    return config


class Application:
    """The ASGI face."""

    def __init__(self, endpoint: Endpoint, actions: Actions, blobs: Blobs) -> None:
        self._credentials = f"{endpoint.user}:{endpoint.password}".encode()
        self._actions = actions
        self._blobs = blobs

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers one HTTP request."""
        if scope["path"].startswith(_BLOBS) and self._is_known(dict(scope["headers"])):
            await self._exchange_blob(scope, receive, send)
            return
        status, document = await self._respond(scope, receive)
        body = b"" if document is None else json.dumps(document).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        if status == 401:  # noqa: PLR2004 - HTTP's own number
            headers.append((b"www-authenticate", b'Basic realm=""'))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _respond(self, scope: Any, receive: Any) -> tuple[int, Any]:
        if not self._is_known(dict(scope["headers"])):
            return 401, None
        if scope["path"] != "/agent" or scope["method"] != "POST":
            return 404, None
        body = await _body(receive)
        if body is None:
            return 413, None
        try:
            request = json.loads(body)
        except (ValueError, RecursionError) as error:
            return 400, {"exception": {"message": f"the body is no JSON document: {error}"}}
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            return 400, {"exception": {"message": "the body must be an object with a method"}}
        # a caller that hangs up does not stop half way what it asked for
        return 200, await asyncio.shield(asyncio.ensure_future(self._actions.answer(request)))

    async def _exchange_blob(self, scope: Any, receive: Any, send: Any) -> None:
        """PUT and GET of /blobs/…/ID: what the command line hands over before it sends the messages that name it."""
        try:
            path = self._blobs.own(scope["path"].rsplit("/", 1)[1])
        except Fault:
            await _send(send, 404)
            return
        if scope["method"] == "PUT":
            draft = path.with_name(f".{path.name}.{uuid.uuid4()}")
            try:
                whole = await _written(receive, draft)
                if whole:
                    draft.replace(path)
            finally:
                draft.unlink(missing_ok=True)
            await _send(send, 201 if whole else 400)
        elif scope["method"] in {"GET", "HEAD"} and path.is_file():
            await _send_file(send, path, scope["method"])
        else:
            await _send(send, 404 if scope["method"] in {"GET", "HEAD"} else 405)

    def _is_known(self, headers: dict[bytes, bytes]) -> bool:
        scheme, _, encoded = headers.get(b"authorization", b"").partition(b" ")
        try:
            given = base64.b64decode(encoded, validate=True)
        except ValueError:
            given = b""
        return hmac.compare_digest(given, self._credentials) and scheme.lower() == b"basic"


async def _send(send: Any, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def _send_file(send: Any, path: Path, method: str) -> None:
    with path.open("rb") as file:
        length = str(os.fstat(file.fileno()).st_size).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        while method == "GET" and (piece := await asyncio.to_thread(file.read, _PIECE)):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _written(receive: Any, path: Path) -> bool:
    """Whether the whole body came."""
    with path.open("xb") as file:
        while True:
            event = await receive()
            if event["type"] != "http.request":
                return False
            await asyncio.to_thread(file.write, event.get("body", b""))
            if not event.get("more_body"):
                return True


async def _body(receive: Any) -> bytes | None:
    body = b""
    while True:
        event = await receive()
        body += bytes(event.get("body", b""))
        if len(body) > _LARGEST_REQUEST_BYTES:
            return None
        if not event.get("more_body"):
            return body
