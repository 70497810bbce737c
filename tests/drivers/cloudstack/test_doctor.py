"""What `cpi doctor` says of a CloudStack."""

import pytest

import cpi
from fixtures.clouds.cloudstack.lab import Lab
from tests.drivers.cloudstack.conftest import Connect
from tests.drivers.doctor_findings import findings

pytestmark = pytest.mark.slow


def test_a_cloud_in_order_is_told_as_such(cloudstack: Lab, connect: Connect) -> None:
    """With what a manifest needs, and by questions alone."""
    found = findings(connect(project="bosh-project", default_key_name=None))
    assert [subject for subject, told in found.items() if any(one.verdict != "good" for one in told)] == []
    assert "project-net" in found["networks"][0].detail
    assert "medium" in found["compute offerings"][0].detail
    assert all(command.startswith("list") for command in cloudstack.calls())
    assert "limit of vm" in findings(connect())


def test_every_fault_of_the_configuration_is_found(connect: Connect) -> None:
    """Names that nothing in the cloud has."""
    wrong = {
        "default_zone": "nowhere",
        "default_key_name": "nosuch",
        "default_security_groups": ["nosuch"],
        "default_offer": {"disk": "nosuch", "custom_disk": "fixed-5"},
        "stemcell": {"os_type": "Plan 9"},
    }
    found = findings(connect(**wrong))
    faulty = {subject for subject, told in found.items() if any(one.verdict == "fault" for one in told)}
    assert faulty == {"zone", "networks", "disk offerings", "key pair", "security groups", "guest OS type"}
    assert [one.verdict for one in found["disk offerings"]] == ["fault", "warning"]


def test_limits_that_are_nearly_reached_are_told(cloudstack: Lab, connect: Connect) -> None:
    """Before a deployment meets them."""
    cloudstack.api.updateResourceLimit(resourcetype=0, max=0)
    try:
        assert findings(connect())["limit of vm"][0].verdict == "fault"
    finally:
        cloudstack.api.updateResourceLimit(resourcetype=0, max=5000)


def test_a_login_that_fails_ends_the_examination(cloudstack: Lab, tmp_path: str) -> None:
    """There is nothing behind it to look at, and the key is not shown."""
    with cpi.connect(cloudstack.config(cache_folder=str(tmp_path), secret_access_key="a-wrong-key")) as cloud:  # noqa: S106 - a test's
        found = findings(cloud)
    assert {subject: [one.verdict for one in told] for subject, told in found.items()} == {"login": ["fault"]}
    assert "a-wrong-key" not in found["login"][0].detail
