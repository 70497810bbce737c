"""What EC2 may not know yet: for a minute after a thing was made, "not found" and "wrong state" of it mean "not yet".

EC2 copies its records about, and a call may reach a copy that is a little behind. This is one rule for every call that names a
thing, whoever made it: an earlier call of this process, or another process a moment ago.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from cpi.kit import private_files
from cpi.kit.recent import Recent
from cpi_drivers.aws.api import errors

NOT_YET_SECONDS: Final = 60.0

# By which keys an answer names what was made, or what was seen and may be named by the next call.
_MADE: Final[Mapping[str, frozenset[str]]] = {
    "CopyImage": frozenset({"ImageId"}),
    "CreateNetworkInterface": frozenset({"NetworkInterfaceId"}),
    "CreateSnapshot": frozenset({"SnapshotId"}),
    "CreateSubnet": frozenset({"SubnetId"}),
    "CreateVolume": frozenset({"VolumeId"}),
    "DescribeAddresses": frozenset({"AllocationId"}),
    "DescribeTargetGroups": frozenset({"TargetGroupArn"}),
    "RegisterImage": frozenset({"ImageId"}),
    "RunInstances": frozenset({"InstanceId", "VolumeId", "NetworkInterfaceId"}),
    "StartInstances": frozenset({"InstanceId"}),
    "StartSnapshot": frozenset({"SnapshotId"}),
}
_OF_A_VM: Final = frozenset({"VolumeId", "NetworkInterfaceId"})
_ENDING: Final = frozenset(
    {"DeleteNetworkInterface", "DeleteSnapshot", "DeleteSubnet", "DeleteVolume", "DeregisterImage", "TerminateInstances"}
)

_NOT_FOUND: Final = re.compile(
    r"Invalid(InstanceID|Volume|VolumeID|Snapshot|SnapshotID|AMIID|NetworkInterface|NetworkInterfaceI[Dd]|AllocationID|Address"
    r"|Subnet|SubnetID)\.NotFound"
    r"|InvalidInstance|InvalidInstanceID|InvalidTarget|TargetGroupNotFound|ResourceNotFoundException"
)
_WRONG_STATE: Final = re.compile(r"Incorrect(Instance)?State|InvalidAMIID\.Unavailable|InvalidInstanceID\.NotReady")
# These ask for a disk's state themselves, and wait for another one where that helps.
_KNOW_STATES: Final = frozenset({"AttachVolume", "DeleteVolume", "DetachVolume"})
_COURTESIES: Final = frozenset({"DeregisterInstancesFromLoadBalancer", "DeregisterTargets"})
_LOOKS: Final = frozenset(
    {
        "DescribeImages",
        "DescribeInstances",
        "DescribeNetworkInterfaces",
        "DescribeSnapshots",
        "DescribeSubnets",
        "DescribeVolumes",
    }
)
_ID: Final = re.compile(r"\b(?:i|vol|snap|ami|eni|eipalloc|subnet|sg|rtb|vpc)-[0-9a-f]{4,}\b")
_LONGEST_ID: Final = 256


class Visibility:
    """Which refusals and answers are too early."""

    def __init__(self) -> None:
        self._recent = Recent(private_files.folder() / "aws" / "recent", NOT_YET_SECONDS)

    def note(self, operation: str, parameters: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """What a call made, or ended."""
        if operation in _ENDING:
            self._recent.end(_texts(parameters))
        elif operation in _MADE:
            self._recent.note(_named(answer, _MADE[operation]))
        elif operation == "DescribeInstances":
            young = [item for item in _items(answer) if self._recent.left(item.get("InstanceId", ""))]
            self._recent.note(_named(young, _OF_A_VM))

    def changed(self, id_: str) -> None:
        """It was seen in a new state just now."""
        self._recent.note([id_], anew=True)

    def seconds_left(self, operation: str, parameters: Mapping[str, Any], refusal: errors.Refused) -> float:
        """For how long a refusal means "not yet"; 0: it means what it says."""
        code, known = refusal.code, operation in _KNOW_STATES and refusal.code == "IncorrectState"
        too_early = _NOT_FOUND.fullmatch(code) or (_WRONG_STATE.fullmatch(code) and not known)
        carried_out = operation in _ENDING and refusal.after_lost_answer
        if not too_early or carried_out or operation in _COURTESIES:
            return 0.0
        blamed = set(_ID.findall(refusal.message))
        return self._left(one for one in _texts(parameters) if not blamed or one in blamed)

    def seconds_left_of_nothing(self, operation: str, parameters: Mapping[str, Any], answer: Mapping[str, Any]) -> float:
        """The same for a look by id that tells of nothing."""
        if operation not in _LOOKS or any(isinstance(value, list) and value for value in answer.values()):
            return 0.0
        return self._left(_texts({key: value for key, value in parameters.items() if key != "Filters"}))

    def _left(self, ids: Iterable[str]) -> float:
        return max(map(self._recent.left, ids), default=0.0)


def _texts(value: Any) -> Iterator[str]:
    """Everything in a call's parameters that may be an id."""
    if isinstance(value, str):
        if len(value) <= _LONGEST_ID:
            yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _named(value: Any, keys: frozenset[str]) -> Iterator[str]:
    """The texts that lie under one of the keys, however deep."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key in keys and isinstance(item, str):
                yield item
            else:
                yield from _named(item, keys)
    elif isinstance(value, list):
        for item in value:
            yield from _named(item, keys)


def _items(answer: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for reservation in answer.get("Reservations", []):
        yield from reservation.get("Instances", [])
