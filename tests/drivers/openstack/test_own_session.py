"""A director that holds an openstack.connection.Connection hands it over: the driver calls with its login."""

import logging
from pathlib import Path
from typing import Any

import openstack
import pytest
from keystoneauth1.token_endpoint import Token

import cpi
from cpi.contract.ids import VmCid
from cpi.contract.units import MiB
from fixtures.clouds.openstack.lab import Lab
from tests.drivers.openstack.conftest import MakeVm

_LOGIN = ("auth_url", "username", "api_key", "project", "domain", "region")


def without_login(project: Lab, folder: str) -> dict[str, Any]:
    """A configuration without login and region."""
    config = project.config(cache_folder=folder)
    for key in _LOGIN:
        del config["cloud"]["properties"]["openstack"][key]
    return config


def connected(project: Lab, password: str | None = None) -> Any:
    """What a director holds."""
    return openstack.connect(
        load_yaml_config=False,
        load_envvars=False,
        auth_url=f"{project.proxies['keystone'].url}/v3",
        username=project.account.username,
        password=password or project.account.password,
        project_name=project.account.project,
        user_domain_id="default",
        project_domain_id="default",
        region_name=project.region,
    )


def logins(project: Lab) -> int:
    """How many times a token was asked for."""
    return sum(
        call.request.method == "POST" and call.request.path.endswith("/auth/tokens") for call in project.proxies["keystone"].calls
    )


def test_a_vm_with_a_disk_by_the_callers_connection(
    project: Lab, folder: str, make_vm: MakeVm, census_kept: None, caplog: pytest.LogCaptureFixture
) -> None:
    """One login for both; no token is kept in a file or shown in a log; the connection is usable afterwards."""
    with connected(project) as session:
        assert session.authorize()
        project.forget_calls()
        with caplog.at_level(logging.DEBUG, "cpi"), cpi.connect(without_login(project, folder), session=session) as cloud:
            vm = make_vm(cloud)
            disk_cid = cloud.create_disk(MiB(1024), {}, vm.cid)
            cloud.attach_disk(vm.cid, disk_cid)
            assert list(cloud.get_disks(vm.cid)) == [disk_cid]
            cloud.delete_vm(vm.cid)
            cloud.delete_disk(disk_cid)
        assert logins(project) == 0
        assert list(Path(folder).glob("openstack-token-*")) == []
        assert session.auth_token not in caplog.text
        assert session.compute.find_server(vm.cid) is None


def test_a_login_that_keystone_refuses_is_reported(project: Lab, folder: str) -> None:
    """With a word about the session, and without the password."""
    session = connected(project, password="not-the-password")  # noqa: S106 - wrong on purpose
    with session, cpi.connect(without_login(project, folder), session=session) as cloud:
        with pytest.raises(cpi.CpiError, match="see the session that was given") as caught:
            cloud.has_vm(VmCid("nothing"))
        assert "not-the-password" not in caught.value.message


def test_a_plugin_without_keystone_is_refused(project: Lab, folder: str) -> None:
    """It brings no catalogue."""
    from keystoneauth1 import session as keystone

    session = openstack.connection.Connection(session=keystone.Session(Token("http://127.0.0.1:9", "a-token")))
    with session, pytest.raises(cpi.CpiError, match="session: Token of keystoneauth brings no catalogue"):
        cpi.connect(without_login(project, folder), session=session)
