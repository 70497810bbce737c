"""What the director says of VMs, disks and snapshots, as tags: cut to AWS's limits, and never a reason to fail."""

import pytest

from cpi.contract.cloud import Cloud
from cpi.contract.units import MiB
from fixtures.clouds.aws.answers import refusal
from fixtures.clouds.aws.lab import ZONES, Lab
from fixtures.proxy import Rule, effects
from tests.drivers.aws.conftest import Helper


def test_a_vms_metadata_are_on_its_disks_and_interfaces_too(aws: Lab, helper: Helper, cloud: Cloud) -> None:
    """Those that go with it; a persistent disk has its own."""
    vm, disk_cid = helper.vm(), cloud.create_disk(MiB(1024), {"availability_zone": ZONES[0]})
    cloud.attach_disk(vm.cid, disk_cid)
    cloud.set_vm_metadata(vm.cid, {"job": "db", "index": "0", "aws:own": "x"})
    item = aws.instance(vm.cid)
    volumes = {mapping["Ebs"]["VolumeId"] for mapping in item["BlockDeviceMappings"]} - {disk_cid}
    for cid in (vm.cid, *volumes, item["NetworkInterfaces"][0]["NetworkInterfaceId"]):
        tags = aws.tags(cid)
        assert (tags["Name"], tags["job"], tags["x-aws:own"]) == ("db/0", "db", "x")
    assert "job" not in aws.tags(disk_cid)


@pytest.mark.parametrize(
    ("metadata", "name"),
    [
        ({"name": "db/abc"}, "db/abc"),
        ({"compiling": "ruby"}, "compiling/ruby"),
        ({"job": "db", "index": 3}, "db/3"),
        ({"job": "db", "id": "abc"}, "db/abc"),
    ],
)
def test_a_vm_is_named_by_its_metadata(aws: Lab, helper: Helper, cloud: Cloud, metadata: dict[str, object], name: str) -> None:
    """As people look for it in the console."""
    vm = helper.vm()
    cloud.set_vm_metadata(vm.cid, metadata)
    assert aws.tags(vm.cid)["Name"] == name


def test_what_is_too_long_is_cut_and_what_is_too_many_is_left_out(aws: Lab, cloud: Cloud) -> None:
    """127 and 255 characters, 50 tags; what the director says comes before the rest."""
    disk_cid = cloud.create_disk(MiB(1024), {})
    many = {f"k{index}": "v" for index in range(60)}
    cloud.set_disk_metadata(disk_cid, {"k" * 200: "v" * 300, **many, "deployment": "d"})
    tags = aws.tags(disk_cid)
    assert tags["k" * 127] == "v" * 255
    assert tags["deployment"] == "d"
    assert len(tags) <= 50


def test_a_tag_that_aws_refuses_is_no_failure(aws: Lab, cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged."""
    disk_cid = cloud.create_disk(MiB(1024), {})
    aws.proxy.inject(Rule("CreateTags", effects.decided(lambda _: refusal("TagLimitExceeded", "too many"))))
    cloud.set_disk_metadata(disk_cid, {"deployment": "d"})
    assert "TagLimitExceeded" in caplog.text


def test_a_snapshot_is_described_by_its_disk(aws: Lab, helper: Helper, cloud: Cloud) -> None:
    """deployment/job/index/device, and tags."""
    vm, disk_cid = helper.vm(), cloud.create_disk(MiB(1024), {"availability_zone": ZONES[0]})
    cloud.attach_disk(vm.cid, disk_cid)
    snapshot_cid = cloud.snapshot_disk(disk_cid, {"deployment": "d", "job": "db", "index": 0, "agent_id": "a"})
    (item,) = aws.snapshots()
    assert (item["SnapshotId"], item["Description"]) == (snapshot_cid, "d/db/0/sdf")
    tags = aws.tags(snapshot_cid)
    assert (tags["Name"], tags["agent_id"]) == ("db/0", "a")
