"""Logging in: by password, by API token, as of old; and sessions that serve other processes."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cpi
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import VmCid
from cpi.contract.units import MiB
from fixtures.clouds.vcloud.lab import API_TOKEN, Lab, lab
from fixtures.proxy import Rule, effects
from tests.drivers.vcloud.conftest import Connect, Helper

pytestmark = pytest.mark.slow

_ABSENT = VmCid("urn:vcloud:vm:00000000-0000-4000-8000-000000000000")
_BEARER = "POST /cloudapi/1.0.0/sessions"
_OLD = "POST /api/sessions"


@pytest.fixture(scope="module")
def old() -> Iterator[Lab]:
    """A vCloud Director 5.5."""
    with lab(release="5.5") as running:
        yield running


def logins(vcloud: Lab) -> dict[str, int]:
    """How often each way in was taken."""
    return {name: count for name, count in vcloud.calls().items() if "session" in name or "oauth" in name}


def test_a_password_gives_a_bearer_token(vcloud: Lab, connect: Connect) -> None:
    """Of the newest version that both sides know."""
    seen: list[str] = []
    rule = Rule("GET /api/vApp/*", effects.decided(lambda request: seen.append(request.headers["Accept"])))
    with vcloud.rule(rule):
        assert connect().has_vm(_ABSENT) is False
    assert logins(vcloud) == {_BEARER: 1}
    assert seen == ["application/*+xml;version=39.1"]


def test_an_api_token_is_enough(vcloud: Lab, connect: Connect) -> None:
    """No user, no password."""
    assert connect(user=None, password=None, api_token=API_TOKEN).has_vm(_ABSENT) is False
    assert list(logins(vcloud)) == ["POST /oauth/tenant/bosh-org/token"]


def test_the_version_may_be_named(vcloud: Lab, connect: Connect) -> None:
    """And is not asked for then."""
    assert connect(api_version="36.0").has_vm(_ABSENT) is False
    assert "GET /api/versions" not in vcloud.calls()


@pytest.mark.parametrize("version", ["99.9", "30.0"])
def test_a_version_that_is_not_spoken_is_told_with_those_that_are(connect: Connect, version: str) -> None:
    """It is no matter of the user."""
    with pytest.raises(
        errors.CpiError, match=rf"does not speak version {version} of the API \(see api_version\); it offers: .*39"
    ):
        connect(api_version=version).has_vm(_ABSENT)


@pytest.mark.parametrize("own", [{"password": "a-wrong-one"}, {"user": None, "password": None, "api_token": "a-wrong-one"}])
def test_who_is_not_let_in_is_told_so(connect: Connect, own: dict[str, Any]) -> None:
    """As a fault of the configuration; the secret is not shown."""
    with pytest.raises(errors.CpiError, match=r"does not let .* into the organisation 'bosh-org': 40") as caught:
        connect(**own).has_vm(_ABSENT)
    assert "a-wrong-one" not in caught.value.message


def test_a_session_serves_other_processes(vcloud: Lab, connect: Connect, tmp_path: Path) -> None:
    """In a file that nobody else can read."""
    for _ in range(3):
        connect().has_vm(_ABSENT)
    assert logins(vcloud) == {_BEARER: 1}
    (file,) = (tmp_path / "cache").glob("vcloud-session-*.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    connect(user="reader", password="password-of-reader").has_vm(_ABSENT)  # noqa: S106 - a test's
    assert logins(vcloud) == {_BEARER: 2}


def test_a_session_that_is_over_is_replaced_for_all(vcloud: Lab, connect: Connect) -> None:
    """By the first that meets it."""
    clouds = [connect() for _ in range(2)]
    for cloud in clouds:
        cloud.has_vm(_ABSENT)
    vcloud.control("expire")
    for cloud in clouds:
        assert cloud.has_vm(_ABSENT) is False
    assert logins(vcloud) == {_BEARER: 2}


def test_a_session_may_be_given_an_age(vcloud: Lab, connect: Connect, tmp_path: Path) -> None:
    """cookie_timeout."""
    cloud = connect(control={"cookie_timeout": 600})
    cloud.has_vm(_ABSENT)
    (file,) = (tmp_path / "cache").glob("vcloud-session-*.json")
    kept = json.loads(file.read_text())
    file.write_text(json.dumps({**kept, "began": kept["began"] - 601}))
    connect(control={"cookie_timeout": 600}).has_vm(_ABSENT)
    assert logins(vcloud) == {_BEARER: 2}


def test_a_token_goes_to_the_host_of_the_configuration_alone(vcloud: Lab, cloud: Cloud, helper: Helper) -> None:
    """The fake names itself in every address, past the proxy; nothing goes there."""
    assert cloud.has_vm(helper.vm(cloud).cid)
    assert vcloud.calls()["POST /api/vApp/vm-{id}/power/action/powerOn"] == 1


def test_the_login_of_old_is_known(old: Lab, tmp_path: Path) -> None:
    """With what needs no newer hardware description: disks."""
    with cpi.connect(old.config(cache_folder=str(tmp_path))) as cloud:
        assert cloud.has_vm(_ABSENT) is False
        disk = cloud.create_disk(MiB(100), {})
        assert cloud.has_disk(disk)
        cloud.resize_disk(disk, MiB(200))
        cloud.delete_disk(disk)
        assert not cloud.has_disk(disk)
    assert logins(old) == {_OLD: 1}


def test_api_tokens_need_a_newer_api(old: Lab, tmp_path: Path) -> None:
    """And the message says so."""
    config = old.config(cache_folder=str(tmp_path), user=None, password=None, api_token=API_TOKEN)
    with cpi.connect(config) as cloud, pytest.raises(errors.CpiError, match="knows no API tokens"):
        cloud.has_vm(_ABSENT)


def test_what_is_no_cloud_director_is_told_as_such(vcloud: Lab, connect: Connect) -> None:
    """Pages of other programs are not taken for answers."""
    with (
        vcloud.rule(Rule("GET /api/versions", effects.answer(200, b"<html>hello</html>"))),
        pytest.raises(errors.CpiError, match="is no Cloud Director"),
    ):
        connect().has_vm(_ABSENT)
