"""A session that the caller brings: which driver takes which, and what it replaces, before any cloud is asked."""

from typing import Any

import boto3
import botocore.config
import botocore.session
import google.auth.credentials
import pytest
from google.oauth2 import service_account
from libcloud.compute.providers import get_driver
from libcloud.compute.types import Provider
from pyVmomi import vim
from pyVmomi.SoapAdapter import SoapStubAdapter

import cpi
from cpi.connecting import block_of
from cpi.contract.cloud import Cloud
from cpi_drivers.aws.api import session as aws_session
from cpi_drivers.aws.settings import read as aws_settings
from fixtures.clouds.google.lab import service_account_key

TAKES = {
    "aws": "boto3.session.Session",
    "cloudstack": "libcloud.compute.drivers.cloudstack.CloudStackNodeDriver",
    "google": "google.auth.credentials.Credentials",
    "local": "",
    "openstack": "openstack.connection.Connection",
    "vcloud": "",
    "vsphere": "pyVmomi.VmomiSupport.vim.ServiceInstance",
}


def document(driver: str, block: Any) -> dict[str, Any]:
    """A config document."""
    return {"cloud": {"plugin": driver, "properties": {block_of(cpi.drivers()[driver]).key: block}}}


@pytest.mark.parametrize(("driver", "wanted"), TAKES.items())
def test_a_session_of_another_kind_is_refused_before_the_configuration_is_read(driver: str, wanted: str) -> None:
    """With the type that the driver takes, or that it takes none."""
    assert cpi.drivers()[driver].session_type == wanted
    said = f"takes a {wanted}, got a str" if wanted else "takes no session; it logs in with the configuration"
    with pytest.raises(cpi.CpiError, match=f"^session: the driver {driver} {said}$"):
        cpi.connect(document(driver, {"colour": "red"}), session="a secret that is no session")


def test_the_type_that_a_driver_names_is_the_one_of_the_sdk() -> None:
    """The names are compared, so that no SDK is imported: a renamed class must be noticed here."""
    import openstack.connection

    kinds = (boto3.Session, openstack.connection.Connection, google.auth.credentials.Credentials, vim.ServiceInstance)
    named = {f"{kind.__module__}.{kind.__qualname__}" for kind in (*kinds, get_driver(Provider.CLOUDSTACK))}
    assert named == set(TAKES.values()) - {""}


def test_a_driver_of_an_executable_takes_none() -> None:
    """It could not be handed to another process."""
    assert cpi.ExternalCloud.session_type == Cloud.session_type == ""


class TestAws:
    """What a boto3.Session brings besides its credentials."""

    @staticmethod
    def settings(session: boto3.Session, **block: Any) -> Any:
        from cpi.config import cloud_config

        read = cloud_config(document("aws", block), "aws")
        import msgspec

        return aws_settings(aws_session.configured(msgspec.structs.replace(read, session=session)))

    def test_its_region_and_its_proxies_serve_where_the_configuration_names_none(self) -> None:
        """What the configuration says comes first."""
        own = botocore.session.Session()
        own.set_default_client_config(botocore.config.Config(proxies={"https": "http://proxy.example:3128"}))
        session = boto3.Session("AKIAEXAMPLE", "a-secret-of-the-session", region_name="eu-central-1", botocore_session=own)
        found = self.settings(session)
        assert (found.region, found.env.https_proxy) == ("eu-central-1", "http://proxy.example:3128")
        found = self.settings(session, region="us-east-2", env={"https_proxy": "http://other.example"})
        assert (found.region, found.env.https_proxy) == ("us-east-2", "http://other.example")

    def test_keys_of_the_configuration_are_left_alone(self) -> None:
        """The session's take their place."""
        session = boto3.Session("AKIAEXAMPLE", "a-secret-of-the-session", region_name="eu-central-1")
        found = self.settings(session, credentials_source="static", access_key_id="AKIAOTHER", secret_access_key="other")  # noqa: S106 - an example
        assert (found.access_key_id, found.secret_access_key) == (None, None)

    def test_its_profile_is_ours(self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """What the SDK reads from there (its CA bundle, say) holds for our calls too."""
        (tmp_path / "config").write_text("[profile other]\nregion = eu-north-1\nca_bundle = /etc/other.pem\n", encoding="utf-8")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
        session = boto3.Session("AKIAEXAMPLE", "a-secret-of-the-session", profile_name="other")
        assert aws_session.session_like(session).get_config_variable("ca_bundle") == "/etc/other.pem"
        assert self.settings(session).region == "eu-north-1"

    def test_no_repr_and_no_message_shows_its_secrets(self) -> None:
        """Once they were used, and before that in the repr."""
        session = boto3.Session("AKIAEXAMPLE", "a-secret-of-the-session", "a-token-of-the-session", region_name="eu-central-1")
        ours = aws_session.session_like(session).get_credentials()
        ours.get_frozen_credentials()
        assert "a-secret" not in repr(ours)
        message = cpi.CloudError("a-secret-of-the-session and a-token-of-the-session").message
        assert message == "<redacted> and <redacted>"


def test_google_credentials_bring_the_project() -> None:
    """Those of a service account name it."""
    key = service_account_key("https://127.0.0.1:9")
    session = service_account.Credentials.from_service_account_info(key)  # type: ignore[no-untyped-call]  # the SDK has no types
    assert session.project_id
    with cpi.connect(document("google", {"json_key": "no JSON: it is not read"}), session=session):
        pass
    with pytest.raises(cpi.CpiError, match="project"), cpi.connect(document("google", {})):
        pass


def test_a_service_instance_belongs_to_one_vcenter() -> None:
    """So a configuration of two is refused."""
    session = vim.ServiceInstance("ServiceInstance", SoapStubAdapter(host="vcenter.example"))
    block = {"user": "u", "password": "p", "datacenters": []}
    with pytest.raises(cpi.CpiError, match="session: a ServiceInstance belongs to one vCenter; the configuration has 2"):
        cpi.connect(document("vsphere", [block, block]), session=session)
