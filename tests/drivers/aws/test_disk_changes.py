"""resize_disk and update_disk: what EBS cannot do is NotSupported before the disk is touched; copies are never stale or lost."""

from collections.abc import Callable

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid
from cpi.contract.model import VmResources
from cpi.contract.units import MiB
from cpi_drivers.aws.disks import lifecycle
from fixtures.clouds.aws.answers import refusal
from fixtures.clouds.aws.lab import ZONES, Lab
from fixtures.proxy import Answer, Request, Rule, effects
from tests.drivers.aws.conftest import Helper

_GIB = MiB(1024)
_TWO = MiB(2048)

Changes = dict[str, Callable[[], object]]


@pytest.fixture
def disk_cid(cloud: Cloud) -> DiskCid:
    """One of 1 GiB."""
    return cloud.create_disk(_GIB, {"availability_zone": ZONES[0]})


def _volume(aws: Lab, disk_cid: DiskCid) -> dict[str, object]:
    found: dict[str, object] = aws.ec2.describe_volumes(VolumeIds=[str(disk_cid)])["Volumes"][0]
    return found


@pytest.mark.parametrize("code", ["VolumeModificationRateExceeded", "IncorrectModificationState"])
def test_the_six_hour_rule_is_not_supported_so_that_the_director_copies(
    aws: Lab, cloud: Cloud, disk_cid: DiskCid, code: str
) -> None:
    """With what EBS said."""
    aws.proxy.inject(Rule("ModifyVolume", effects.decided(lambda _: refusal(code, "Wait at least 6 hours"))))
    for change in (lambda: cloud.resize_disk(disk_cid, _TWO), lambda: cloud.update_disk(disk_cid, _TWO, {})):
        with pytest.raises(errors.NotSupported, match="6 hours"):
            change()
    assert _volume(aws, disk_cid)["Size"] == 1


def test_a_change_that_a_killed_call_began_is_waited_for(aws: Lab, cloud: Cloud, disk_cid: DiskCid) -> None:
    """ModifyVolume refuses a second one, which is the same."""
    aws.ec2.modify_volume(VolumeId=str(disk_cid), Size=2)
    asked: list[Request] = []

    def small_still(request: Request, answer: Answer) -> Answer:
        body = answer.body.replace(b"<size>2<", b"<size>1<")
        return Answer(answer.status, body, answer.headers)

    def under_way(request: Request, answer: Answer) -> Answer:
        asked.append(request)
        state = b"optimizing" if len(asked) > 1 else b"modifying"
        return Answer(answer.status, answer.body.replace(b">completed<", b">" + state + b"<"), answer.headers)

    aws.proxy.inject(
        Rule("DescribeVolumes", effects.rewritten(small_still)),
        Rule("ModifyVolume", effects.decided(lambda _: refusal("IncorrectModificationState", "being modified"))),
        Rule("DescribeVolumesModifications", effects.rewritten(under_way)),
    )
    cloud.resize_disk(disk_cid, _TWO)
    assert len(asked) >= 2


def test_a_lost_answer_of_modify_volume_is_no_failure(aws: Lab, cloud: Cloud, disk_cid: DiskCid) -> None:
    """The repeat sees what was begun."""
    aws.proxy.inject(Rule("ModifyVolume", effects.lost_answer(), times=1))
    cloud.resize_disk(disk_cid, _TWO)
    assert _volume(aws, disk_cid)["Size"] == 2


def test_nothing_to_change_calls_nothing_that_changes(aws: Lab, cloud: Cloud, disk_cid: DiskCid) -> None:
    """The same size in GiB, the same kind, or nothing said of the kind."""
    aws.proxy.forget_calls()
    cloud.resize_disk(disk_cid, MiB(1000))
    for properties in ({}, {"type": "gp3"}, {"type": "gp3", "iops": 3000, "throughput": 125}):
        assert cloud.update_disk(disk_cid, _GIB, properties) == disk_cid
    assert aws.proxy.counts() == {"DescribeVolumes": 4}


