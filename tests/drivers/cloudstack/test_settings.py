"""The configuration: every fault of it told at once, and TLS as it says."""

import base64
from pathlib import Path
from typing import Any

import pytest

import cpi
from cpi.contract import errors
from cpi.contract.ids import VmCid
from fixtures.certificates import Authority
from fixtures.proxy import Answer, Request
from fixtures.web_server import web_server

_AUTHORITY = Authority()


def config(tmp_path: Path, **own: Any) -> dict[str, Any]:
    """A document that has no faults but its own."""
    block = {
        "endpoint": "http://127.0.0.1:9/client/api",
        "api_key": "an-api-key",
        "secret_access_key": "a-secret-key",
        "default_zone": "zone-1",
        "cache_folder": str(tmp_path),
        "max_attempts": 1,
        **own,
    }
    return {"cloud": {"plugin": "cloudstack", "properties": {"cloudstack": block}}}


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    """With the nearest known name."""
    wrong = {"api_key": True, "verify_sll": True, "timeout": {"global": 0}, "default_offer": {"disc": "x"}}
    with pytest.raises(errors.CpiError) as caught:
        cpi.connect(config(tmp_path, **wrong))
    for said in ("api_key: Expected `str`", "did you mean 'verify_ssl'?", "timeout.global: Expected", "did you mean 'disk'?"):
        assert said in caught.value.message


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"endpoint": "cloud.example"}, "endpoint: expected a URL"),
        ({"account": "x"}, "account and domain_id: expected both or neither"),
        ({"account": "x", "domain_id": "1", "project": "y"}, "expected one of the two"),
        ({"proxy": "http://proxy.example", "proxy_host": "proxy.example"}, "proxy and proxy_host: expected one of the two"),
    ],
)
def test_what_cannot_be_together_is_told(tmp_path: Path, own: dict[str, Any], said: str) -> None:
    """Before anything is asked."""
    with pytest.raises(errors.CpiError, match=said):
        cpi.connect(config(tmp_path, **own))


def test_keys_of_the_official_cpis_without_a_meaning_are_passed_over(tmp_path: Path) -> None:
    """An operator leaves the configuration as it is."""
    theirs = {"registry": {}, "nats": {}, "actions": {}, "private_key": "x", "interval_clean_disk": 60, "vm_create_delay": 10}
    with cpi.connect(config(tmp_path, **theirs)) as cloud:
        assert cloud.ping() == "pong"


def test_the_secret_key_is_never_shown(tmp_path: Path) -> None:
    """Nor the API key, in what an unreachable endpoint leads to."""
    with cpi.connect(config(tmp_path)) as cloud, pytest.raises(errors.CloudError) as caught:
        cloud.has_vm(VmCid("x"))
    assert "127.0.0.1" in caught.value.message
    assert "an-api-key" not in caught.value.message


@pytest.mark.parametrize(("own", "trusted"), [({}, False), ({"ca_cert": "PEM"}, True), ({"ca_cert": "PATH"}, True)])
def test_certificates_are_looked_at(tmp_path: Path, own: dict[str, str], trusted: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Those of an authority that is named are trusted, and no others."""
    path = tmp_path / "authority.pem"
    path.write_text(_AUTHORITY.certificate)
    values = {"PEM": _AUTHORITY.certificate, "PATH": str(path)}
    given = {key: values[value] for key, value in own.items()}
    with web_server(_no_vm, _AUTHORITY) as url, cpi.connect(config(tmp_path, endpoint=f"{url}/client/api", **given)) as cloud:
        if trusted:
            assert cloud.has_vm(VmCid("x")) is False
        else:
            with pytest.raises(errors.CloudError, match="certificate is not trusted"):
                cloud.has_vm(VmCid("x"))


@pytest.mark.parametrize("own", [{"verify_ssl": False}, {"skip_verify_ssl": True}])
@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_certificates_are_not_looked_at_if_that_is_written(tmp_path: Path, own: dict[str, bool]) -> None:
    """By our word or the official CPI's."""
    with web_server(_no_vm, _AUTHORITY) as url, cpi.connect(config(tmp_path, endpoint=f"{url}/client/api", **own)) as cloud:
        assert cloud.has_vm(VmCid("x")) is False


@pytest.mark.parametrize("words", ["ours", "the Java CPI's"])
def test_calls_go_by_way_of_the_proxy(tmp_path: Path, words: str) -> None:
    """It is logged in at with the user and the password, whatever characters these have."""
    asked: list[tuple[str, str | None]] = []

    def proxy(request: Request) -> Answer:
        asked.append((request.path, request.headers.get("Proxy-Authorization")))
        return _no_vm(request)

    with web_server(proxy) as url:
        port = int(url.rpartition(":")[2])
        own: dict[str, Any] = {"proxy": f"http://us%40er:pass%2Fword@127.0.0.1:{port}"}
        if words != "ours":
            own = {"proxy_host": "127.0.0.1", "proxy_port": port, "proxy_user": "us@er", "proxy_password": "pass/word"}
        with cpi.connect(config(tmp_path, endpoint="http://cloud.example/client/api", **own)) as cloud:
            assert cloud.has_vm(VmCid("x")) is False
    login = base64.b64encode(b"us@er:pass/word").decode()
    assert set(asked) == {("http://cloud.example/client/api", f"Basic {login}")}


@pytest.mark.parametrize(("bypassed", "by_proxy"), [("", True), ("10.0.0.0/8,127.0.0.0/8", False)])
def test_without_a_setting_the_environment_names_the_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bypassed: str, *, by_proxy: bool
) -> None:
    """As the official jobs export it; no_proxy is heeded, and libcloud's own reading is not. A proxy is asked for whole URLs."""
    asked: list[str] = []

    def either(request: Request) -> Answer:
        asked.append(request.path)
        return _no_vm(request)

    with web_server(either) as url:
        monkeypatch.setenv("http_proxy", url)
        monkeypatch.setenv("no_proxy", bypassed)
        with cpi.connect(config(tmp_path, endpoint=f"{url}/client/api")) as cloud:
            assert cloud.has_vm(VmCid("x")) is False
    assert set(asked) == {f"{url}/client/api" if by_proxy else "/client/api"}


def _no_vm(_: Request) -> Answer:
    return Answer(200, b'{"listvirtualmachinesresponse": {}}')
