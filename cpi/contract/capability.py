"""The optional capabilities of a cloud, and the error for each one that is missing.

A driver declares what it supports in Cloud.capabilities. What it does not declare is refused with the error that the
director handles best: with the right class the director ignores the error or copies the disk; the wrong class ends a
deployment.
"""

import enum
from typing import Any

from cpi.contract import errors


class Capability(enum.Enum):
    """A feature that not every cloud has."""

    RESIZE_DISK = "resize_disk"
    UPDATE_DISK = "update_disk"
    SNAPSHOTS = "snapshots"
    DISK_METADATA = "disk_metadata"
    NETWORKS = "networks"
    VM_RESOURCES = "vm_resources"

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods of Cloud that this capability covers."""
        return _METHODS[self]


_METHODS: dict[Capability, tuple[str, ...]] = {
    Capability.RESIZE_DISK: ("resize_disk",),
    Capability.UPDATE_DISK: ("update_disk",),
    Capability.SNAPSHOTS: ("snapshot_disk", "delete_snapshot"),
    Capability.DISK_METADATA: ("set_disk_metadata",),
    Capability.NETWORKS: ("create_network", "delete_network"),
    Capability.VM_RESOURCES: ("calculate_vm_cloud_properties",),
}

# NotSupported makes the director copy the disk; for the others only NotImplemented is harmless.
_COPIED_INSTEAD = frozenset({Capability.RESIZE_DISK, Capability.UPDATE_DISK})


def refusal(capability: Capability, cloud: str, reason: str | None = None) -> errors.CpiError:
    """The error that the methods of a missing capability raise."""
    because = f": {reason}" if reason else ""
    if capability in _COPIED_INSTEAD:
        return errors.NotSupported(f"{cloud} does not support {capability.value}{because}; copy the data to a new disk instead")
    return errors.NotImplemented(f"{cloud} has no {capability.value.replace('_', ' ')}{because}")


def check_powers(cloud: Any, contract: Any) -> None:
    """Raises TypeError for a capability that a Cloud class declares but lacks, and for one that it has but does not declare."""
    for power in Capability:
        for name in power.methods:
            is_own = getattr(cloud, name) is not getattr(contract, name)
            if power in cloud.capabilities and not is_own:
                raise TypeError(f"{cloud.__name__} declares {power} but has no {name}")
            if power not in cloud.capabilities and is_own and name in vars(cloud):
                raise TypeError(f"{cloud.__name__} has {name} but does not declare {power}")
