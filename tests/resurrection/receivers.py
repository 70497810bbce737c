"""Servers on loopback that take what responders tell."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from fixtures.certificates import Authority
from fixtures.proxy import Answer, Request
from fixtures.web_server import web_server


class Posts:
    """An HTTPS server that keeps what is posted; answers with the next of statuses, then 202."""

    def __init__(self, ca: str) -> None:
        self.url = ""
        self.ca = ca
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.statuses: list[int] = []


@contextmanager
def posts(folder: Path) -> Iterator[Posts]:
    """Until the end of the block."""
    authority, ca = Authority(), folder / "ca.pem"
    ca.write_text(authority.certificate)
    kept = Posts(str(ca))

    def keep(request: Request) -> Answer:
        kept.bodies.append(request.body)
        kept.headers.append(dict(request.headers))
        return Answer(kept.statuses.pop(0) if kept.statuses else 202, b"")

    with web_server(keep, authority) as url:
        kept.url = f"{url}/alerts"
        yield kept


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
    authority, kept = Authority(), Mails()
    kept.ca = str(folder / "smtp-ca.pem")
    Path(kept.ca).write_text(authority.certificate)
    context = authority.server_context()
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
