"""From AWS's codes to the ten errors, row by row; and the table of calls."""

import ast
import json
from pathlib import Path

import pytest

import cpi
from cpi.contract import errors as contract
from cpi.contract.cloud import Cloud
from cpi.contract.operator import Examines
from drivers.aws import errors, examining, policy
from drivers.aws.operations import OPERATIONS
from fixtures.clouds.aws.answers import refusal
from fixtures.clouds.aws.lab import ZONES, Lab
from fixtures.proxy import Rule, effects

_DRIVER = Path(errors.__file__).parent


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
        ("InternalError", errors.Unclear),
        ("ServiceUnavailable", errors.Unclear),
        ("InvalidParameterValue", errors.Refusal),
        ("NobodyKnows", errors.Refusal),
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
    for path in _DRIVER.glob("*.py"):
        if path.name in ("operations.py", "examining.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in OPERATIONS:
                made.add(node.value)
    only_by_doctor = {"GetCallerIdentity", "DescribeAccountAttributes"}
    assert set(OPERATIONS) == made | only_by_doctor
    assert set(examining.SAMPLES) <= set(OPERATIONS)


def test_the_short_description_of_ec2_has_every_call() -> None:
    """The client can make each of them, with the parameters of the whole description."""
    from botocore.loaders import Loader

    from drivers.aws.connecting import SHORT_MODELS
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
    assert findings["permissions by dry run"].verdict == "good"
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
def test_doctor_names_what_is_not_allowed(aws: Lab, cloud: Cloud) -> None:
    """Each call by its name."""
    aws.proxy.inject(Rule("ModifyVolume", effects.decided(lambda _: refusal("UnauthorizedOperation", "no", 403))))
    assert isinstance(cloud, Examines)
    faults = [finding for finding in cloud.examine() if finding.verdict == "fault"]
    assert [finding.detail for finding in faults] == ["not allowed: ModifyVolume; the least IAM policy is told below"]


def test_doctor_tells_credentials_that_are_refused(aws: Lab, cloud: Cloud) -> None:
    """As one fault, and what to do."""
    aws.proxy.inject(Rule("*", effects.decided(lambda _: refusal("InvalidClientTokenId", "unknown key", 403))))
    assert isinstance(cloud, Examines)
    findings = list(cloud.examine())
    assert [finding.verdict for finding in findings] == ["fault"]
    assert "check the keys" in findings[0].detail


def test_doctor_looks_at_the_networks_of_a_vm_type(aws: Lab, cloud: Cloud) -> None:
    """Its subnet and its security groups."""
    subnet = aws.subnets()[ZONES[0]]
    account = cloud._account  # type: ignore[attr-defined]  # the face for this is not in the contract
    good = list(examining.examine_vm_type(account, subnet, ["default"]))
    assert [finding.verdict for finding in good] == ["good", "good"]
    bad = list(examining.examine_vm_type(account, subnet, ["no-such-group"]))
    assert "no security group named no-such-group" in bad[-1].detail
    assert cpi.drivers()
