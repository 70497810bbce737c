"""The configuration: every fault of it told at once, and TLS as it says; XML that is no document is refused."""

import contextlib
import http.server
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cpi
from cpi.contract import errors
from cpi.contract.ids import VmCid
from drivers.vcloud import documents
from fixtures.certificates import Authority

_AUTHORITY = Authority()
_VERSIONS = (
    b'<SupportedVersions xmlns="http://www.vmware.com/vcloud/versions">'
    b"<VersionInfo><Version>36.0</Version></VersionInfo></SupportedVersions>"
)
_NONE = b'<QueryResultRecords xmlns="http://www.vmware.com/vcloud/v1.5" total="0"/>'
_ABSENT = VmCid("urn:vcloud:vm:00000000-0000-4000-8000-000000000000")
_ENTITIES = {"organization": "o", "virtual_datacenter": "v", "vapp_catalog": "c", "media_catalog": "c"}


def config(tmp_path: Path, **own: Any) -> dict[str, Any]:
    """A document that has no faults but its own."""
    block = {
        "url": "http://127.0.0.1:9",
        "user": "u",
        "password": "a-password",
        "entities": _ENTITIES,
        "cache_folder": str(tmp_path),
        "control": {"retry_max": 1},
        **own,
    }
    return {"cloud": {"plugin": "vcloud", "properties": {"vcd": block}}}


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    """With the nearest known name."""
    wrong = {"user": 5, "verify_sll": True, "entities": {"organisation": "o"}, "control": {"wait_max": 0}}
    with pytest.raises(errors.CpiError) as caught:
        cpi.connect(config(tmp_path, **wrong))
    for said in ("user: Expected `str", "is 'verify_ssl' meant?", "is 'organization' meant?", "control.wait_max: Expected"):
        assert said in caught.value.message


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"url": "cloud.example"}, "url: expected https://host"),
        ({"password": None}, "expected user and password, or api_token"),
        ({"user": None, "password": None}, "expected user and password, or api_token"),
    ],
)
def test_what_can_not_be_together_is_told(tmp_path: Path, own: dict[str, Any], said: str) -> None:
    """Before anything is asked."""
    with pytest.raises(errors.CpiError, match=said):
        cpi.connect(config(tmp_path, **own))


@pytest.mark.parametrize("own", [{}, {"api_token": "a-token-of-the-api"}])
def test_secrets_are_never_shown(tmp_path: Path, own: dict[str, str]) -> None:
    """In what an unreachable cloud leads to."""
    with cpi.connect(config(tmp_path, **own)) as cloud, pytest.raises(errors.CloudError) as caught:
        cloud.has_vm(_ABSENT)
    assert "127.0.0.1" in caught.value.message
    assert "a-password" not in caught.value.message
    assert "a-token" not in caught.value.message


@pytest.mark.parametrize(("own", "trusted"), [({}, False), ({"ca_cert": "PEM"}, True), ({"ca_cert": "PATH"}, True)])
def test_certificates_are_looked_at(tmp_path: Path, own: dict[str, str], trusted: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Those of an authority that is named are trusted, and no others."""
    path = tmp_path / "authority.pem"
    path.write_text(_AUTHORITY.certificate)
    values = {"PEM": _AUTHORITY.certificate, "PATH": str(path)}
    given = {key: values[value] for key, value in own.items()}
    with _tls_server(tmp_path) as url, cpi.connect(config(tmp_path, url=url, **given)) as cloud:
        if trusted:
            assert cloud.has_vm(_ABSENT) is False
        else:
            with pytest.raises(errors.CloudError, match="is not trusted"):
                cloud.has_vm(_ABSENT)


def test_certificates_are_not_looked_at_if_that_is_written(tmp_path: Path) -> None:
    """By the operator."""
    with _tls_server(tmp_path) as url, cpi.connect(config(tmp_path, url=url, verify_ssl=False)) as cloud:
        assert cloud.has_vm(_ABSENT) is False


def test_certificates_that_are_none_are_told(tmp_path: Path) -> None:
    """With the key."""
    with pytest.raises(errors.CpiError, match="ca_cert holds no certificates"):
        cpi.connect(config(tmp_path, url="https://127.0.0.1:9", ca_cert=str(tmp_path / "nothing")))


@pytest.mark.parametrize(
    "text",
    [
        b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>',
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>',
        b"<x>",
        b"",
        b"{}",
    ],
)
def test_xml_with_a_dtd_is_refused(text: bytes) -> None:
    """As is what is no XML."""
    with pytest.raises(documents.Unreadable):
        documents.read(text)


def test_what_is_written_can_not_say_more_than_its_texts() -> None:
    """Everything is escaped."""
    wicked = '"><Evil/>&'
    written = documents.written(documents.make("Vm", documents.make("Description", wicked), name=wicked))
    read = documents.read(written)
    assert (read.get("name"), documents.text(read, "Description"), len(read)) == (wicked, wicked, 1)


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Versions, no VM, and no records."""
        if self.path == "/api/versions":
            self._answer(200, _VERSIONS)
        elif self.path.startswith("/api/query"):
            self._answer(200, _NONE)
        else:
            self._answer(403, b'<Error minorErrorCode="ACCESS_TO_RESOURCE_IS_FORBIDDEN" message="no"/>')

    def do_POST(self) -> None:
        """Everybody is let in."""
        self._answer(200, b"", {"X-VMWARE-VCLOUD-ACCESS-TOKEN": "token"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in http.server
        """Nothing."""


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """Clients that do not trust it go away."""


@contextlib.contextmanager
def _tls_server(folder: Path) -> Iterator[str]:
    pair = _AUTHORITY.signed("localhost", addresses=("127.0.0.1",))
    file = folder / "server.pem"
    file.write_text(pair.certificate + pair.private_key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
