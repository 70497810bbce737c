"""The least IAM policy: made from the table of calls, so that it cannot rot."""

from collections.abc import Mapping
from typing import Any, Final

from cpi_drivers.aws.api.operations import OPERATIONS, permission

# What EC2 checks on behalf of a call besides the call's own action.
_BESIDES: Final = (
    "iam:PassRole",  # RunInstances with an instance profile
    "iam:CreateServiceLinkedRole",  # the first spot VM of an account
    "kms:CreateGrant",
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
)
_NEEDS_NO_PERMISSION: Final = frozenset({"GetCallerIdentity"})


CALLS_BY_FEATURE: Final[Mapping[str, tuple[str, ...]]] = {
    "VMs": (
        "CreateTags",
        "DescribeImages",
        "DescribeInstanceTypes",
        "DescribeInstances",
        "DescribeNetworkInterfaces",
        "DescribeSecurityGroups",
        "DescribeSubnets",
        "DescribeVolumes",
        "RebootInstances",
        "RunInstances",
        "TerminateInstances",
    ),
    "VMs with several networks": (
        "CreateNetworkInterface",
        "DeleteNetworkInterface",
        "DescribeNetworkInterfaces",
        "ModifyNetworkInterfaceAttribute",
    ),
    "source_dest_check": ("ModifyNetworkInterfaceAttribute",),
    "reboot_vm of a VM that is off": ("StartInstances",),
    "vip networks": ("AssociateAddress", "DescribeAddresses"),
    "advertised_routes": ("CreateRoute", "DeleteRoute", "DescribeRouteTables", "ReplaceRoute"),
    "elbs": ("DeregisterInstancesFromLoadBalancer", "RegisterInstancesWithLoadBalancer"),
    "lb_target_groups": ("DeregisterTargets", "DescribeTargetGroups", "RegisterTargets"),
    "disks": (
        "AttachVolume",
        "CreateTags",
        "CreateVolume",
        "DeleteVolume",
        "DescribeAvailabilityZones",
        "DescribeInstances",
        "DescribeVolumes",
        "DetachVolume",
    ),
    "resize_disk, update_disk, disks grown attached": ("DescribeVolumesModifications", "ModifyVolume"),
    "networks made by BOSH": (
        "CreateSubnet",
        "CreateTags",
        "DeleteSubnet",
        "DescribeInstances",
        "DescribeNetworkInterfaces",
        "DescribeSubnets",
        "DescribeVpcs",
    ),
    "route_table of such a network": ("AssociateRouteTable",),
    "update_disk that encrypts": ("CreateSnapshot", "DeleteSnapshot", "DeleteTags", "DescribeSnapshots"),
    "snapshots": ("CreateSnapshot", "DeleteSnapshot", "DescribeSnapshots"),
    "light stemcells": ("DescribeImages",),
    "light stemcells that are copied or encrypted": ("CopyImage", "DeleteSnapshot", "DeregisterImage"),
    "heavy stemcells": (
        "CompleteSnapshot",
        "DeleteSnapshot",
        "DeregisterImage",
        "DescribeImages",
        "DescribeSnapshots",
        "PutSnapshotBlock",
        "RegisterImage",
        "StartSnapshot",
    ),
    "`cpi doctor`": ("DescribeAccountAttributes", "DescribeAvailabilityZones", "GetCallerIdentity"),
    "`cpi sweep`": (
        "DescribeImages",
        "DescribeInstances",
        "DescribeNetworkInterfaces",
        "DescribeSnapshots",
        "DescribeSubnets",
        "DescribeVolumes",
    ),
    "`cpi sweep --delete`": (
        "DeleteNetworkInterface",
        "DeleteSnapshot",
        "DeleteSubnet",
        "DeleteVolume",
        "DeregisterImage",
        "DeregisterInstancesFromLoadBalancer",
        "DeregisterTargets",
        "DescribeTargetGroups",
        "TerminateInstances",
    ),
    "the settings that an agent was given": ("DescribeInstanceAttribute",),
}
"""Which calls each feature makes: the table of the documentation is made from it, and recorded calls are held to it."""


def permissions_by_feature() -> dict[str, list[str]]:
    """The IAM actions that each feature needs."""
    return {feature: sorted(map(permission, calls)) for feature, calls in CALLS_BY_FEATURE.items()}


def actions() -> list[str]:
    """Every IAM action that the driver's calls need, sorted."""
    return sorted({permission(name) for name in OPERATIONS if name not in _NEEDS_NO_PERMISSION})


def least_policy() -> dict[str, Any]:
    """An IAM policy document."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "Cpi", "Effect": "Allow", "Action": actions(), "Resource": "*"},
            {
                "Sid": "OnBehalfOfTheCpi",
                "Effect": "Allow",
                "Action": list(_BESIDES),
                "Resource": "*",
                "Condition": {
                    "StringLikeIfExists": {"iam:PassedToService": "ec2.amazonaws.com*", "kms:ViaService": "ec2.*.amazonaws.com"}
                },
            },
        ],
    }
