"""Who asks NSX: a session that processes share, vIDM's password, a certificate; over verified TLS."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cpi
from cpi.contract import errors
from cpi.kit.settings import Secret
from cpi_drivers.vsphere.api.errors import Unreached
from cpi_drivers.vsphere.api.nsxt.client import Nsx
from cpi_drivers.vsphere.api.nsxt.errors import NsxRefused
from cpi_drivers.vsphere.api.nsxt.naming import POLICY, named
from cpi_drivers.vsphere.nsxt_settings import Nsxt
from fixtures.certificates import Authority
from fixtures.clouds.nsxt.lab import Lab, lab, secure
from fixtures.clouds.nsxt.seed import PASSWORD, REMOTE, USER
from fixtures.proxy import Answer, Request, Rule, effects
from fixtures.web_server import web_server
from tests.drivers.vsphere.nsxt.conftest import client

pytestmark = pytest.mark.slow

_GROUP = f"{POLICY}/infra/domains/default/groups/dmz"
_LOGIN = "POST api/session/create"


@pytest.fixture(scope="module")
def running() -> Iterator[Lab]:
    """An NSX without a vCenter, with a crowd, of which a page holds 40."""
    with lab(None, "--crowd", "90", "--page", "40") as one:
        yield one


@pytest.fixture
def nsx(running: Lab) -> Lab:
    """Nobody has logged in."""
    running.end_sessions()
    running.proxy.withdraw_all()
    running.proxy.forget_calls()
    return running


def test_a_session_is_begun_once_and_shared_by_processes(nsx: Lab, tmp_path: Path) -> None:
    """Its file is its owner's alone, and holds no password."""
    for _ in range(2):
        manager = client(nsx, tmp_path)
        manager.get(_GROUP)
        manager.get(_GROUP)
        manager.close()
    assert nsx.calls() == {_LOGIN: 1, "GET groups/{id}": 4}
    (kept,) = tmp_path.glob("nsxt-session-*")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert PASSWORD not in kept.read_text(encoding="utf-8")


def test_a_session_that_is_over_is_begun_anew_in_the_middle(nsx: Lab, tmp_path: Path) -> None:
    """By the process that notices; the next one uses the new one."""
    first = client(nsx, tmp_path)
    first.get(_GROUP)
    nsx.end_sessions()
    assert first.get(_GROUP)["id"] == "dmz"
    second = client(nsx, tmp_path)
    second.get(_GROUP)
    assert nsx.calls()[_LOGIN] == 2
    first.close()
    second.close()


def test_a_right_that_is_lacking_is_told_after_one_more_login(nsx: Lab, tmp_path: Path) -> None:
    """A 403 may be a session's end, or not."""
    manager = client(nsx, tmp_path)
    nsx.proxy.inject(Rule("GET groups/{id}", effects.answer(403, b'{"error_message": "read-only"}')))
    with pytest.raises(NsxRefused, match="read-only"):
        manager.get(_GROUP)
    assert nsx.calls() == {_LOGIN: 2, "GET groups/{id}": 2}
    manager.close()


def test_a_wrong_password_is_told_without_it(nsx: Lab, tmp_path: Path) -> None:
    """Once, not four times: accounts get locked."""
    manager = Nsx(Nsxt(host=nsx.proxy.url, username=USER, password=Secret("wrong-word"), use_policy_api=True), tmp_path)
    with pytest.raises(errors.CloudError, match="does not let 'admin' in: The credentials were incorrect") as caught:
        manager.get(_GROUP)
    assert "wrong-word" not in caught.value.message
    assert nsx.calls() == {_LOGIN: 1}
    manager.close()


def test_what_is_no_nsx_is_told(nsx: Lab, tmp_path: Path) -> None:
    """It answers, and begins no session."""
    nsx.proxy.inject(Rule(_LOGIN, effects.answer(200, b"<html>welcome</html>")))
    manager = client(nsx, tmp_path)
    with pytest.raises(errors.CloudError, match=r"is nsxt\.host right"):
        manager.get(_GROUP)
    manager.close()


def test_a_user_of_vidm_has_no_session(nsx: Lab, tmp_path: Path) -> None:
    """The password goes with each request."""
    settings = Nsxt(host=nsx.proxy.url, username=REMOTE, password=Secret(PASSWORD), use_policy_api=True, remote_auth=True)
    manager = Nsx(settings, tmp_path)
    assert manager.get(_GROUP)["id"] == "dmz"
    assert nsx.calls() == {"GET groups/{id}": 1}
    manager.close()


@pytest.mark.parametrize(("allowed", "header"), [(True, "true"), (False, None)])
def test_objects_of_others_are_changed_where_that_is_allowed(
    nsx: Lab,
    tmp_path: Path,
    allowed: bool,  # noqa: FBT001 - a parameter of the table
    header: str | None,
) -> None:
    """The header goes with changes alone."""
    manager = client(nsx, tmp_path, allow_overwrite=allowed)
    manager.changed(_GROUP, lambda group: group)
    seen = {call.action: call.request.headers.get("X-Allow-Overwrite") for call in nsx.proxy.calls}
    assert seen["PUT groups/{id}"] == header
    assert seen["GET groups/{id}"] is None
    manager.close()


