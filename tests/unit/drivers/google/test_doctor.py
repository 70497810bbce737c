"""What `cpi doctor` says of a project."""

import cpi
from cpi.contract.cloud import Cloud
from cpi.contract.operator import Examines, Finding
from fixtures.clouds.google.lab import Lab


def _findings(cloud: Cloud) -> dict[str, Finding]:
    assert isinstance(cloud, Examines)
    return {finding.subject: finding for finding in cloud.examine()}


def test_a_healthy_project_is_good_throughout(google: Lab, cloud: Cloud) -> None:
    """And nothing is made by looking."""
    before = google.census()
    found = _findings(cloud)
    assert {finding.verdict for finding in found.values()} == {"good"}, found
    assert set(found) == {"project", "permissions", "quotas", "zones", "networks", "images", "least role"}
    assert "cpi@a-project.iam.gserviceaccount.com" in found["project"].detail
    assert "compute.instances.create" in found["least role"].detail
    assert google.census() == before


def test_missing_permissions_are_named(google: Lab, cloud: Cloud) -> None:
    """All at once, by testIamPermissions."""
    google.set(denied=["instances.create", "disks.delete"])
    found = _findings(cloud)["permissions"]
    assert found.verdict == "fault"
    assert "compute.disks.delete, compute.instances.create;" in found.detail


def test_a_quota_that_is_nearly_used_up_is_told_before_it_hurts(google: Lab, cloud: Cloud) -> None:
    """With its region and its figures."""
    google.set(quotas={"CPUS": 1})
    google.control("populate", vms=1, zone="us-central1-a")
    found = _findings(cloud)["quotas"]
    assert (found.verdict, "CPUS of us-central1 (1 of 1)" in found.detail) == ("warning", True)


def test_a_project_that_is_not_there_is_the_first_fault_and_the_last(google: Lab) -> None:
    """What needs it is not asked."""
    with cpi.connect(google.config(project="elsewhere")) as cloud:
        found = _findings(cloud)
    assert [finding.verdict for finding in found.values()] == ["fault"]


def test_what_can_not_be_listed_is_one_fault_among_findings(google: Lab, cloud: Cloud) -> None:
    """The rest is told all the same."""
    google.set(denied=["compute.zones.list"])
    found = _findings(cloud)
    assert found["zones"].verdict == "fault"
    assert found["networks"].verdict == "good"
