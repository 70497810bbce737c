"""Which calls this identity may make, asked without making anything: EC2 by dry runs, the others for what does not exist."""

import base64
import hashlib
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Final

from cpi.contract import errors as contract_errors
from cpi.contract.operator import Finding
from cpi_drivers.aws.api import errors
from cpi_drivers.aws.api.account import Account
from cpi_drivers.aws.api.operations import OPERATIONS

_VM: Final = "i-00000000000000000"
_DISK: Final = "vol-00000000000000000"
_NIC: Final = "eni-00000000000000000"
_AMI: Final = "ami-00000000000000000"
_SNAPSHOT: Final = "snap-00000000000000000"
_SUBNET: Final = "subnet-00000000000000000"
_VPC: Final = "vpc-00000000000000000"
_TABLE: Final = "rtb-00000000000000000"
_BLOCK: Final = bytes(512 * 1024)
_CHECKSUM: Final = base64.b64encode(hashlib.sha256(_BLOCK).digest()).decode()

# Arguments with which a dry run of each call can be asked; what needs none is asked without.
SAMPLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "AssociateAddress": {"AllocationId": "eipalloc-00000000000000000", "NetworkInterfaceId": _NIC},
    "AssociateRouteTable": {"RouteTableId": _TABLE, "SubnetId": _SUBNET},
    "AttachVolume": {"VolumeId": _DISK, "InstanceId": _VM, "Device": "/dev/sdf"},
    "CopyImage": {"Name": "multicpi", "SourceImageId": _AMI, "SourceRegion": "us-east-1"},
    "CreateNetworkInterface": {"SubnetId": _SUBNET},
    "CreateRoute": {"RouteTableId": _TABLE, "DestinationCidrBlock": "192.0.2.0/24", "NetworkInterfaceId": _NIC},
    "CreateSnapshot": {"VolumeId": _DISK},
    "CreateSubnet": {"VpcId": _VPC, "CidrBlock": "192.0.2.0/24"},
    "CreateTags": {"Resources": [_DISK], "Tags": [{"Key": "multicpi", "Value": "1"}]},
    "DeleteNetworkInterface": {"NetworkInterfaceId": _NIC},
    "DeleteRoute": {"RouteTableId": _TABLE, "DestinationCidrBlock": "192.0.2.0/24"},
    "DeleteSnapshot": {"SnapshotId": _SNAPSHOT},
    "DeleteSubnet": {"SubnetId": _SUBNET},
    "DeleteTags": {"Resources": [_DISK], "Tags": [{"Key": "multicpi"}]},
    "DeleteVolume": {"VolumeId": _DISK},
    "DeregisterImage": {"ImageId": _AMI},
    "DescribeInstanceAttribute": {"InstanceId": _VM, "Attribute": "userData"},
    "DescribeInstanceTypes": {"InstanceTypes": ["t3.micro"]},
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
_CARRIED_OUT: Final = "carried out"
# Heard only by those who may: IAM is asked before the service looks for the thing.
_HEARD_BY_THE_PERMITTED: Final = frozenset(
    {_CARRIED_OUT, "DryRunOperation", "LoadBalancerNotFound", "TargetGroupNotFound", "ResourceNotFoundException"}
)
_NOT_ASKED: Final = {"StartSnapshot": "not asked: it has no dry run and would begin a snapshot"}
_NEEDED_FOR: Final = {
    "ec2": "",
    "ebs": ", needed to upload heavy stemcells only",
    "elb": ", needed for elbs only",
    "elbv2": ", needed for lb_target_groups only",
}


def examine_permissions(account: Account, caller_arn: str) -> Iterable[Finding]:
    """What is allowed, what is not, and what this cannot tell."""
    asked = [name for name, operation in OPERATIONS.items() if operation.service in _NEEDED_FOR]
    answers = {name: _answer(account, name, caller_arn) for name in asked}
    allowed = {name for name, code in answers.items() if code in _HEARD_BY_THE_PERMITTED}
    denied = {name for name, code in answers.items() if errors.kind_of(code)[0] is errors.Denied}
    for service, need in _NEEDED_FOR.items():
        missing = sorted(name for name in denied if OPERATIONS[name].service == service)
        if missing:
            told = f"not allowed{need}: {', '.join(missing)}; the least IAM policy is printed below"
            yield Finding("permissions", "warning" if need else "fault", told)
    untold = sorted(f"{name} ({answers[name]})" for name in asked if name not in allowed | denied)
    if untold:
        yield Finding("permissions unknown", "warning", f"{', '.join(untold)}; compare with the least IAM policy")
    seen = f"{len(allowed)} of {len(asked)} calls are allowed"
    yield Finding("permissions asked for", "warning" if denied else "good", seen)


def _answer(account: Account, name: str, caller_arn: str) -> str:
    """The code of the refusal, or in words why there is none."""
    if name in _NOT_ASKED:
        return _NOT_ASKED[name]
    sample = _samples(account, caller_arn).get(name) or {"DryRun": True, **SAMPLES.get(name, {})}
    try:
        account.client.call_once(name, **sample)
    except errors.Refused as error:
        return error.code or error.message
    except contract_errors.CpiError as error:
        return f"not asked: {error.message}"
    return _CARRIED_OUT


def _samples(account: Account, caller_arn: str) -> dict[str, dict[str, Any]]:
    """Arguments that name nothing that exists, for the services without dry runs; and those that depend on the region."""
    region, nothing = account.settings.signing_region, f"multicpi-doctor-{uuid.uuid4().hex[:12]}"
    _, partition, _, _, number, *_ = caller_arn.split(":")
    group = f"arn:{partition}:elasticloadbalancing:{region}:{number}:targetgroup/{nothing}/0000000000000000"
    balanced = {"LoadBalancerName": nothing, "Instances": [{"InstanceId": _VM}]}
    block = {"BlockIndex": 0, "BlockData": _BLOCK, "DataLength": len(_BLOCK), "ChecksumAlgorithm": "SHA256"}
    return {
        "CreateVolume": {"DryRun": True, "Size": 1, "AvailabilityZone": f"{region}a"},
        "PutSnapshotBlock": {"SnapshotId": _SNAPSHOT, **block, "Checksum": _CHECKSUM},
        "CompleteSnapshot": {"SnapshotId": _SNAPSHOT, "ChangedBlocksCount": 0},
        "RegisterInstancesWithLoadBalancer": balanced,
        "DeregisterInstancesFromLoadBalancer": balanced,
        "DescribeTargetGroups": {"Names": [nothing]},
        "RegisterTargets": {"TargetGroupArn": group, "Targets": [{"Id": _VM}]},
        "DeregisterTargets": {"TargetGroupArn": group, "Targets": [{"Id": _VM}]},
    }
