"""Servers on loopback that take what responders tell."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from fixtures.certificates import Authority


class Posts:
    """An HTTPS server that keeps what is posted; answers with the next of statuses, then 202."""

    def __init__(self, url: str, ca: str) -> None:
        self.url = url
        self.ca = ca
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.statuses: list[int] = []


@contextmanager
def posts(folder: Path) -> Iterator[Posts]:
    """Until the end of the block."""
    authority, chain = Authority(), folder / "server.pem"
    pair = authority.signed("127.0.0.1", addresses=("127.0.0.1",))
    chain.write_text(pair.certificate + pair.private_key)
    (folder / "ca.pem").write_text(authority.certificate)
    kept: list[Posts] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept[0].bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            kept[0].headers.append(dict(self.headers))
            self.send_response(kept[0].statuses.pop(0) if kept[0].statuses else 202)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the server's own name for it
            """Nothing on stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(chain)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        kept.append(Posts(f"https://127.0.0.1:{server.server_address[1]}/alerts", str(folder / "ca.pem")))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield kept[0]
        finally:
            server.shutdown()
            thread.join()


class Mails:
    """What came by SMTP."""

    def __init__(self) -> None:
        self.port = 0
        self.ca = ""
        self.contents: list[bytes] = []
        self.users: list[bytes] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Keep a mail."""
        self.contents.append(envelope.content)
        return "250 OK"

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        """One user is known."""
        good = isinstance(data, LoginPassword) and data.password == b"right-word"
        if isinstance(data, LoginPassword):
            self.users.append(data.login)
        return AuthResult(success=good, handled=good)  # what is not handled is refused by the server


@contextmanager
def mails(folder: Path, *, implicit: bool = False) -> Iterator[Mails]:
    """An SMTP server that takes mail only over TLS and from whom it knows, until the end of the block."""
    authority, chain, kept = Authority(), folder / "smtp.pem", Mails()
    pair = authority.signed("127.0.0.1", addresses=("127.0.0.1",))
    chain.write_text(pair.certificate + pair.private_key)
    kept.ca = str(folder / "smtp-ca.pem")
    Path(kept.ca).write_text(authority.certificate)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain)
    tls: dict[str, Any] = {"ssl_context": context} if implicit else {"tls_context": context, "require_starttls": True}
    options: dict[str, Any] = {
        "authenticator": kept.authenticate,
        "auth_required": not implicit,
        "auth_require_tls": not implicit,
    }
    controller = Controller(kept, hostname="127.0.0.1", port=_free_port(), **options, **tls)
    controller.start()
    try:
        kept.port = controller.port
        yield kept
    finally:
        controller.stop()


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
