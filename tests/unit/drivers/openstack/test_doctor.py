"""What `cpi doctor` says of a real OpenStack."""

import pytest

from cpi.connecting import connect
from cpi.contract.cloud import Cloud
from cpi.contract.operator import Finding
from fixtures.clouds.openstack.lab import Lab
from tests.unit.drivers.examining import findings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def verdicts(found: list[Finding]) -> set[str]:
    """Those of one subject."""
    return {finding.verdict for finding in found}


def test_a_cloud_in_order_is_told_as_such(project: Lab, cloud: Cloud) -> None:
    """With what a manifest needs: net_id, flavours, zones, types; and what can not be used."""
    found = findings(cloud)
    assert [subject for subject, told in found.items() if "fault" in verdicts(told)] == []
    assert project.net_id in found["networks"][0].detail
    assert "m1.small" in found["flavours"][0].detail
    assert "m1.cramped" in found["flavours"][1].detail
    assert "fast" in found["volume types"][0].detail
    assert {
        "login",
        "catalogue",
        "security groups",
        "key pair",
        "availability zones",
        "quota of instances",
        "quota of ports",
    } <= set(found)


def test_every_fault_of_the_configuration_is_found(project: Lab, folder: str) -> None:
    """Names that nothing in the cloud has."""
    wrong = {"default_security_groups": ["nosuch"], "default_key_name": "nosuch", "default_volume_type": "nosuch"}
    with connect(project.config(**wrong, cache_folder=folder)) as cloud:  # type: ignore[arg-type]  # none of them is `direct`
        found = findings(cloud)
    assert [verdicts(found[subject]) for subject in ("security groups", "key pair", "volume types")] == [{"fault"}] * 3


def test_a_login_that_fails_ends_the_examination(project: Lab, folder: str) -> None:
    """There is nothing behind it to look at, and the password is not shown."""
    with connect(project.config(cache_folder=folder, api_key="a-wrong-password")) as cloud:
        found = findings(cloud)
    assert {subject: verdicts(told) for subject, told in found.items()} == {"login": {"fault"}}
    assert "a-wrong-password" not in found["login"][0].detail


def test_nothing_is_made_by_looking(project: Lab, cloud: Cloud) -> None:
    """Every call is a question."""
    list(findings(cloud))
    methods = {call.request.method for service, proxy in project.proxies.items() if service != "keystone" for call in proxy.calls}
    assert methods == {"GET"}
