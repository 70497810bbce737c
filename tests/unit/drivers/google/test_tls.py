"""Google is believed only with a certificate that the configured authority signed."""

import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

import cpi
from cpi.contract import errors
from cpi.contract.ids import DiskCid
from fixtures.certificates import Authority
from fixtures.clouds.google.lab import service_account_key
from fixtures.clouds.google.world import PROJECT

_DISK = DiskCid(f"disk-{'0' * 24}-europe-west1-b")


class _NothingHere(BaseHTTPRequestHandler):
    """Answers as Google answers for a disk that is not there."""

    def do_GET(self) -> None:
        body = json.dumps({"error": {"code": 404, "message": "x", "errors": [{"reason": "notFound"}]}}).encode()
        self.send_response(404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Silence."""


@pytest.fixture(scope="module")
def authority() -> Authority:
    """The operator's own."""
    return Authority()


@pytest.fixture(scope="module")
def url(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An endpoint whose certificate the authority signed."""
    pair, folder = authority.signed("google", addresses=("127.0.0.1",)), tmp_path_factory.mktemp("tls")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_file(folder / "certificate", pair.certificate), _file(folder / "key", pair.private_key))
    with HTTPServer(("127.0.0.1", 0), _NothingHere) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the driver keeps the authority's certificate."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def _file(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def _has_disk(url: str, **own: object) -> bool:
    key = json.dumps(service_account_key(url))
    block = {"project": PROJECT, "json_key": key, "endpoints": {"compute": url}, "max_retries": 0, **own}
    with cpi.connect({"cloud": {"plugin": "google", "properties": {"google": block}}}) as cloud:
        return cloud.has_disk(_DISK)


def test_the_configured_authority_is_trusted(url: str, authority: Authority) -> None:
    """A private endpoint behind the operator's own authority."""
    assert _has_disk(url, connection_options={"ca_cert": authority.certificate}) is False


@pytest.mark.parametrize("other", [True, False], ids=["another authority", "none"])
def test_nobody_else_is(url: str, other: bool) -> None:  # noqa: FBT001 - pytest
    """No answer of theirs counts: not even that a disk is missing."""
    own = {"connection_options": {"ca_cert": Authority().certificate}} if other else {}
    with pytest.raises(errors.CloudError, match="CERTIFICATE_VERIFY_FAILED") as caught:
        _has_disk(url, **own)
    assert not isinstance(caught.value, errors.DiskNotFound)
