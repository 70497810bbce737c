"""The HTTPS transport against a real server on loopback: who is let in, whom it trusts, and what it says when it fails."""

import base64
import contextlib
import datetime as dt
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cpi.agent.errors import AgentTimeout, AgentUnreachable
from cpi.agent.https import HttpsTransport, from_settings
from cpi.agent.protocol import Deadlines
from cpi.contract import errors

_PASSWORD = "p@ss/wörd:ü"  # noqa: S105 - the fake's
_ENCODED = "p%40ss%2Fw%C3%B6rd%3A%C3%BC"


class _Server(ThreadingHTTPServer):
    """What the fake agent was asked, and what it answers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.ca = ""
        self.seen: list[dict[str, Any]] = []
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.release = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """A refused handshake is expected here."""

    def url(self, password: str = _ENCODED) -> str:
        return f"https://me:{password}@127.0.0.1:{self.server_port}"

    def settings(self) -> dict[str, Any]:
        return {"mbus": "https://ignored", "env": {"bosh": {"mbus": {"urls": [self.url()], "cert": {"ca": self.ca}}}}}


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append(request)
        expected = base64.b64encode(f"me:{_PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {expected}":
            self._send(401, b"")
        elif self.path != "/agent":
            self._send(404, b"")
        elif request["method"] == "silence":
            self.server.release.wait(10)
        else:
            self._send(*self.server.answers.get(request["method"], (200, b'{"value":"pong"}')))

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name for it
        """Nothing on stderr."""


def _authority(name: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    return _certificate(name, key, name, key, ca=True), key


def _certificate(
    subject: str, key: ec.EllipticCurvePrivateKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey, *, ca: bool
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    return builder.sign(issuer_key, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[_Server]:
    """A fake agent on loopback."""
    authority, authority_key = _authority("a CA")
    key = ec.generate_private_key(ec.SECP256R1())
    own = _certificate("an agent", key, "a CA", authority_key, ca=False)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    (tmp_path / "agent.pem").write_text(_pem(own) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "agent.pem")
    with _Server() as server:
        server.ca = _pem(authority)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.release.set()
            server.shutdown()
            thread.join()


def test_an_agent_is_found_by_its_settings(served: _Server) -> None:
    """The first URL of env.bosh.mbus wins; its password may hold anything."""
    with from_settings(served.settings()) as agent:
        agent.ping()
    (request,) = served.seen
    assert (request["protocol"], request["method"], request["arguments"]) == (3, "ping", [])
    assert request["reply_to"].startswith("director.")


def test_a_wrong_password_is_told_without_it(served: _Server) -> None:
    """Neither password is in the message, nor in any repr."""
    transport = HttpsTransport(served.url("wrong-secret"), served.ca)
    with contextlib.closing(transport), pytest.raises(AgentUnreachable, match="refuses the user and password") as refused:
        transport.exchange({"method": "ping", "arguments": []}, 5)
    assert "wrong-secret" not in f"{refused.value!r} {transport!r} {refused.value.__cause__!r}"


def test_a_certificate_of_another_authority_is_not_trusted(served: _Server) -> None:
    """Whoever else listens at that address gets neither password nor request."""
    stranger, _ = _authority("another CA")
    transport = HttpsTransport(served.url(), _pem(stranger))
    with contextlib.closing(transport), pytest.raises(AgentUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
        transport.exchange({"method": "ping", "arguments": []}, 5)
    assert served.seen == []


def test_silence_is_a_timeout(served: _Server) -> None:
    """The agent took the message and does not answer."""
    transport = HttpsTransport(served.url(), served.ca)
    with contextlib.closing(transport), pytest.raises(AgentTimeout, match=r"silence: the agent at .* within 0\.3 s"):
        transport.exchange({"method": "silence", "arguments": []}, 0.3)


def test_nobody_there_is_told_with_the_address() -> None:
    """Port 1 of loopback is nobody's."""
    transport = HttpsTransport("https://me:pw@127.0.0.1:1", None)
    with contextlib.closing(transport), pytest.raises(AgentUnreachable, match=r"127\.0\.0\.1:1 cannot be reached"):
        transport.exchange({"method": "ping", "arguments": []}, 5)


@pytest.mark.parametrize("answer", [(500, b"{}"), (200, b"<html>"), (200, b"[1]"), (302, b""), (200, b"")])
def test_something_else_at_the_address_is_no_agent(served: _Server, answer: tuple[int, bytes]) -> None:
    """A proxy's page, an error, a redirect."""
    served.answers["info"] = answer
    transport = HttpsTransport(served.url(), served.ca)
    with contextlib.closing(transport), pytest.raises(AgentUnreachable, match=f"is not an agent: HTTP {answer[0]}"):
        transport.exchange({"method": "info", "arguments": []}, 5)


def test_many_threads_share_one_agent(served: _Server) -> None:
    """As a director's would."""
    with from_settings(served.settings(), Deadlines(message=5)) as agent:
        threads = [threading.Thread(target=agent.ping) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(served.seen) == 12


@pytest.mark.parametrize(
    "url", ["nats://me:s3cret@10.0.0.1:4222", "https://", "s3cret", "https://me:s3cret@[::1", "https://h:99999"]
)
def test_what_is_no_https_address_is_refused_without_its_password(url: str) -> None:
    """The scheme is told; the rest may be secret."""
    with pytest.raises(errors.CpiError, match="must be https://USER:PASSWORD@HOST:PORT") as refused:
        HttpsTransport(url, None)
    assert "s3cret" not in str(refused.value)


def test_settings_without_an_address_are_refused() -> None:
    """Both places are named."""
    with pytest.raises(errors.CpiError, match=r"neither in env\.bosh\.mbus\.urls nor as mbus"):
        from_settings({"agent_id": "a"})


def test_a_ca_that_is_none_is_refused() -> None:
    """The key is named."""
    with pytest.raises(errors.CpiError, match=r"env\.bosh\.mbus\.cert\.ca .* is no PEM certificate"):
        HttpsTransport("https://me:pw@127.0.0.1:1", "not PEM")
