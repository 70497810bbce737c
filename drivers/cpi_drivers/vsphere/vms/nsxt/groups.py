"""Groups of VMs, which name their members in an expression. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

Group = Mapping[str, Any]

_IDS: Final = "ExternalIDExpression"
_OR: Final = {"resource_type": "ConjunctionOperator", "conjunction_operator": "OR"}


def with_vm(group: Group, vm: str) -> Group | None:
    """The group with a VM, by its id outside of NSX; None if it has it."""
    parts = _parts(group)
    if any(vm in part["external_ids"] for part in parts if _names_vms(part)):
        return None
    own = next((part for part in parts if _names_vms(part)), None)
    if own is not None:
        own["external_ids"] = [*own["external_ids"], vm]
    else:
        added = {"resource_type": _IDS, "member_type": "VirtualMachine", "external_ids": [vm]}
        parts += [dict(_OR), added] if parts else [added]
    return {**group, "expression": parts}


def without_vm(group: Group, vm: str) -> Group | None:
    """The group without it; None if it does not name it. What the group says of tags and the like stays."""
    parts = _parts(group)
    naming = [part for part in parts if _names_vms(part) and vm in part["external_ids"]]
    if not naming:
        return None
    for part in naming:
        part["external_ids"] = [one for one in part["external_ids"] if one != vm]
    return {**group, "expression": _without_empty(parts)}


def _parts(group: Group) -> list[dict[str, Any]]:
    return [dict(part) for part in group.get("expression") or ()]


def _names_vms(part: Mapping[str, Any]) -> bool:
    return part.get("resource_type") == _IDS and part.get("member_type") == "VirtualMachine"


def _without_empty(parts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """An expression of no ids is none; the operator before it goes too, or the one after it if it is the first."""
    kept: list[dict[str, Any]] = []
    for index, part in enumerate(parts):
        if not (_names_vms(part) and not part["external_ids"]):
            kept.append(part)
        elif kept:
            kept.pop()
        elif index + 1 < len(parts):
            return _without_empty(parts[index + 2 :])
    return kept
