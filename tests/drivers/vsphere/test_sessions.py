"""Logging in: once, kept in a file that only its owner can read, again when the vCenter has forgotten it, over verified TLS."""

import stat
from pathlib import Path
from typing import Any

import pytest

import cpi
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import VmCid
from cpi.contract.units import MiB
from fixtures.certificates import Authority
from fixtures.clouds.vcsim import process
from fixtures.clouds.vcsim.answers import fault
from fixtures.clouds.vcsim.lab import Lab
from fixtures.clouds.vcsim.process import vcsim
from fixtures.proxy import Rule, effects
from tests.drivers.vsphere.conftest import Counted, Helper

_VM = VmCid("vm-x")


def test_the_file_of_the_session_is_its_owners_alone(cloud: Cloud, tmp_path: Path) -> None:
    """And holds no password."""
    cloud.has_vm(_VM)
    kept = list((tmp_path / "multicpi").glob("vsphere-session-*"))
    assert [stat.S_IMODE(path.stat().st_mode) for path in kept] == [0o600]
    assert process.PASSWORD not in kept[0].read_text(encoding="utf-8")


def test_a_file_that_others_can_read_is_not_used(vcenter: Lab, cloud: Cloud, tmp_path: Path, counted: Counted) -> None:
    """Somebody may have put it there."""
    cloud.has_vm(_VM)
    for path in (tmp_path / "multicpi").glob("vsphere-session-*"):
        path.chmod(0o644)
    with cpi.connect(vcenter.config()) as another:
        assert counted(lambda: another.has_vm(_VM))["Login"] == 1


@pytest.mark.slow
def test_an_ended_session_is_renewed_in_the_middle(vcenter: Lab, helper: Helper, counted: Counted) -> None:
    """The vCenter ends it between two calls of create_vm: the call is not lost."""
    rule = Rule("CloneVM_Task", effects.answer(500, fault("NotAuthenticated").body), times=1)
    vcenter.proxy.inject(rule)
    assert helper.cloud.has_vm(helper.vm().cid)
    assert rule.met == 1


def test_a_session_that_was_terminated_is_replaced_in_the_file(vcenter: Lab, cloud: Cloud, counted: Counted) -> None:
    """By the first process that notices; the next one uses the new one."""
    cloud.has_vm(_VM)
    manager = vcenter.content.sessionManager
    own = manager.currentSession.key
    manager.TerminateSession([session.key for session in manager.sessionList if session.key != own])
    with cpi.connect(vcenter.config()) as another:
        assert counted(lambda: another.create_disk(MiB(10), {}))["Login"] == 1
    with cpi.connect(vcenter.config()) as third:
        assert "Login" not in counted(lambda: third.has_vm(_VM))


def test_a_wrong_password_is_told_without_it(vcenter: Lab) -> None:
    """And nothing is kept."""
    config = vcenter.config(password="not-the-password")  # noqa: S106 - wrong on purpose
    with cpi.connect(config) as cloud, pytest.raises(errors.CloudError) as caught:
        cloud.has_vm(_VM)
    assert process.USER in caught.value.message
    assert "not-the-password" not in caught.value.message


@pytest.mark.slow
def test_a_certificate_that_nobody_has_signed_is_refused(tmp_path: Path) -> None:
    """Unless the operator says in writing that any is taken."""
    with vcsim("-tls") as url:
        told = rf"{url}.* its certificate is not trusted: .*connection_options.ca_cert must hold .* or the word `insecure`"
        with cpi.connect(_secure(url, tmp_path)) as cloud, pytest.raises(errors.CloudError, match=told):
            cloud.has_vm(_VM)
        for any_taken in ({"ssl_verify_peer": False}, {"ca_cert": "insecure"}):
            with cpi.connect(_secure(url, tmp_path, **any_taken)) as cloud:
                assert cloud.has_vm(_VM) is False


@pytest.mark.slow
def test_a_certificate_of_an_authority_that_the_operator_trusts_is_taken(tmp_path: Path) -> None:
    """By ca_cert, for SOAP and for files; that of another authority is not."""
    authority, pair = Authority(), tmp_path / "pair.pem"
    signed = authority.signed("vcenter", addresses=("127.0.0.1",))
    pair.write_text(signed.certificate + signed.private_key, encoding="utf-8")
    with vcsim("-tls", "-certificate", str(pair)) as url:
        with cpi.connect(_secure(url, tmp_path, ca_cert=authority.certificate)) as cloud:
            disk_cid = cloud.create_disk(MiB(10), {})
            assert cloud.has_disk(disk_cid)
        other = _secure(url, tmp_path, ca_cert=Authority().certificate)
        with cpi.connect(other) as cloud, pytest.raises(errors.CloudError, match="certificate"):
            cloud.has_disk(disk_cid)


def _secure(url: str, cache: Path, **options: Any) -> dict[str, Any]:
    place = {"name": "DC0", "clusters": ["DC0_C0"], "datastore_pattern": ".", "persistent_datastore_pattern": "."}
    block = {"host": url, "user": process.USER, "password": process.PASSWORD, "datacenters": [place]}
    own = {"cache_folder": str(cache), "connection_options": options}
    return {"cloud": {"plugin": "vsphere", "properties": {"vcenters": [{**block, **own}]}}}
