"""grow_attached_disk, change_attached_disk: the disk stays attached; each call looks first; a refusal says what to wait for."""

import datetime as dt

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.units import MiB
from cpi_drivers.aws.cloud import AwsCloud
from fixtures.clouds.aws.answers import refusal
from fixtures.clouds.aws.lab import ZONES, Lab
from fixtures.proxy import Answer, Request, Rule, effects
from tests.drivers.aws.conftest import Helper

_GIB, _TWO = MiB(1024), MiB(2048)


@pytest.fixture
def aws_cloud(cloud: Cloud) -> AwsCloud:
    """With what it offers beyond the CPI."""
    assert isinstance(cloud, AwsCloud)
    return cloud


@pytest.fixture
def vm_cid(helper: Helper) -> VmCid:
    """One that has the disk."""
    return helper.vm().cid


@pytest.fixture
def disk_cid(aws_cloud: AwsCloud, vm_cid: VmCid) -> DiskCid:
    """One of 1 GiB, attached."""
    made = aws_cloud.create_disk(_GIB, {"availability_zone": ZONES[0]})
    aws_cloud.attach_disk(vm_cid, made)
    return made


def _size(aws: Lab, disk_cid: DiskCid) -> int:
    return int(aws.ec2.describe_volumes(VolumeIds=[str(disk_cid)])["Volumes"][0]["Size"])


def test_it_grows_attached_in_3_calls_and_again_in_1(aws: Lab, aws_cloud: AwsCloud, vm_cid: VmCid, disk_cid: DiskCid) -> None:
    """Looked at, modified, seen modified; the repeat only looks."""
    aws.proxy.forget_calls()
    aws_cloud.grow_attached_disk(vm_cid, disk_cid, _TWO)
    assert aws.proxy.counts() == {"DescribeVolumes": 1, "ModifyVolume": 1, "DescribeVolumesModifications": 1}
    aws.proxy.forget_calls()
    aws_cloud.grow_attached_disk(vm_cid, disk_cid, _TWO)
    assert aws.proxy.counts() == {"DescribeVolumes": 1}
    assert _size(aws, disk_cid) == 2
    assert list(aws_cloud.get_disks(vm_cid)) == [disk_cid]


def test_type_and_figures_change_attached_in_one_call(aws: Lab, aws_cloud: AwsCloud, vm_cid: VmCid, disk_cid: DiskCid) -> None:
    """Only what differs is asked for; the repeat changes nothing."""
    wish = {"type": "io2", "iops": 400}
    aws.proxy.forget_calls()
    aws_cloud.change_attached_disk(vm_cid, disk_cid, _TWO, wish)
    form = next(call.request.form for call in aws.proxy.calls if call.action == "ModifyVolume")
    wanted = {key: value for key, value in form.items() if key not in ("Action", "Version")}
    assert wanted == {"VolumeId": disk_cid, "Size": "2", "VolumeType": "io2", "Iops": "400"}
    aws.proxy.forget_calls()
    aws_cloud.change_attached_disk(vm_cid, disk_cid, _TWO, wish)
    assert aws.proxy.counts() == {"DescribeVolumes": 1}


def test_what_needs_another_disk_is_refused_before_the_disk_is_touched(
    aws: Lab, aws_cloud: AwsCloud, vm_cid: VmCid, disk_cid: DiskCid
) -> None:
    """Encryption, and less room."""
    aws_cloud.grow_attached_disk(vm_cid, disk_cid, _TWO)
    aws.proxy.forget_calls()
    with pytest.raises(errors.NotSupported, match="cannot encrypt"):
        aws_cloud.change_attached_disk(vm_cid, disk_cid, _TWO, {"encrypted": True})
    with pytest.raises(errors.NotSupported, match="cannot shrink"):
        aws_cloud.grow_attached_disk(vm_cid, disk_cid, _GIB)
    assert aws.proxy.counts() == {"DescribeVolumes": 2}