def test_lists_of_many_pages_are_read_whole(nsx: Lab, tmp_path: Path) -> None:
    """Each page names the next; a name is found with one call however many there are."""
    manager = client(nsx, tmp_path)
    assert len(list(manager.pages(f"{POLICY}/infra/domains/default/groups"))) == 93
    assert nsx.calls()["GET groups"] == 3
    assert len(manager.search("LBPool", "members.port:80")) == 90
    assert nsx.calls()["GET search LBPool"] == 3
    found = named(manager, "Group", "groups", ["crowd 88", "dmz"])
    assert {name: one["id"] for name, one in found.items()} == {"crowd 88": "crowd-88", "dmz": "dmz"}
    assert nsx.calls()["GET search Group"] == 1
    manager.close()


# ---------------------------------------------------------------------- TLS


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Authority]]:
    """An NSX that speaks TLS, and the authority that has signed its certificate."""
    folder, authority = tmp_path_factory.mktemp("tls"), Authority()
    pair = authority.signed("nsx", addresses=("127.0.0.1",))
    (folder / "server.pem").write_text(pair.certificate + pair.private_key)
    (folder / "ca.pem").write_text(authority.certificate)
    with secure(folder) as url:
        yield url, authority


def _over_tls(url: str, folder: Path, **own: Any) -> Nsx:
    return Nsx(Nsxt(host=url, use_policy_api=True, **own), folder)


_BY_PASSWORD: dict[str, Any] = {"username": USER, "password": Secret(PASSWORD)}


def test_a_certificate_lets_in_without_a_session(tls: tuple[str, Authority], tmp_path: Path) -> None:
    """A principal identity's; it goes before the password, and leaves no file behind."""
    url, authority = tls
    pair = authority.signed("principal")
    shown = {"auth_certificate": pair.certificate, "auth_private_key": Secret(pair.private_key), "ca_cert": authority.certificate}
    manager = _over_tls(url, tmp_path, username="nobody", password=Secret("wrong"), **shown)
    assert manager.get(_GROUP)["id"] == "dmz"
    assert list(tmp_path.iterdir()) == []
    manager.close()


def test_a_certificate_that_nsx_does_not_know_lets_nobody_in(tls: tuple[str, Authority], tmp_path: Path) -> None:
    """Signed by somebody else."""
    url, authority = tls
    pair = Authority().signed("stranger")
    shown = {"auth_certificate": pair.certificate, "auth_private_key": Secret(pair.private_key), "ca_cert": authority.certificate}
    manager = _over_tls(url, tmp_path, **shown)
    with pytest.raises(errors.CloudError):
        manager.get(_GROUP)
    manager.close()


def test_an_nsx_is_trusted_by_its_authority_or_because_the_operator_says_so(tls: tuple[str, Authority], tmp_path: Path) -> None:
    """Else it is not asked anything."""
    url, authority = tls
    for own in ({"ca_cert": authority.certificate}, {"ssl_verify_peer": False}):
        manager = _over_tls(url, tmp_path, **_BY_PASSWORD, **own)
        assert manager.get(_GROUP)["id"] == "dmz"
        manager.close()
    for stranger in ({}, {"ca_cert": Authority().certificate}):
        manager = _over_tls(url, tmp_path / "fresh", **_BY_PASSWORD, **stranger)
        with pytest.raises(Unreached, match=r"see nsxt\.ca_cert"):
            manager.get(_GROUP)
        manager.close()


@pytest.mark.parametrize(("bypassed", "by_proxy"), [("", True), ("127.0.0.0/8", False)])
def test_the_environment_names_the_proxy(
    nsx: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bypassed: str, *, by_proxy: bool
) -> None:
    """As for the vCenter, by the one rule of all clouds; a login for the proxy is the proxy's alone."""
    asked: list[str | None] = []

    def refusing(request: Request) -> Answer:
        asked.append({name.lower(): value for name, value in request.headers.items()}.get("proxy-authorization"))
        return Answer(407, b"")

    with web_server(refusing) as url:
        monkeypatch.setenv("http_proxy", url.replace("http://", "http://me:word@"))
        monkeypatch.setenv("no_proxy", bypassed)
        manager = client(nsx, tmp_path)
        if by_proxy:
            with pytest.raises(errors.CloudError, match="407"):
                manager.get(_GROUP)
        else:
            assert manager.get(_GROUP)["id"] == "dmz"
        manager.close()
    assert asked == (["Basic bWU6d29yZA=="] if by_proxy else [])


def test_closing_is_harmless_before_anything_was_asked(tmp_path: Path) -> None:
    """A cloud that only told its info has no connection."""
    place = {"name": "DC0", "clusters": ["c"], "datastore_pattern": ".", "persistent_datastore_pattern": "."}
    nsxt = {"host": "nsx", "username": "u", "password": "p", "use_policy_api": True}
    block = {"host": "v", "user": "u", "password": "p", "datacenters": [place], "nsxt": nsxt, "cache_folder": str(tmp_path)}
    with cpi.connect({"cloud": {"plugin": "vsphere", "properties": {"vcenters": [block]}}}) as cloud:
        assert cloud.info().api_version == 3
