"""From AWS's codes to the ten errors, row by row; and the table of calls."""

import ast
import json
from pathlib import Path

import botocore.exceptions
import pytest

from cpi.contract import errors as contract
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid
from cpi.contract.operator import Examines, ExaminesVmTypes
from cpi_drivers.aws.api import errors
from cpi_drivers.aws.api.operations import OPERATIONS
from cpi_drivers.aws.doctor import permissions, policy
from cpi_drivers.aws.vms import creation
from fixtures.clouds.aws.answers import refusal
from fixtures.clouds.aws.lab import ZONES, Lab
from fixtures.clouds.aws.least import only_what_is_permitted
from fixtures.proxy import Rule, effects

_DRIVER = Path(errors.__file__).parents[1]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("InvalidInstanceID.NotFound", contract.VMNotFound),
        ("InvalidInstanceID.Malformed", contract.VMNotFound),
        ("InvalidVolume.NotFound", contract.DiskNotFound),
        ("InvalidVolumeID.Malformed", contract.DiskNotFound),
        ("InvalidAttachment.NotFound", contract.DiskNotAttached),
        ("InvalidSubnetID.NotFound", contract.NetworkNotFound),
        ("InvalidGroup.NotFound", contract.NetworkNotFound),
        ("VolumeLimitExceeded", contract.NoDiskSpace),
        ("InsufficientVolumeCapacity", contract.NoDiskSpace),
        ("InsufficientInstanceCapacity", errors.NoCapacity),
        ("Unsupported", errors.NoCapacity),
        ("VcpuLimitExceeded", errors.QuotaReached),
        ("InstanceLimitExceeded", errors.QuotaReached),
        ("UnauthorizedOperation", errors.Denied),
        ("AuthFailure", errors.Denied),
        ("RequestExpired", errors.Denied),
        ("RequestLimitExceeded", errors.Throttled),
        ("ThrottlingException", errors.Throttled),
        ("InternalError", errors.AnswerLost),
        ("ServiceUnavailable", errors.AnswerLost),
        ("InvalidParameterValue", errors.Refused),
        ("NobodyKnows", errors.Refused),
    ],
)
def test_every_code_has_its_error(code: str, kind: type[contract.Error]) -> None:
    """Each is one of the director's ten on the wire."""
    error = errors.refusal("Something", code, "the message", 400)
    assert isinstance(error, kind)
    assert error.wire_name in contract.BY_WIRE_NAME
    assert code in error.message
    assert "the message" in error.message


def test_an_encoded_authorisation_message_is_left_out() -> None:
    """It is long, and says nothing to people."""
    text = "You are not authorized. Encoded authorization failure message: AbCdEf123"
    assert "AbCdEf123" not in errors.refusal("RunInstances", "UnauthorizedOperation", text).message


def test_every_call_in_the_table_is_made_somewhere_and_no_other() -> None:
    """So the least IAM policy is what the driver needs, no more and no less."""
    made = set()
    for path in _DRIVER.rglob("*.py"):
        if path.name in ("operations.py", "checks.py", "permissions.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in OPERATIONS:
                made.add(node.value)
    only_by_doctor = {"GetCallerIdentity", "DescribeAccountAttributes"}
    assert set(OPERATIONS) == made | only_by_doctor
    assert set(permissions.SAMPLES) <= set(OPERATIONS)


def test_the_short_description_of_ec2_has_every_call() -> None:
    """The client can make each of them, with the parameters of the whole description."""
    from botocore.loaders import Loader

    from cpi_drivers.aws.api.connection import SHORT_MODELS
    from fixtures.clouds.aws.shortening import VERSION, ec2_operations, shortened

    short = Loader(extra_search_paths=[SHORT_MODELS]).load_service_model("ec2", "service-2", VERSION)
    assert sorted(short["operations"]) == sorted(ec2_operations())
    whole = Loader().load_service_model("ec2", "service-2", VERSION)
    now = shortened(whole, ec2_operations())
    assert set(short["shapes"]) <= set(now["shapes"]), "run python -m fixtures.clouds.aws.shortening"


@pytest.mark.slow
def test_doctor_tells_identity_region_permissions_and_the_policy(aws: Lab, cloud: Cloud) -> None:
    """And makes nothing."""
    before = aws.census()
    assert isinstance(cloud, Examines)
    findings = {finding.subject: finding for finding in cloud.examine()}
    assert "123456789012" in findings["identity"].detail
    assert ZONES[0] in findings["region eu-west-1"].detail
    unknown = findings["permissions unknown"].detail
    assert "StartSnapshot (not asked: it has no dry run" in unknown
    assert not {"PutSnapshotBlock", "RegisterTargets", "RegisterInstancesWithLoadBalancer", "RunInstances"} & set(unknown.split())
    assert findings["permissions asked for"].verdict == "good"
    document = json.loads(findings["least IAM policy"].detail)
    assert document["Statement"][0]["Action"] == policy.actions()
    assert "ec2:RunInstances" in policy.actions()
    assert "ebs:PutSnapshotBlock" in policy.actions()
    assert "elasticloadbalancing:DeregisterTargets" in policy.actions()
    assert aws.census() == before
    dry = [call for call in aws.proxy.calls if call.action in ("RunInstances", "CreateVolume", "DeleteVolume")]
    assert dry
    assert all(call.request.form.get("DryRun") == "true" for call in dry)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("action", "verdict", "told"),
    [
        ("ec2:ModifyVolume", "fault", "not allowed: ModifyVolume; the least IAM policy is printed below"),
        ("ebs:PutSnapshotBlock", "warning", "not allowed, needed to upload heavy stemcells only: PutSnapshotBlock"),
        ("elasticloadbalancing:RegisterTargets", "warning", "not allowed, needed for lb_target_groups only: RegisterTargets"),
    ],
)
def test_doctor_names_what_is_not_allowed(aws: Lab, cloud: Cloud, action: str, verdict: str, told: str) -> None:
    """Each call by its name; by dry run, or where there is none by asking for what does not exist."""
    document = policy.least_policy()
    document["Statement"][0]["Action"].remove(action)
    aws.proxy.inject(Rule("*", only_what_is_permitted(document)))
    assert isinstance(cloud, Examines)
    bad = [finding for finding in cloud.examine() if finding.subject == "permissions"]
    assert [finding.verdict for finding in bad] == [verdict]
    assert told in bad[0].detail