def test_type_and_figures_are_changed_in_one_call(aws: Lab, cloud: Cloud, disk_cid: DiskCid) -> None:
    """Only what differs is asked for."""
    aws.proxy.forget_calls()
    assert cloud.update_disk(disk_cid, _TWO, {"type": "io2", "iops": 400}) == disk_cid
    form = next(call.request.form for call in aws.proxy.calls if call.action == "ModifyVolume")
    wanted = {key: value for key, value in form.items() if key not in ("Action", "Version")}
    assert wanted == {"VolumeId": disk_cid, "Size": "2", "VolumeType": "io2", "Iops": "400"}


@pytest.mark.parametrize("action", ["resize", "update"])
def test_smaller_is_not_supported_before_the_disk_is_touched(aws: Lab, cloud: Cloud, disk_cid: DiskCid, action: str) -> None:
    """After one look."""
    cloud.resize_disk(disk_cid, _TWO)
    aws.proxy.forget_calls()
    changes: Changes = {
        "resize": lambda: cloud.resize_disk(disk_cid, _GIB),
        "update": lambda: cloud.update_disk(disk_cid, _GIB, {"type": "io2", "iops": 400}),
    }
    with pytest.raises(errors.NotSupported, match="cannot shrink"):
        changes[action]()
    assert aws.proxy.counts() == {"DescribeVolumes": 1}


def test_an_encrypted_copy_takes_the_disks_place(aws: Lab, cloud: Cloud, disk_cid: DiskCid) -> None:
    """With its tags, its zone and what was asked for; the snapshot and the old disk are gone."""
    cloud.set_disk_metadata(disk_cid, {"deployment": "d"})
    new = cloud.update_disk(disk_cid, _TWO, {"encrypted": True})
    found = _volume(aws, new)
    assert (found["Encrypted"], found["Size"], found["AvailabilityZone"]) == (True, 2, ZONES[0])
    assert aws.tags(new)["deployment"] == "d"
    assert [item["VolumeId"] for item in aws.volumes()] == [new]
    assert aws.snapshots() == []
    assert cloud.update_disk(disk_cid, _TWO, {"encrypted": True}) == new, "the old CID leads to the new disk"


def test_a_disk_cannot_be_decrypted(cloud: Cloud) -> None:
    """The director copies."""
    disk_cid = cloud.create_disk(_GIB, {"encrypted": True})
    with pytest.raises(errors.NotSupported, match="decrypt"):
        cloud.update_disk(disk_cid, _GIB, {"encrypted": False})


def test_the_old_disk_that_cannot_be_removed_does_not_hide_the_new_one(aws: Lab, cloud: Cloud, disk_cid: DiskCid) -> None:
    """It is logged; the CID is answered."""
    aws.proxy.inject(Rule("DeleteVolume", effects.decided(lambda _: refusal("UnauthorizedOperation", "no", 403))))
    new = cloud.update_disk(disk_cid, _GIB, {"encrypted": True})
    assert new != disk_cid
    assert cloud.has_disk(disk_cid)
    assert cloud.has_disk(new)


def test_a_copy_that_was_begun_is_not_used_once_the_disk_was_attached(
    aws: Lab, cloud: Cloud, helper: Helper, disk_cid: DiskCid
) -> None:
    """What was written since would be lost: another copy is made."""
    rule = Rule("CreateVolume", effects.decided(lambda _: refusal("InjectedFault")))
    aws.proxy.inject(rule)
    with pytest.raises(errors.CloudError, match="InjectedFault"):
        cloud.update_disk(disk_cid, _GIB, {"encrypted": True})
    aws.proxy.withdraw(rule)
    stale = [item["SnapshotId"] for item in aws.snapshots()]
    assert len(stale) == 1
    vm = helper.vm()
    cloud.attach_disk(vm.cid, disk_cid)
    cloud.detach_disk(vm.cid, disk_cid)
    asked: list[str] = []

    def keep(request: Request) -> None:
        asked.append(request.form["SnapshotId"])

    aws.proxy.inject(Rule("CreateVolume", effects.decided(keep)))
    cloud.update_disk(disk_cid, _GIB, {"encrypted": True})
    assert asked
    assert asked[0] not in stale
    assert aws.snapshots() == []


