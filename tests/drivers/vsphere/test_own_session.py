"""A director that holds a ServiceInstance of pyVmomi hands it over: the driver uses its session, and never ends it."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyVmomi import vim
from pyVmomi.SoapAdapter import SoapStubAdapter

import cpi
from cpi.contract.ids import VmCid
from cpi.contract.units import MiB
from fixtures.clouds.vcsim import process
from fixtures.clouds.vcsim.lab import Lab
from tests.drivers.vsphere.conftest import Counted, Helper

_VM = VmCid("vm-x")


def without_login(vcenter: Lab) -> dict[str, Any]:
    """A configuration without host, user and password."""
    config = vcenter.config()
    for key in ("host", "user", "password"):
        del config["cloud"]["properties"]["vcenters"][0][key]
    return config


@pytest.fixture
def session(vcenter: Lab) -> Iterator[Any]:
    """What a director holds."""
    found = service_instance(vcenter)
    found.content.sessionManager.Login(process.USER, process.PASSWORD)
    yield found
    found._GetStub().DropConnections()


def service_instance(vcenter: Lab) -> Any:
    """Not logged in."""
    return vim.ServiceInstance(
        "ServiceInstance", SoapStubAdapter(url=vcenter.proxy.url, path="/sdk", version="vim.version.v8_0_1_0")
    )


def end(vcenter: Lab, session: Any) -> None:
    """The vCenter ends it."""
    vcenter.content.sessionManager.TerminateSession([session.content.sessionManager.currentSession.key])


@pytest.mark.slow
def test_a_vm_with_a_disk_by_the_callers_session(
    vcenter: Lab, session: Any, image_path: Path, tmp_path: Path, counted: Counted, caplog: pytest.LogCaptureFixture
) -> None:
    """No login and no logout of ours; nothing is kept in a file or shown in a log; the session is usable afterwards."""
    cookie = session._GetStub().cookie.partition(";")[0].partition("=")[2].strip('"')

    def life() -> None:
        with cpi.connect(without_login(vcenter), session=session) as cloud:
            helper = Helper(vcenter, cloud, cloud.create_stemcell(str(image_path), {}, {}))
            vm, disk_cid = helper.vm(), cloud.create_disk(MiB(10), {})
            cloud.attach_disk(vm.cid, disk_cid)
            assert list(cloud.get_disks(vm.cid)) == [disk_cid]
            cloud.delete_vm(vm.cid)
            cloud.delete_disk(disk_cid)

    with caplog.at_level(logging.DEBUG):
        calls = counted(life)
    assert (calls["Login"], calls["Logout"], calls["CloneVM_Task"] > 0) == (0, 0, True)
    assert list((tmp_path / "multicpi").glob("vsphere-session-*")) == []
    assert cookie
    assert cookie not in caplog.text
    assert session.content.sessionManager.currentSession.userName == process.USER


def test_an_ended_session_is_reported_until_the_caller_logs_in_again(vcenter: Lab, session: Any, counted: Counted) -> None:
    """The driver has no password to do so; with the caller's new login the same Cloud goes on."""
    with cpi.connect(without_login(vcenter), session=session) as cloud:
        assert cloud.has_vm(_VM) is False
        end(vcenter, session)
        said = "the session of http://.* that was given to cpi.connect has ended; log in again"
        for _ in range(2):
            with pytest.raises(cpi.CpiError, match=said):
                cloud.has_vm(_VM)
        session.content.sessionManager.Login(process.USER, process.PASSWORD)
        assert counted(lambda: cloud.has_vm(_VM))["Login"] == 0


def test_a_session_that_is_not_logged_in_is_reported(vcenter: Lab) -> None:
    """Before any VM is asked for."""
    with (
        cpi.connect(without_login(vcenter), session=service_instance(vcenter)) as cloud,
        pytest.raises(cpi.CpiError, match="is not logged in"),
    ):
        cloud.has_vm(_VM)


def test_a_password_of_the_configuration_does_not_log_in_again(vcenter: Lab, session: Any, counted: Counted) -> None:
    """Two logins at once would hide that the session has ended: user and password serve for tags only."""
    with cpi.connect(vcenter.config(), session=session) as cloud:
        assert counted(lambda: cloud.has_vm(_VM))["Login"] == 0
        end(vcenter, session)
        with pytest.raises(cpi.CpiError, match="has ended"):
            cloud.has_vm(_VM)