def test_the_least_policy_is_held_in_every_test(aws: Lab, cloud: Cloud) -> None:
    """The proxy refuses what it does not allow, here and in the whole conformance: a missing action would fail those."""
    with pytest.raises(errors.Denied, match=r"DescribeInstanceStatus.*cpi doctor"):
        _as_the_driver(aws, "describe_instance_status")
    assert cloud.has_disk(DiskCid("vol-00000000000000000")) is False


def _as_the_driver(aws: Lab, call: str) -> None:
    """A call that is not in the policy, through the proxy."""
    try:
        getattr(aws.client("ec2", aws.proxy.url), call)()
    except botocore.exceptions.ClientError as error:
        fault = error.response["Error"]
        raise errors.refusal("DescribeInstanceStatus", fault["Code"], fault["Message"]) from error


def test_doctor_tells_credentials_that_are_refused(aws: Lab, cloud: Cloud) -> None:
    """As one fault, and what to do."""
    aws.proxy.inject(Rule("*", effects.decided(lambda _: refusal("InvalidClientTokenId", "unknown key", 403))))
    assert isinstance(cloud, Examines)
    findings = list(cloud.examine())
    assert [finding.verdict for finding in findings] == ["fault"]
    assert "check the keys" in findings[0].detail


def test_doctor_looks_at_what_a_vm_type_and_its_networks_name(aws: Lab, cloud: Cloud) -> None:
    """Types, zones, subnets, security groups, target groups; nothing is made."""
    assert isinstance(cloud, ExaminesVmTypes)
    subnet, before = aws.subnets()[ZONES[0]], aws.census()
    good = list(cloud.examine_vm_type({"instance_type": "m5.large"}, [{"subnet": subnet, "security_groups": ["default"]}]))
    assert {finding.verdict for finding in good} == {"good"}
    assert {finding.subject for finding in good} >= {"instance type m5.large", f"subnet {subnet}", "availability zone"}
    assert aws.census() == before


@pytest.mark.parametrize(
    ("vm_type", "network", "told"),
    [
        ({"instance_type": "m5.lrge"}, {}, "m5.lrge"),
        ({}, {}, "names no instance_type"),
        ({"instance_type": "m5.large", "availability_zone": ZONES[1]}, {}, "is in eu-west-1a"),
        ({"instance_type": "m5.large"}, {"security_groups": ["no-such-group"]}, "no security group named no-such-group"),
        ({"instance_type": "m5.large"}, {"security_groups": ["sg-00000000000000000"]}, "sg-00000000000000000"),
        ({"instance_type": "m5.large"}, {"subnet": "subnet-00000000000000000"}, "subnet-00000000000000000"),
        ({"instance_type": "m5.large", "lb_target_groups": ["nobody"]}, {}, "nobody"),
        ({"instance_type": True}, {}, "cloud_properties.instance_type: Expected `str | null`, got `bool`"),
    ],
)
def test_doctor_names_what_a_vm_type_names_wrongly(
    aws: Lab, cloud: Cloud, vm_type: dict[str, object], network: dict[str, object], told: str
) -> None:
    """Each fault by what was named."""
    assert isinstance(cloud, ExaminesVmTypes)
    findings = cloud.examine_vm_type(vm_type, [{"subnet": aws.subnets()[ZONES[0]], **network}])
    assert told in "\n".join(finding.detail for finding in findings if finding.verdict == "fault")


def _not_yet() -> errors.Refused:
    refused = errors.NetworkMissing("the subnet is not there yet")
    refused.not_yet = True
    return refused


@pytest.mark.parametrize("clean", [False, True], ids=["something is left", "nothing is left"])
@pytest.mark.parametrize(
    "why", [_not_yet(), errors.NoCapacity("none"), errors.Unreached("no connection"), contract.CloudError("late")]
)
def test_what_may_pass_is_tried_again_only_if_nothing_is_left(why: contract.CloudError, *, clean: bool) -> None:
    """A second VM beside what is left of the first would take its address."""
    failed = creation._failed(why, clean=clean)
    assert isinstance(failed, contract.VMCreationFailed)
    assert failed.ok_to_retry is clean
    assert ("could not all be removed" in failed.message) is not clean
