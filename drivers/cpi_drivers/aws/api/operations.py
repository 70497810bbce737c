"""Every API action the driver calls, and nothing else: the client refuses what is not here.

From this table come the retry of a call whose answer was lost, and the least IAM policy.
"""

import enum
from typing import Final, NamedTuple


class Repeat(enum.Enum):
    """Whether a call may be made again when it is not known if the first was carried out."""

    HARMLESS = "reads, or ends in the same state, or its second answer tells that the first was carried out"
    ASKED_BY_KEY = "has a ClientToken"
    NEVER = "would make a second resource: look first"


class Operation(NamedTuple):
    """One API action."""

    service: str
    repeat: Repeat
    permission: str = ""
    """The IAM action, if it is not service:name."""


_READ, _TOKEN, _NEVER = Repeat.HARMLESS, Repeat.ASKED_BY_KEY, Repeat.NEVER

OPERATIONS: Final[dict[str, Operation]] = {
    "AssociateAddress": Operation("ec2", _READ),
    "AssociateRouteTable": Operation("ec2", _READ),
    "AttachVolume": Operation("ec2", _READ),
    "CopyImage": Operation("ec2", _TOKEN),
    "CreateNetworkInterface": Operation("ec2", _TOKEN),
    "CreateRoute": Operation("ec2", _READ),
    "CreateSnapshot": Operation("ec2", _NEVER),
    "CreateSubnet": Operation("ec2", _READ),
    "CreateTags": Operation("ec2", _READ),
    "CreateVolume": Operation("ec2", _TOKEN),
    "DeleteNetworkInterface": Operation("ec2", _READ),
    "DeleteRoute": Operation("ec2", _READ),
    "DeleteSnapshot": Operation("ec2", _READ),
    "DeleteSubnet": Operation("ec2", _READ),
    "DeleteTags": Operation("ec2", _READ),
    "DeleteVolume": Operation("ec2", _READ),
    "DeregisterImage": Operation("ec2", _READ),
    "DescribeAccountAttributes": Operation("ec2", _READ),
    "DescribeAddresses": Operation("ec2", _READ),
    "DescribeAvailabilityZones": Operation("ec2", _READ),
    "DescribeImages": Operation("ec2", _READ),
    "DescribeInstanceAttribute": Operation("ec2", _READ),
    "DescribeInstanceTypes": Operation("ec2", _READ),
    "DescribeInstances": Operation("ec2", _READ),
    "DescribeNetworkInterfaces": Operation("ec2", _READ),
    "DescribeRouteTables": Operation("ec2", _READ),
    "DescribeSecurityGroups": Operation("ec2", _READ),
    "DescribeSnapshots": Operation("ec2", _READ),
    "DescribeSubnets": Operation("ec2", _READ),
    "DescribeVolumes": Operation("ec2", _READ),
    "DescribeVolumesModifications": Operation("ec2", _READ),
    "DescribeVpcs": Operation("ec2", _READ),
    "DetachVolume": Operation("ec2", _READ),
    "ModifyNetworkInterfaceAttribute": Operation("ec2", _READ),
    "ModifyVolume": Operation("ec2", _READ),
    "RebootInstances": Operation("ec2", _READ),
    "RegisterImage": Operation("ec2", _READ),
    "ReplaceRoute": Operation("ec2", _READ),
    "RunInstances": Operation("ec2", _TOKEN),
    "StartInstances": Operation("ec2", _READ),
    "TerminateInstances": Operation("ec2", _READ),
    "StartSnapshot": Operation("ebs", _TOKEN),
    "PutSnapshotBlock": Operation("ebs", _READ),
    "CompleteSnapshot": Operation("ebs", _READ),
    "RegisterInstancesWithLoadBalancer": Operation("elb", _READ, "elasticloadbalancing:RegisterInstancesWithLoadBalancer"),
    "DeregisterInstancesFromLoadBalancer": Operation("elb", _READ, "elasticloadbalancing:DeregisterInstancesFromLoadBalancer"),
    "DescribeTargetGroups": Operation("elbv2", _READ, "elasticloadbalancing:DescribeTargetGroups"),
    "RegisterTargets": Operation("elbv2", _READ, "elasticloadbalancing:RegisterTargets"),
    "DeregisterTargets": Operation("elbv2", _READ, "elasticloadbalancing:DeregisterTargets"),
    "GetCallerIdentity": Operation("sts", _READ, "sts:GetCallerIdentity"),
}


def permission(name: str) -> str:
    """The IAM action that a call needs."""
    operation = OPERATIONS[name]
    return operation.permission or f"{operation.service}:{name}"
