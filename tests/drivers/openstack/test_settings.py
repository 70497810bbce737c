"""The configuration as the official CPIs take it."""

from typing import Any

import pytest

from cpi.contract import errors
from cpi.contract.model import CloudConfig
from cpi_drivers.openstack.api import connection
from cpi_drivers.openstack.settings import OpenStackSettings, read

GOOD: dict[str, Any] = {
    "auth_url": "https://keystone.example:5000/v3",
    "username": "bosh",
    "api_key": "a-long-secret",
    "project": "bosh",
    "domain": "Default",
}


def settings(**changes: Any) -> OpenStackSettings:
    """Good settings but for the changes; None leaves a key out."""
    block = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    return read(CloudConfig(plugin="openstack", properties=block))


def fault(**changes: Any) -> str:
    """What is said of the changes."""
    with pytest.raises(errors.CpiError) as caught:
        settings(**changes)
    return caught.value.message


@pytest.mark.parametrize(
    ("url", "keystone"),
    [
        ("http://a:5000", "http://a:5000/v3"),
        ("http://a:5000/v3", "http://a:5000/v3"),
        ("http://a/identity/v3/", "http://a/identity/v3"),
        ("http://a:5000/v3/auth/tokens", "http://a:5000/v3"),
    ],
)
def test_keystone_is_version_3_whatever_the_url_says_of_it(url: str, keystone: str) -> None:
    """Older manifests name the path of the tokens."""
    assert settings(auth_url=url).keystone_url == keystone


@pytest.mark.parametrize("url", ["http://a:5000/v2.0", "http://a:5000/v2.0/", "http://a:5000/v2.0/tokens"])
def test_keystone_version_2_is_refused_with_a_clear_word(url: str) -> None:
    """It left OpenStack years ago."""
    assert "Keystone v2 is not supported" in fault(auth_url=url)


def test_every_fault_is_told_at_once() -> None:
    """An operator mends them in one go."""
    said = fault(auth_url="keystone", endpoint_type="secretURL", config_drive="tape", use_nova_networking=True)
    assert all(name in said for name in ("auth_url", "endpoint_type", "config_drive", "use_nova_networking"))


def test_a_user_or_an_application_credential_is_needed_but_not_both() -> None:
    """It would be a guess which is meant."""
    credential = {"application_credential_id": "id", "application_credential_secret": "another-secret"}
    assert "one of the two" in fault(api_key=None)
    assert "one of the two" in fault(**credential)
    assert settings(username=None, api_key=None, project=None, domain=None, **credential).application_credential_id == "id"


@pytest.mark.parametrize("name", ["project", "project_id", "tenant"])
def test_the_project_has_three_names(name: str) -> None:
    """As in both official CPIs."""
    assert getattr(settings(**{"project": None, name: "bosh"}), name) == "bosh"
    assert "project" in fault(project=None)


def test_split_domains_do_without_the_common_one() -> None:
    """The user may live in another domain than the project."""
    assert settings(domain=None, user_domain_name="people", project_domain_name="machines").domain is None
    assert "domain" in fault(domain=None)


def test_automatic_anti_affinity_is_refused_as_in_the_official_cpi() -> None:
    """And the message names what took its place."""
    assert "anti_affinity_per_instance_group" in fault(enable_auto_anti_affinity=True)


def test_keys_that_mean_nothing_here_are_taken() -> None:
    """An official CPI's configuration need not be edited."""
    settings(registry={"endpoint": "http://localhost:25777"})


def test_unknown_keys_are_refused_with_the_nearest_known_one() -> None:
    """A typo is told."""
    assert "did you mean 'default_key_name'?" in fault(default_key_nam="bosh")


def test_secrets_hide_themselves() -> None:
    """Settings can be logged."""
    assert "a-long-secret" not in repr(settings())


def test_retry_config_is_by_operation_with_a_default() -> None:
    """An operation without a rule of its own has the default's."""
    own = settings(retry_config={"default": {"max_attempts": 3}, "create_vm": {"max_attempts": 7, "sleep_duration": 2}})
    assert [own.repeating(name).max_attempts for name in ("create_vm", "has_vm")] == [7, 3]
    assert settings().repeating("has_vm").max_attempts == 10


def test_connection_options_leave_unknown_options_alone() -> None:
    """Operators hand whatever the official CPI's HTTP library knows."""
    options = connection.read({"read_timeout": 7, "omit_default_port": True, "ssl_verify_peer": False})
    assert (options.read_timeout, options.ssl_verify_peer) == (7, False)


def test_ca_cert_is_pem_or_a_path() -> None:
    """Both are in use."""
    assert connection.read({"ca_cert": "-----BEGIN CERTIFICATE-----\n"}).is_pem
    assert not connection.read({"ca_cert": "/etc/ssl/ca.pem"}).is_pem