def test_a_copy_that_was_begun_is_finished_if_the_disk_was_left_alone(aws: Lab, cloud: Cloud, disk_cid: DiskCid) -> None:
    """From the snapshot that is there."""
    rule = Rule("CreateVolume", effects.decided(lambda _: refusal("InjectedFault")))
    aws.proxy.inject(rule)
    with pytest.raises(errors.CloudError, match="InjectedFault"):
        cloud.update_disk(disk_cid, _GIB, {"encrypted": True})
    aws.proxy.withdraw(rule)
    aws.proxy.forget_calls()
    cloud.update_disk(disk_cid, _GIB, {"encrypted": True})
    assert "CreateSnapshot" not in aws.proxy.counts()


def test_a_disk_that_ebs_gives_up_is_told_with_its_likely_cause(aws: Lab, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong key makes a disk vanish while it is being made; here the minute is over in which it might not be seen yet."""
    monkeypatch.setattr("cpi_drivers.aws.api.visibility.Visibility.seconds_left", lambda *_: 0.0)
    seen: list[Request] = []

    def vanishing(request: Request) -> Answer | None:
        seen.append(request)
        return refusal("InvalidVolume.NotFound") if len(seen) > 1 else None

    def creating(request: Request, answer: Answer) -> Answer:
        return Answer(answer.status, answer.body.replace(b">available<", b">creating<"), answer.headers)

    aws.proxy.inject(
        Rule("DescribeVolumes", effects.decided(vanishing)),
        Rule("DescribeVolumes", effects.rewritten(creating)),
        Rule("CreateVolume", effects.rewritten(creating)),
    )
    with pytest.raises(errors.CloudError, match="KMS key"):
        cloud.create_disk(_GIB, {"encrypted": True, "kms_key_arn": "arn:wrong"})


def test_a_quota_of_disks_is_no_disk_space(aws: Lab, cloud: Cloud) -> None:
    """And says what to do."""
    aws.proxy.inject(Rule("CreateVolume", effects.decided(lambda _: refusal("VolumeLimitExceeded", "too many"))))
    with pytest.raises(errors.NoDiskSpace, match="Service Quotas"):
        cloud.create_disk(_GIB, {})


def test_the_shipped_table_serves_where_ec2_may_not_be_asked(aws: Lab, cloud: Cloud) -> None:
    """calculate_vm_cloud_properties needs no permission."""
    aws.proxy.inject(Rule("DescribeInstanceTypes", effects.decided(lambda _: refusal("UnauthorizedOperation", "no", 403))))
    found = cloud.calculate_vm_cloud_properties(VmResources(cpu=8, ram=MiB(65536), ephemeral_disk_size=MiB(5120)))
    assert str(found["instance_type"]).startswith("r")
    assert found["ephemeral_disk"] == {"size": 5120}


def test_a_disk_larger_than_the_largest_is_refused_before_it_is_asked_for(aws: Lab, cloud: Cloud) -> None:
    """EBS ends at 64 TiB: one MiB more is one GiB more."""
    aws.proxy.forget_calls()
    with pytest.raises(errors.NoDiskSpace, match="the largest is 65536 GiB"):
        cloud.create_disk(MiB(65536 * 1024 + 1), {})
    assert [call for call in aws.proxy.calls if "CreateVolume" in str(call)] == []
    largest = cloud.create_disk(MiB(65536 * 1024), {})
    assert [volume["Size"] for volume in aws.volumes() if volume["VolumeId"] == largest] == [65536]
    cloud.delete_disk(largest)


def test_a_disk_that_was_made_and_is_not_seen_ready_is_removed(aws: Lab, cloud: Cloud) -> None:
    """The call fails after the disk was made, so nobody has its id."""
    before = len(aws.volumes())
    aws.proxy.inject(Rule("DescribeVolumes", effects.decided(lambda _: refusal("InjectedFault")), times=1))
    with pytest.raises(errors.CloudError, match="InjectedFault"):
        cloud.create_disk(MiB(1024), {}, None, "a-token-of-its-own")
    assert len(aws.volumes()) == before


@pytest.mark.parametrize(
    ("iops", "throughput", "sent"),
    [(3000, 125, {}), (3001, 125, {"Iops": 3001}), (3000, 126, {"Throughput": 126})],
)
def test_what_a_gp3_disk_has_for_nothing_is_not_sent(iops: int, throughput: int, sent: dict[str, int]) -> None:
    """Anything above it is."""
    assert lifecycle.volume("gp3", iops, throughput, encrypted=False, kms_key=None) == {"VolumeType": "gp3", **sent}
