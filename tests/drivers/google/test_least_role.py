"""With the role that the official CPI documents, which does not allow labels: everything is made, and the log says so once."""

import json
import logging
from typing import Any

import pytest

import cpi
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.operator import Examines
from fixtures.clouds.google.lab import ZONE, Lab
from fixtures.proxy import Answer, Request, Rule, effects
from tests.drivers.google.conftest import GIB, Helper, balanced, refusal

LACKING = (
    "compute.disks.setLabels",
    "compute.snapshots.setLabels",
    "compute.images.setLabels",
    "compute.zoneOperations.list",
    "compute.snapshots.list",
    "storage.buckets.delete",
)


def _needed(request: Request) -> list[str]:
    """What Google looks for beside the permission of the call itself, of those that may be lacking."""
    path, body = request.path.partition("?")[0], _body(request)
    last = path.rpartition("/")[2]
    roots = [disk.get("initializeParams", {}) for disk in body.get("disks", [])] if last == "instances" else []
    found = {
        "compute.disks.setLabels": (last == "disks" and "labels" in body) or any("labels" in root for root in roots),
        "compute.snapshots.setLabels": last == "createSnapshot" and "labels" in body,
        "compute.images.setLabels": last == "images" and "labels" in body,
        "compute.instances.setLabels": last == "instances" and "labels" in body,
        "compute.zoneOperations.list": request.method == "GET" and last == "operations",
        "compute.snapshots.list": request.method == "GET" and last == "snapshots",
        "storage.buckets.delete": request.method == "DELETE" and "/storage/v1/b/" in path and "/o/" not in path,
        "compute.targetPools.removeInstance": last == "removeInstance",
    }
    if last == "setLabels":
        found[f"compute.{path.split('/')[-3]}.setLabels"] = True
    return [permission for permission, is_needed in found.items() if is_needed]


