"""One CPI for every cloud.

    import cpi

    with cpi.connect("cpi.json") as cloud:
        disk_cid = cloud.create_disk(cpi.MiB(10240), {})

The names below are the public ones. They are loaded when first used: the executable answers `info` without any of them.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cpi.connecting import connect, drivers
    from cpi.contract.capability import Capability
    from cpi.contract.cloud import Cloud
    from cpi.contract.errors import (
        CloudError,
        CpiError,
        DiskNotAttached,
        DiskNotFound,
        Error,
        NetworkNotFound,
        NoDiskSpace,
        NotImplemented,
        NotSupported,
        VMCreationFailed,
        VMNotFound,
    )
    from cpi.contract.ids import AgentId, DiskCid, NetworkCid, SnapshotCid, StemcellCid, VmCid
    from cpi.contract.model import (
        CallContext,
        CreatedNetwork,
        DiskHint,
        Info,
        Network,
        NetworkAddresses,
        NetworkDefinition,
        Vm,
        VmResources,
    )
    from cpi.contract.units import MiB

_HOMES = {
    "cpi.connecting": ("connect", "drivers"),
    "cpi.contract.capability": ("Capability",),
    "cpi.contract.cloud": ("Cloud",),
    "cpi.contract.errors": (
        "CloudError",
        "CpiError",
        "DiskNotAttached",
        "DiskNotFound",
        "Error",
        "NetworkNotFound",
        "NoDiskSpace",
        "NotImplemented",
        "NotSupported",
        "VMCreationFailed",
        "VMNotFound",
    ),
    "cpi.contract.ids": ("AgentId", "DiskCid", "NetworkCid", "SnapshotCid", "StemcellCid", "VmCid"),
    "cpi.contract.model": (
        "CallContext",
        "CreatedNetwork",
        "DiskHint",
        "Info",
        "Network",
        "NetworkAddresses",
        "NetworkDefinition",
        "Vm",
        "VmResources",
    ),
    "cpi.contract.units": ("MiB",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AgentId",
    "CallContext",
    "Capability",
    "Cloud",
    "CloudError",
    "CpiError",
    "CreatedNetwork",
    "DiskCid",
    "DiskHint",
    "DiskNotAttached",
    "DiskNotFound",
    "Error",
    "Info",
    "MiB",
    "Network",
    "NetworkAddresses",
    "NetworkCid",
    "NetworkDefinition",
    "NetworkNotFound",
    "NoDiskSpace",
    "NotImplemented",
    "NotSupported",
    "SnapshotCid",
    "StemcellCid",
    "VMCreationFailed",
    "VMNotFound",
    "Vm",
    "VmCid",
    "VmResources",
    "connect",
    "drivers",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'cpi' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