@pytest.mark.parametrize("code", ["VolumeModificationRateExceeded", "IncorrectModificationState"])
def test_the_cooling_period_is_named_with_its_end(
    aws: Lab, aws_cloud: AwsCloud, vm_cid: VmCid, disk_cid: DiskCid, code: str
) -> None:
    """EBS's words, how far the last change is, and when at the latest another one is possible."""
    aws_cloud.grow_attached_disk(vm_cid, disk_cid, _TWO)
    began = aws.ec2.describe_volumes_modifications(VolumeIds=[str(disk_cid)])["VolumesModifications"][-1]["StartTime"]
    ends = began + dt.timedelta(hours=24)
    aws.proxy.inject(Rule("ModifyVolume", effects.decided(lambda _: refusal(code, "the maximum modification rate"))))
    with pytest.raises(errors.NotSupported) as caught:
        aws_cloud.grow_attached_disk(vm_cid, disk_cid, MiB(3072))
    message = caught.value.message
    assert "the maximum modification rate" in message
    assert f"began at {began:%Y-%m-%d %H:%M} UTC and is completed, 100 % done" in message
    assert f"at {ends:%Y-%m-%d %H:%M} UTC at the latest" in message


def test_a_disk_that_is_optimizing_can_be_used(aws: Lab, aws_cloud: AwsCloud, vm_cid: VmCid, disk_cid: DiskCid) -> None:
    """That may take a day; the size is there from its beginning."""
    asked: list[Request] = []

    def optimizing(request: Request, answer: Answer) -> Answer:
        asked.append(request)
        return Answer(answer.status, answer.body.replace(b">completed<", b">optimizing<"), answer.headers)

    aws.proxy.inject(Rule("DescribeVolumesModifications", effects.rewritten(optimizing)))
    aws_cloud.grow_attached_disk(vm_cid, disk_cid, _TWO)
    assert len(asked) == 1


def test_a_lost_answer_and_a_throttled_call_are_no_failure(
    aws: Lab, aws_cloud: AwsCloud, vm_cid: VmCid, disk_cid: DiskCid
) -> None:
    """The repeat sees what was begun."""
    aws.proxy.inject(
        Rule("ModifyVolume", effects.decided(lambda _: refusal("RequestLimitExceeded", "slow down", 503)), times=1),
        Rule("ModifyVolume", effects.lost_answer(), times=1),
    )
    aws_cloud.grow_attached_disk(vm_cid, disk_cid, _TWO)
    assert _size(aws, disk_cid) == 2


def test_a_shared_disk_is_refused_with_the_other_vms_name(
    aws: Lab, aws_cloud: AwsCloud, vm_cid: VmCid, disk_cid: DiskCid
) -> None:
    """Before it is touched."""

    def shared(request: Request, answer: Answer) -> Answer:
        one = answer.body[answer.body.index(b"<attachmentSet>") + 15 : answer.body.index(b"</attachmentSet>")]
        other = one.replace(str(vm_cid).encode(), b"i-0000000000000other")
        return Answer(answer.status, answer.body.replace(b"</attachmentSet>", other + b"</attachmentSet>"), answer.headers)

    aws.proxy.inject(Rule("DescribeVolumes", effects.rewritten(shared)))
    aws.proxy.forget_calls()
    with pytest.raises(errors.NotSupported, match=r"shared: .*i-0000000000000other"):
        aws_cloud.grow_attached_disk(vm_cid, disk_cid, _TWO)
    assert aws.proxy.counts() == {"DescribeVolumes": 1}


def test_a_disk_or_vm_that_is_not_there_and_a_disk_that_is_detached(
    aws_cloud: AwsCloud, vm_cid: VmCid, disk_cid: DiskCid
) -> None:
    """Each by its own error."""
    with pytest.raises(errors.DiskNotFound):
        aws_cloud.grow_attached_disk(vm_cid, DiskCid("vol-00000000000000000"), _TWO)
    with pytest.raises(errors.VMNotFound):
        aws_cloud.grow_attached_disk(VmCid("i-00000000000000000"), disk_cid, _TWO)
    aws_cloud.detach_disk(vm_cid, disk_cid)
    with pytest.raises(errors.DiskNotAttached):
        aws_cloud.grow_attached_disk(vm_cid, disk_cid, _TWO)