def _body(request: Request) -> dict[str, Any]:
    try:
        found = json.loads(request.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def lacking(*permissions: str) -> Rule:
    """Refuses what needs one of the permissions, in Google's words."""

    def refused(request: Request) -> Answer | None:
        for permission in _needed(request):
            if permission in permissions:
                return refusal("forbidden", 403, f"Required '{permission}' permission for '{request.path}'")
        return None

    return Rule("*", effects.decided(refused))


@pytest.fixture
def least(google: Lab) -> Rule:
    """The documented role."""
    rule = lacking(*LACKING)
    google.proxy.inject(rule)
    return rule


def _told(caplog: pytest.LogCaptureFixture, kind: str) -> list[str]:
    return [message for message in caplog.messages if message.startswith(f"{kind} get no labels")]


def test_a_vm_is_made_and_its_root_disk_has_no_labels(
    google: Lab, helper: Helper, least: Rule, caplog: pytest.LogCaptureFixture
) -> None:
    """The VM has its own; the missing permission is named once, however often it is met, and not asked for again."""
    with caplog.at_level(logging.WARNING):
        first, second = helper.vm(labels={"team": "blue"}), helper.vm()
    assert google.labels(first.cid)["team"] == "blue"
    assert [google.all("disks", str(vm.cid)) and google.see("disks", str(vm.cid))["labels"] for vm in (first, second)] == [{}, {}]
    [message] = _told(caplog, "disks")
    assert "compute.disks.setLabels" in message
    assert google.proxy.counts()["POST instances"] == 3


def test_a_repeat_with_the_token_finds_what_was_made(google: Lab, helper: Helper, cloud: Cloud, least: Rule) -> None:
    """In another process, which does not know yet what is lacking."""
    vm = helper.vm(token="a")  # noqa: S106 - not secret
    disk_cid = cloud.create_disk(GIB, {"zone": ZONE}, None, "b")
    with cpi.connect(google.config()) as other:
        helper.cloud = other
        assert helper.vm(token="a").cid == vm.cid  # noqa: S106 - as above
        assert other.create_disk(GIB, {"zone": ZONE}, None, "b") == disk_cid
    assert (len(google.all("instances")), len(google.all("disks"))) == (1, 2)


def test_disks_and_snapshots_are_made_without_labels(
    google: Lab, cloud: Cloud, least: Rule, caplog: pytest.LogCaptureFixture
) -> None:
    """And metadata of a disk are left out."""
    with caplog.at_level(logging.WARNING):
        disk_cid = cloud.create_disk(GIB, {"zone": ZONE})
        cloud.set_disk_metadata(disk_cid, {"job": "db"})
        snapshot_cid = cloud.snapshot_disk(disk_cid, {"deployment": "cf"})
    assert google.labels(disk_cid) == google.labels(snapshot_cid) == {}
    assert (len(_told(caplog, "disks")), len(_told(caplog, "snapshots"))) == (1, 1)
    cloud.delete_snapshot(snapshot_cid)
    cloud.delete_disk(disk_cid)
    assert not google.all("disks")


def test_metadata_of_a_disk_that_was_there_are_left_out(
    google: Lab, cloud: Cloud, helper: Helper, caplog: pytest.LogCaptureFixture
) -> None:
    """It keeps the labels that it has."""
    disk_cid = helper.disk(labels={"team": "blue"})
    before = google.labels(disk_cid)
    google.proxy.inject(lacking(*LACKING))
    with caplog.at_level(logging.WARNING):
        cloud.set_disk_metadata(disk_cid, {"job": "db"})
        cloud.set_disk_metadata(disk_cid, {"job": "db"})
    assert google.labels(disk_cid) == before
    assert len(_told(caplog, "disks")) == 1


def test_a_heavy_stemcell_is_made_without_labels(
    google: Lab, cloud: Cloud, image: str, least: Rule, caplog: pytest.LogCaptureFixture
) -> None:
    """The bucket that it passed through stays, empty, and the log names it."""
    with caplog.at_level(logging.WARNING):
        stemcell = cloud.create_stemcell(image, {"name": "a"}, {})
    assert google.labels(stemcell) == {}
    assert google.see("images", stemcell)["status"] == "READY"
    assert len(_told(caplog, "images")) == 1
    assert any("could not remove bucket multicpi-" in message for message in caplog.messages)


def test_a_vm_may_have_no_labels_either(google: Lab, helper: Helper, cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    """It is known by its name: a repeat finds it, and a VM that fails is removed."""
    google.proxy.inject(lacking(*LACKING, "compute.instances.setLabels"))
    with caplog.at_level(logging.WARNING):
        vm = helper.vm(token="a")  # noqa: S106 - not secret
        assert helper.vm(token="a").cid == vm.cid  # noqa: S106 - as above
        cloud.set_vm_metadata(vm.cid, {"job": "db"})
    assert google.labels(vm.cid) == {}
    assert len(_told(caplog, "instances")) == 1
    before = google.census()
    with pytest.raises(errors.CloudError):
        helper.vm(target_pool="none")
    assert google.census() == before


def test_a_disk_is_not_replaced_by_what_no_repeat_would_find(google: Lab, cloud: Cloud, helper: Helper) -> None:
    """The director is told to copy, and nothing is left."""
    disk_cid = helper.disk()
    before = google.census()
    for permission in ("compute.snapshots.list", "compute.snapshots.setLabels", "compute.disks.setLabels"):
        rule = lacking(permission)
        google.proxy.inject(rule)
        with cpi.connect(google.config()) as fresh, pytest.raises(errors.NotSupported, match=permission):
            fresh.update_disk(disk_cid, GIB, {"type": "pd-ssd"})
        google.proxy.withdraw(rule)
        assert google.census() == before


def test_a_vm_that_stops_is_there_though_operations_may_not_be_listed(
    google: Lab, helper: Helper, cloud: Cloud, least: Rule
) -> None:
    """It is not taken for one that is being deleted."""
    vm = helper.vm()
    path = next(iter(google.all("instances", str(vm.cid))))
    google.control("change", path=path, item={"status": "STOPPING"})
    assert cloud.has_vm(vm.cid)


def test_a_role_that_may_not_leave_a_target_pool_keeps_no_vm_alive(
    google: Lab, helper: Helper, cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    """It is deleted, and the refusal is logged."""
    vm = helper.vm(target_pool=balanced(google)["target_pool"])
    google.proxy.inject(lacking("compute.targetPools.removeInstance"))
    with caplog.at_level(logging.WARNING):
        cloud.delete_vm(vm.cid)
    assert not cloud.has_vm(vm.cid)
    assert any("without leaving its load balancers first" in message for message in caplog.messages)


def test_another_refusal_is_none_of_labels(google: Lab, cloud: Cloud) -> None:
    """What may not be made is not made."""
    google.set(denied=["compute.disks.insert"])
    with pytest.raises(errors.CloudError, match="forbidden"):
        cloud.create_disk(GIB, {"zone": ZONE})
    assert google.proxy.counts()["POST disks"] == 1


def test_doctor_tells_what_each_of_them_buys(google: Lab, cloud: Cloud) -> None:
    """A warning: the driver does without."""
    google.set(denied=[permission.removeprefix("compute.") for permission in LACKING[:5]])
    assert isinstance(cloud, Examines)
    found = {finding.subject: finding for finding in cloud.examine()}["permissions"]
    assert found.verdict == "warning"
    for said in ("compute.disks.setLabels (labels of disks)", "compute.snapshots.list (update_disk to another type)"):
        assert said in found.detail


# ---------------------------------------------------------------------- the root disk


@pytest.mark.parametrize(
    ("settings", "properties", "size"),
    [
        ({}, {}, "10"),
        ({"default_root_disk_size_gb": 0}, {"root_disk_size_gb": None}, "10"),
        ({"default_root_disk_size_gb": 15}, {}, "15"),
        ({"default_root_disk_size_gb": 15}, {"root_disk_size_gb": 5}, "5"),
    ],
)
def test_a_root_disk_has_10_gb_if_nothing_is_said(
    google: Lab, helper: Helper, settings: dict[str, Any], properties: dict[str, Any], size: str
) -> None:
    """Room for the agent's data, as with the official CPI."""
    with cpi.connect(google.config(**settings)) as cloud:
        helper.cloud = cloud
        assert google.see("disks", str(helper.vm(**properties).cid))["sizeGb"] == size


def test_a_root_disk_is_as_large_as_a_larger_image(google: Lab, helper: Helper) -> None:
    """Google knows its size; a size that was asked for and is too small is refused as ever."""
    path = next(iter(google.all("images", str(helper.stemcell))))
    google.control("change", path=path, item={"diskSizeGb": "12"})
    assert google.see("disks", str(helper.vm().cid))["sizeGb"] == "12"
    with pytest.raises(errors.VMCreationFailed, match="cannot be smaller than the image size"):
        helper.vm(root_disk_size_gb=11)
