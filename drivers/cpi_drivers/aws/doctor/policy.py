"""The least IAM policy: made from the table of calls, so that it can not rot."""

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
