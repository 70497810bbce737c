"""What `cpi doctor` looks at on AWS: identity, region, permissions by dry runs, quotas, the networks of a VM type."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from cpi.contract import errors as contract_errors
from cpi.contract.operator import Finding
from drivers.aws import errors
from drivers.aws.account import Account
from drivers.aws.client import DRY_RUN_ALLOWED
from drivers.aws.operations import OPERATIONS
from drivers.aws.policy import least_policy
from drivers.aws.security_groups import group_ids

_VM: Final = "i-00000000000000000"
_DISK: Final = "vol-00000000000000000"
_NIC: Final = "eni-00000000000000000"
_AMI: Final = "ami-00000000000000000"
_SNAPSHOT: Final = "snap-00000000000000000"
_TABLE: Final = "rtb-00000000000000000"

# Arguments with which a dry run of each call can be asked; what needs none is asked without.
SAMPLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "AssociateAddress": {"AllocationId": "eipalloc-00000000000000000", "NetworkInterfaceId": _NIC},
    "AttachVolume": {"VolumeId": _DISK, "InstanceId": _VM, "Device": "/dev/sdf"},
    "CopyImage": {"Name": "multicpi", "SourceImageId": _AMI, "SourceRegion": "us-east-1"},
    "CreateNetworkInterface": {"SubnetId": "subnet-00000000000000000"},
    "CreateRoute": {"RouteTableId": _TABLE, "DestinationCidrBlock": "192.0.2.0/24", "NetworkInterfaceId": _NIC},
    "CreateSnapshot": {"VolumeId": _DISK},
    "CreateTags": {"Resources": [_DISK], "Tags": [{"Key": "multicpi", "Value": "1"}]},
    "CreateVolume": {"Size": 1},
    "DeleteNetworkInterface": {"NetworkInterfaceId": _NIC},
    "DeleteRoute": {"RouteTableId": _TABLE, "DestinationCidrBlock": "192.0.2.0/24"},
    "DeleteSnapshot": {"SnapshotId": _SNAPSHOT},
    "DeleteTags": {"Resources": [_DISK], "Tags": [{"Key": "multicpi"}]},
    "DeleteVolume": {"VolumeId": _DISK},
    "DeregisterImage": {"ImageId": _AMI},
    "DescribeInstanceAttribute": {"InstanceId": _VM, "Attribute": "userData"},
    "DetachVolume": {"VolumeId": _DISK},
    "ModifyNetworkInterfaceAttribute": {"NetworkInterfaceId": _NIC, "SourceDestCheck": {"Value": False}},
    "ModifyVolume": {"VolumeId": _DISK, "Size": 1},
    "RebootInstances": {"InstanceIds": [_VM]},
    "RegisterImage": {"Name": "multicpi", "RootDeviceName": "/dev/xvda"},
    "ReplaceRoute": {"RouteTableId": _TABLE, "DestinationCidrBlock": "192.0.2.0/24", "NetworkInterfaceId": _NIC},
    "RunInstances": {"ImageId": _AMI, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1},
    "StartInstances": {"InstanceIds": [_VM]},
    "TerminateInstances": {"InstanceIds": [_VM]},
}
_QUOTAS: Final = ("max-instances", "vpc-max-elastic-ips", "vpc-max-security-groups-per-interface")


def examine(account: Account) -> Iterable[Finding]:
    """One finding after the other; nothing is made."""
    try:
        yield _identity(account)
        yield _region(account)
    except contract_errors.Error as error:
        yield Finding("identity and region", "fault", error.message)
        return
    yield from _permissions(account)
    yield _quotas(account)
    if account.settings.default_security_groups:
        yield _security_groups(account)
    yield Finding("least IAM policy", "good", json.dumps(least_policy(), indent=2))


def examine_vm_type(account: Account, subnet: str, groups: Iterable[str]) -> Iterable[Finding]:
    """The subnet and the security groups of a VM type."""
    try:
        found = account.facts.subnet(subnet)
        yield Finding(f"subnet {subnet}", "good", f"in {found.zone}, network {found.vpc}")
        ids = group_ids(account, list(groups), subnet)
        yield Finding("security groups", "good", ", ".join(ids) or "the network's default group")
    except contract_errors.Error as error:
        yield Finding(f"subnet {subnet}", "fault", error.message)


def _identity(account: Account) -> Finding:
    answer = account.client.call("GetCallerIdentity")
    return Finding("identity", "good", f"{answer['Arn']} of account {answer['Account']}")


def _region(account: Account) -> Finding:
    zones = [item["ZoneName"] for item in account.client.call("DescribeAvailabilityZones")["AvailabilityZones"]]
    verdict: Any = "good" if zones else "fault"
    return Finding(f"region {account.settings.signing_region}", verdict, f"zones {', '.join(zones) or 'none'}")


def _permissions(account: Account) -> Iterable[Finding]:
    answers = {name: _asked(account, name) for name, operation in OPERATIONS.items() if operation.service == "ec2"}
    missing = sorted(name for name, code in answers.items() if errors.kind_of(code)[0] is errors.Denied)
    unknown = sorted(
        f"{name} ({code or 'no answer'})" for name, code in answers.items() if code != DRY_RUN_ALLOWED and name not in missing
    )
    if missing:
        yield Finding("permissions", "fault", f"not allowed: {', '.join(missing)}; the least IAM policy is told below")
    if unknown:
        told = f"a dry run with a made-up id does not tell for {', '.join(unknown)}"
        yield Finding("permissions not told", "warning", f"{told}; compare with the least IAM policy")
    allowed = len(answers) - len(missing) - len(unknown)
    yield Finding(
        "permissions by dry run", "good" if not missing else "warning", f"{allowed} of {len(answers)} calls are allowed"
    )


def _asked(account: Account, name: str) -> str:
    sample = dict(SAMPLES.get(name, {}))
    if name == "CreateVolume":
        sample["AvailabilityZone"] = f"{account.settings.signing_region}a"
    try:
        return account.client.permitted(name, **sample)
    except contract_errors.CpiError as error:
        return f"not asked: {error.message}"


def _quotas(account: Account) -> Finding:
    try:
        attributes = account.client.call("DescribeAccountAttributes")["AccountAttributes"]
    except errors.Refusal as error:
        return Finding("quotas", "warning", error.message)
    told = {item["AttributeName"]: [value["AttributeValue"] for value in item["AttributeValues"]] for item in attributes}
    figures = [f"{name} {', '.join(told[name])}" for name in _QUOTAS if name in told]
    return Finding("quotas", "good", "; ".join(figures) or "EC2 tells none; see Service Quotas")


def _security_groups(account: Account) -> Finding:
    groups = account.settings.default_security_groups
    try:
        ids = group_ids(account, groups, None)
        named = [cid for cid in ids if cid.startswith("sg-")]
        account.client.call("DescribeSecurityGroups", GroupIds=named)
    except contract_errors.Error as error:
        return Finding("default_security_groups", "fault", error.message)
    return Finding("default_security_groups", "good", ", ".join(ids))
