"""What `cpi doctor` says of a real OpenStack."""

import json
from typing import Any

import pytest

from cpi.connecting import connect
from cpi.contract.cloud import Cloud
from cpi.contract.operator import Finding
from fixtures.clouds.openstack import accounts
from fixtures.clouds.openstack.lab import Lab
from fixtures.proxy import Answer, Effect, Request, Rule, effects
from tests.drivers.doctor_findings import findings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def verdicts(found: list[Finding]) -> set[str]:
    """Those of one subject."""
    return {finding.verdict for finding in found}


def test_a_cloud_in_order_is_told_as_such(project: Lab, cloud: Cloud) -> None:
    """With what a manifest needs: net_id, flavours, zones, types; and what cannot be used."""
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


@pytest.mark.parametrize(
    ("kinds", "missing"), [({"compute", "network", "image"}, "block-storage"), (set(), "compute, image, network")]
)
def test_a_service_that_the_region_lacks_ends_the_examination(project: Lab, folder: str, kinds: set[str], missing: str) -> None:
    """Whatever other regions have: the services of this one are those that the driver calls."""
    region = f"{project.region}-poor"
    poor = accounts.region(project.plane.auth_url, region, dict.fromkeys(kinds, "http://127.0.0.1:9"))
    with poor, connect(project.config(cache_folder=folder, region=region)) as cloud:
        found = findings(cloud)
    assert {subject: verdicts(told) for subject, told in found.items()} == {"login": {"good"}, "catalogue": {"fault"}}
    assert f"no {missing}" in found["catalogue"][0].detail
    assert region in found["catalogue"][0].detail


def _limits(**absolute: int) -> Effect:
    """As the service answers, with these figures."""

    def change(_: Request, answer: Answer) -> Answer:
        document: dict[str, Any] = json.loads(answer.body)
        assert set(absolute) <= set(document["limits"]["absolute"])
        document["limits"]["absolute"].update(absolute)
        return Answer(answer.status, json.dumps(document).encode(), answer.headers)

    return effects.rewritten(change)


def test_a_quota_that_is_nearly_or_quite_used_up_is_told(project: Lab, cloud: Cloud) -> None:
    """A warning from nine tenths on, a fault when nothing more fits; none has no end."""
    nova = _limits(
        totalInstancesUsed=89, maxTotalInstances=100, totalCoresUsed=90, maxTotalCores=100, totalRAMUsed=7, maxTotalRAMSize=-1
    )
    cinder = _limits(totalVolumesUsed=10, maxTotalVolumes=10, totalGigabytesUsed=0, maxTotalVolumeGigabytes=0)
    with project.rule("nova", Rule("GET /v2.1/limits", nova)), project.rule("cinder", Rule("GET /v3/*limits", cinder)):
        found = {subject.removeprefix("quota of "): told for subject, told in findings(cloud).items() if "quota" in subject}
    told = {what: (finding.verdict, finding.detail) for what, (finding,) in found.items() if what != "ports"}
    assert told == {
        "instances": ("good", "89 of 100 used"),
        "cores": ("warning", "90 of 100 used: have it raised"),
        "memory (MiB)": ("good", "7 used, unlimited"),
        "volumes": ("fault", "10 of 10 used: have it raised"),
        "volumes (GiB)": ("fault", "0 of 0 used: have it raised"),
    }


def test_nothing_is_made_by_looking(project: Lab, cloud: Cloud) -> None:
    """Every call is a question."""
    list(findings(cloud))
    methods = {call.request.method for service, proxy in project.proxies.items() if service != "keystone" for call in proxy.calls}
    assert methods == {"GET"}
