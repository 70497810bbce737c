"""What an operator may have written wrongly: each is told with what to do about it, before anything is made."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cpi.connecting import connect
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import AgentId, StemcellCid, VmCid
from cpi.contract.model import Network
from fixtures.clouds.openstack.lab import Lab
from fixtures.proxy import Answer
from fixtures.web_server import web_server
from tests.drivers.openstack.conftest import MakeVm, manual
from tests.drivers.openstack.test_settings import GOOD

_PEM = "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n"
_SOME = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def port() -> Iterator[int]:
    """Of a server that is no Keystone and speaks no TLS."""
    with web_server(lambda _: Answer(404, b"no page of this name")) as url:
        yield int(url.rpartition(":")[2])


def said(tmp_path: Path, **changes: Any) -> str:
    """To a first call with these settings."""
    block = {**GOOD, "cache_folder": str(tmp_path / "cache"), "retry_config": {"default": {"max_attempts": 1}}, **changes}
    agent = {"mbus": "https://user:password-of-the-agent@0.0.0.0:6868"}
    config = {"cloud": {"plugin": "openstack", "properties": {"openstack": block, "agent": agent}}}
    with pytest.raises(errors.Error) as caught, connect(config) as cloud:
        cloud.has_vm(VmCid(_SOME))
    assert GOOD["api_key"] not in caught.value.message
    return caught.value.message


def test_an_auth_url_where_nobody_answers_is_named(tmp_path: Path) -> None:
    """As against a Keystone that refuses."""
    assert "Keystone cannot be reached at http://127.0.0.1:9/v3 (auth_url)" in said(tmp_path, auth_url="http://127.0.0.1:9")


def test_an_auth_url_of_something_else_is_told_as_that(tmp_path: Path, port: int) -> None:
    """The address is good, the service is not."""
    assert f"no Keystone v3 answers at http://127.0.0.1:{port}/v3" in said(tmp_path, auth_url=f"http://127.0.0.1:{port}")


def test_a_path_of_certificates_that_does_not_exist_is_named(tmp_path: Path) -> None:
    """Before anything is sent."""
    assert "there is no file /nosuch" in said(tmp_path, connection_options={"ca_cert": "/nosuch"})


@pytest.mark.parametrize("as_file", [True, False])
def test_a_ca_cert_that_is_none_is_told_with_the_name_of_the_setting(tmp_path: Path, port: int, *, as_file: bool) -> None:
    """OpenSSL's own words lead nobody to it."""
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    options = {"ca_cert": str(file) if as_file else _PEM}
    assert "connection_options.ca_cert" in said(tmp_path, auth_url=f"https://127.0.0.1:{port}", connection_options=options)


def test_https_to_a_port_without_tls_is_told(tmp_path: Path, port: int) -> None:
    """The other half of the advice."""
    assert "the port must speak TLS" in said(tmp_path, auth_url=f"https://127.0.0.1:{port}")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("census_kept")
@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ({"instance_type": "m1.nosuch"}, "there is no flavour m1.nosuch; known: .*m1.tiny"),
        ({"instance_type": None, "instance_types": ["m1.tiny", "m1.nosuch"]}, "there is no flavour m1.nosuch"),
        ({"availability_zone": "atlantis"}, "m1.tiny in atlantis: .*availability zone"),
        ({"security_groups": ["bosh", "nosuch"]}, "there is no security group nosuch; known: .*bosh"),
        ({"key_name": "nosuch"}, "there is no key pair nosuch for this user"),
    ],
)
def test_cloud_properties_that_name_nothing_are_told_and_nothing_is_left(
    cloud: Cloud, make_vm: MakeVm, properties: dict[str, Any], told: str
) -> None:
    """With what there is, where a list of it is short."""
    with pytest.raises(errors.Error, match=told):
        make_vm(cloud, **properties)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("census_kept")
def test_a_network_that_does_not_exist_is_named(cloud: Cloud, make_vm: MakeVm) -> None:
    """By the name in the deployment and by its net_id."""
    net_id = str(uuid.uuid4())
    with pytest.raises(errors.Error, match=f"networks default: Network {net_id} could not be found"):
        make_vm(cloud, networks={"default": Network(ip="10.16.0.9", cloud_properties={"net_id": net_id})})


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("census_kept")
def test_a_stemcell_that_does_not_exist_is_named(project: Lab, cloud: Cloud) -> None:
    """The port that was made for its VM is removed."""
    wish = {"instance_type": "m1.tiny"}
    with pytest.raises(errors.Error, match=f"no VM from the stemcell {_SOME}"):
        cloud.create_vm(AgentId("agent"), StemcellCid(_SOME), wish, {"default": manual(project)})
