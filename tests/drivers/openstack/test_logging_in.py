"""Logging in: once for many processes, again when a token has ended, and told as what it is when it fails."""

import json
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cpi.connecting import connect
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import VmCid
from fixtures.clouds.openstack.lab import Lab
from fixtures.proxy import Rule, effects
from tests.drivers.openstack.conftest import Executable, MakeVm, gone_after

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

NOTHING = VmCid(str(uuid.uuid4()))


def logins(project: Lab, folder: str) -> int:
    """How often a new Cloud logs in to look for a VM."""
    project.forget_calls()
    with connect(project.config(cache_folder=folder)) as cloud:
        assert cloud.has_vm(NOTHING) is False
    return project.calls()["keystone POST /v3/auth/tokens"]


def kept(folder: str) -> Path:
    """The file with the token."""
    return next(Path(folder).glob("openstack-token-*"))


def test_a_token_that_ends_in_the_middle_of_a_wait_is_replaced_and_kept(
    project: Lab, cloud: Cloud, make_vm: MakeVm, folder: str
) -> None:
    """The VM is made once; the next process finds the new token."""
    file = kept(folder)
    old = file.read_text()
    ended = effects.answer(401, b'{"error": {"message": "The request you have made requires authentication."}}')
    rule = Rule("GET /v2.1/servers/{id}", ended, when=lambda request: request.headers["X-Auth-Token"] in old)
    project.forget_calls()
    with project.rule("nova", rule), gone_after(cloud, make_vm(cloud)):
        assert rule.met >= 1
        assert project.calls()["keystone POST /v3/auth/tokens"] == 1
    assert file.read_text() != old


def test_the_second_process_does_not_log_in(project: Lab, folder: str) -> None:
    """A CPI process that logged in each time would double the time of most calls."""
    assert [logins(project, folder), logins(project, folder)] == [1, 0]


def test_a_token_that_was_revoked_costs_one_login(project: Lab, folder: str) -> None:
    """The cloud's answer of 401 is never told; the next process has the new one."""
    logins(project, folder)
    file = kept(folder)
    file.write_text(json.dumps({**json.loads(file.read_text()), "auth_token": "gAAAAA-revoked"}))
    assert [logins(project, folder), logins(project, folder)] == [1, 0]
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_token_that_is_about_to_end_is_not_used(project: Lab, folder: str) -> None:
    """It might end in the middle of the call."""
    logins(project, folder)
    state = json.loads(kept(folder).read_text())
    state["body"]["token"]["expires_at"] = "2020-01-01T00:00:00.000000Z"
    kept(folder).write_text(json.dumps(state))
    assert [logins(project, folder), logins(project, folder)] == [1, 0]


@pytest.mark.parametrize("body", [{}, {"token": {}}, {"token": {"expires_at": "never"}}, {"access": {}}, None, 7])
def test_a_spoilt_token_file_costs_one_login(project: Lab, folder: str, body: object) -> None:
    """A full disk must not stop the CPI."""
    logins(project, folder)
    kept(folder).write_text(json.dumps({"auth_token": "gAAAA", "body": body}))
    assert [logins(project, folder), logins(project, folder)] == [1, 0]


def test_processes_that_start_at_once_share_what_they_keep(project: Lab, folder: str, rpc: Executable) -> None:
    """Whoever writes last, the file is whole."""
    config = project.config(cache_folder=folder)
    with ThreadPoolExecutor(3) as pool:
        answers = [done.result() for done in [pool.submit(rpc, config, "has_vm", str(NOTHING)) for _ in range(3)]]
    assert [answer["result"] for answer in answers] == [False] * 3
    assert logins(project, folder) == 0
    assert [file.name for file in Path(folder).iterdir() if file.name.startswith(".")] == []


def test_wrong_credentials_are_a_fault_of_the_configuration(project: Lab, folder: str) -> None:
    """And never a missing method; the password is not shown."""
    with connect(project.config(cache_folder=folder, api_key="a-wrong-password")) as cloud:
        with pytest.raises(errors.CpiError, match="does not take the credentials") as caught:
            cloud.has_vm(VmCid(str(uuid.uuid4())))
        assert not isinstance(caught.value, errors.NotImplemented)
        assert "a-wrong-password" not in caught.value.message


def test_a_region_that_does_not_exist_is_told_with_what_the_catalogue_has(project: Lab, folder: str) -> None:
    """Not as an unreachable host."""
    said = "no public endpoint of compute in region Atlantis"
    with connect(project.config(cache_folder=folder, region="Atlantis")) as cloud, pytest.raises(errors.CpiError, match=said):
        cloud.has_vm(VmCid(str(uuid.uuid4())))


def application_credential(project: Lab) -> dict[str, str | None]:
    """The settings of one, in place of a user."""
    sdk = project.sdk
    made = sdk.identity.create_application_credential(user=sdk.current_user_id, name=str(uuid.uuid4()))
    none: dict[str, str | None] = dict.fromkeys(("username", "api_key", "project", "domain"))
    return {**none, "application_credential_id": made.id, "application_credential_secret": made.secret}


@pytest.mark.parametrize(
    "who",
    [
        application_credential,
        lambda project: {"project": None, "project_id": project.sdk.current_project_id},
        lambda project: {"project": None, "tenant": project.account.project},
        lambda _: {"domain": None, "user_domain_name": "Default", "project_domain_name": "Default"},
        lambda _: {"endpoint_type": "internalURL"},
    ],
    ids=["application credential", "project_id", "tenant", "split domains", "internal endpoints"],
)
def test_whoever_may_log_in_does(project: Lab, folder: str, who: Callable[[Lab], dict[str, str | None]]) -> None:
    """Each way that the official CPIs know."""
    config = project.config(direct=True, cache_folder=folder, **who(project))
    with connect(config) as cloud:
        assert cloud.has_vm(NOTHING) is False
