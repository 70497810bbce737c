"""What `cpi doctor` says of a project."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import cpi
from cpi.contract.cloud import Cloud
from cpi.contract.operator import Examines, ExaminesStemcells, Finding
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


def _of_stemcell(cloud: Cloud, **properties: str) -> Finding:
    assert isinstance(cloud, ExaminesStemcells)
    (finding,) = cloud.examine_stemcell(properties)
    return finding


def test_the_image_that_a_light_stemcell_names_can_be_read(google: Lab, cloud: Cloud) -> None:
    """By name or by family, in whatever project."""
    url = google.make_image("their-image", project="another-project", family="ubuntu")
    found = _of_stemcell(cloud, image_url=url)
    assert (found.verdict, found.detail) == ("good", "projects/another-project/global/images/their-image can be read")
    of_family = _of_stemcell(cloud, image_url=url.replace("images/their-image", "images/family/ubuntu"))
    assert "their-image can be read" in of_family.detail


def test_an_image_that_is_given_up_is_told_with_its_successor(google: Lab, cloud: Cloud) -> None:
    """Google takes it for some time yet."""
    url = google.make_image("old")
    deprecated = {"state": "DEPRECATED", "replacement": url.replace("/old", "/new")}
    google.control("change", path="projects/a-project/global/images/old", item={"deprecated": deprecated})
    found = _of_stemcell(cloud, image_url=url)
    assert (found.verdict, found.detail.endswith("projects/a-project/global/images/new instead")) == ("warning", True)
    google.control("change", path="projects/a-project/global/images/old", item={"status": "FAILED"})
    assert _of_stemcell(cloud, image_url=url).verdict == "fault"


def test_an_image_that_may_not_be_read_is_told_with_the_role_that_is_missing(google: Lab, cloud: Cloud) -> None:
    """The project is another's."""
    url = google.make_image("their-image", project="another-project")
    google.set(denied=["compute.images.get"])
    found = _of_stemcell(cloud, image_url=url)
    assert (found.verdict, "roles/compute.imageUser" in found.detail) == ("fault", True)


def test_the_packed_disk_of_a_source_url_can_be_read(google: Lab, cloud: Cloud) -> None:
    """Its bucket and its size are told; one that is not there is a fault."""
    google.control("put", path="their-bucket/folder/disk.tar.gz", size=5 * 1024**2)
    url = "https://storage.googleapis.com/their-bucket/folder/disk.tar.gz"
    found = _of_stemcell(cloud, source_url=url)
    assert (found.verdict, found.detail) == ("good", "folder/disk.tar.gz can be read in the bucket their-bucket: 5 MiB")
    missing = _of_stemcell(cloud, source_url=url.replace("disk", "other"))
    assert (missing.verdict, "No such object" in missing.detail) == ("fault", True)
    google.set(denied=["storage.objects.get"])
    assert "storage.objectViewer" in _of_stemcell(cloud, source_url=url).detail


@pytest.mark.parametrize(
    ("properties", "fault"),
    [({"image_url": "an-image"}, "no URL of an image"), ({"source_url": "ftp://elsewhere/x"}, "no URL of an object")],
)
def test_a_url_that_is_none_is_told(cloud: Cloud, properties: dict[str, str], fault: str) -> None:
    """As create_stemcell would."""
    found = _of_stemcell(cloud, **properties)
    assert (found.verdict, fault in found.detail) == ("fault", True)


def test_a_heavy_stemcell_names_nothing_to_look_at(google: Lab, cloud: Cloud) -> None:
    """No call is made."""
    assert _of_stemcell(cloud, name="bosh").verdict == "good"
    assert google.proxy.counts() == {}


@pytest.mark.slow
def test_the_command_looks_at_the_stemcell_that_it_is_given(google: Lab, tmp_path: Path) -> None:
    """`cpi doctor --stemcell`: one row more, and exit 1 for a fault."""
    (tmp_path / "cpi.json").write_text(json.dumps(google.config()))
    command = [sys.executable, "-m", "cpi", "doctor", "--config", str(tmp_path / "cpi.json"), "--stemcell"]
    good = subprocess.run([*command, json.dumps({"image_url": google.make_image("an-image")})], capture_output=True, check=False)
    assert (good.returncode, b"an-image" in good.stdout) == (0, True), good.stdout + good.stderr
    missing = {"image_url": "projects/a-project/global/images/never-was"}
    assert subprocess.run([*command, json.dumps(missing)], capture_output=True, check=False).returncode == 1


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


def test_what_cannot_be_listed_is_one_fault_among_findings(google: Lab, cloud: Cloud) -> None:
    """The rest is told all the same."""
    google.set(denied=["compute.zones.list"])
    found = _findings(cloud)
    assert found["zones"].verdict == "fault"
    assert found["networks"].verdict == "good"
