"""The way to Google: which proxy is used for what, what a proxy refuses, and instance metadata, which no proxy may see."""

import contextlib
import socketserver
import threading
from collections.abc import Iterator

import pytest

import cpi
from cpi.contract import errors
from cpi.contract.ids import VmCid
from cpi.contract.model import CloudConfig
from cpi_drivers.google import settings
from cpi_drivers.google.api import connection
from fixtures.clouds.google.lab import Lab

_VM = VmCid("vm-that-never-was")


def _read(**env: str) -> settings.GoogleSettings:
    return settings.read(CloudConfig(plugin="google", properties={"project": "p", "env": env}))


@pytest.mark.parametrize(
    ("no_proxy", "url", "used"),
    [
        ("", "https://compute.googleapis.com/x", True),
        ("googleapis.com", "https://compute.googleapis.com/x", False),
        ("a.example, .googleapis.com", "https://storage.googleapis.com/x", False),
        ("10.0.0.0/8", "https://10.1.2.3/x", False),
        ("", "http://169.254.169.254/computeMetadata/v1/", False),
        ("", "http://metadata.google.internal/computeMetadata/v1/", False),
    ],
)
def test_which_call_goes_by_the_proxy(no_proxy: str, url: str, *, used: bool) -> None:
    """The proxy may be given without a scheme; its user and password are decoded."""
    own = _read(http_proxy="proxy.example:3128", https_proxy="http://u%40x:p%2Fw@proxy.example:3128", no_proxy=no_proxy)
    found = connection.proxy_for(own, url)
    assert (found is not None) is used
    if found and url.startswith("https"):
        assert (found.host, found.port, found.user, found.password) == ("proxy.example", 3128, "u@x", "p/w")


def test_a_proxy_that_is_none_is_a_fault_of_the_configuration() -> None:
    """It is named."""
    with pytest.raises(errors.CpiError, match=r"cloud\.properties\.google\.env: https_proxy is not a valid proxy"):
        _read(https_proxy="gopher://proxy.example")


def test_the_metadata_server_that_the_environment_names_is_asked_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the one of Google's."""
    monkeypatch.setenv("GCE_METADATA_HOST", "10.9.9.9:8080")
    assert connection.proxy_for(_read(http_proxy="proxy.example:3128"), "http://10.9.9.9:8080/x") is None


class _Refusing(socketserver.StreamRequestHandler):
    """A proxy that opens no way."""

    def handle(self) -> None:
        self.rfile.readline()
        answer: bytes = self.server.answer  # type: ignore[attr-defined]  # set below
        self.wfile.write(answer)


@contextlib.contextmanager
def _proxy(answer: bytes) -> Iterator[str]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Refusing) as server:
        server.answer = answer  # type: ignore[attr-defined]  # as above
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        ("407 Proxy Authentication Required", "check user, password and rules"),
        ("403 Forbidden", "check user, password and rules"),
    ],
)
def test_what_a_proxy_refuses_is_told_as_the_proxys_and_not_tried_again(google: Lab, status: str, advice: str) -> None:
    """Google never saw it."""
    with _proxy(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()) as proxy:
        env = {"https_proxy": f"http://me:secret-word@{proxy}"}
        config = google.config(env=env, endpoints={"compute": "https://compute.example"})
        with cpi.connect(config) as cloud, pytest.raises(errors.CloudError, match="the proxy on the way to Google") as caught:
            cloud.has_vm(_VM)
    assert status.partition(" ")[0] in caught.value.message
    assert advice in caught.value.message
    assert "secret-word" not in caught.value.message


def test_a_proxy_that_cannot_pass_a_call_on_is_told_as_the_proxys(google: Lab) -> None:
    """502."""
    with _proxy(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n") as proxy:
        config = google.config(env={"https_proxy": proxy}, endpoints={"compute": "https://compute.example"}, max_retries=0)
        with cpi.connect(config) as cloud, pytest.raises(errors.CloudError, match=r"the proxy on the way to Google.*502"):
            cloud.has_vm(_VM)
