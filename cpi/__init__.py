"""One CPI for every cloud.

    import cpi

    with cpi.connect("cpi.json") as cloud:
        disk_cid = cloud.create_disk(cpi.MiB(10240), {})

The names below are public (docs/api.md). They are loaded at their first use, because the executable answers `info` without any of
them. The same holds for the public packages: cpi.migration, cpi.resurrection, cpi.agent, cpi.kit, cpi.rpc, cpi.testing.
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
        AgentDefaults,
        CallContext,
        CloudConfig,
        CloudProperties,
        CreatedNetwork,
        DiskHint,
        Env,
        Info,
        Metadata,
        Network,
        NetworkAddresses,
        NetworkDefinition,
        Networks,
        Vm,
        VmResources,
    )
    from cpi.contract.units import MiB
    from cpi.rpc.client import ExternalCloud

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
        "AgentDefaults",
        "CallContext",
        "CloudConfig",
        "CloudProperties",
        "CreatedNetwork",
        "DiskHint",
        "Env",
        "Info",
        "Metadata",
        "Network",
        "NetworkAddresses",
        "NetworkDefinition",
        "Networks",
        "Vm",
        "VmResources",
    ),
    "cpi.contract.units": ("MiB",),
    "cpi.rpc.client": ("ExternalCloud",),
}
_PACKAGES = ("agent", "kit", "migration", "resurrection", "rpc", "testing")
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AgentDefaults",
    "AgentId",
    "CallContext",
    "Capability",
    "Cloud",
    "CloudConfig",
    "CloudError",
    "CloudProperties",
    "CpiError",
    "CreatedNetwork",
    "DiskCid",
    "DiskHint",
    "DiskNotAttached",
    "DiskNotFound",
    "Env",
    "Error",
    "ExternalCloud",
    "Info",
    "Metadata",
    "MiB",
    "Network",
    "NetworkAddresses",
    "NetworkCid",
    "NetworkDefinition",
    "NetworkNotFound",
    "Networks",
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
    "__version__",
    "connect",
    "drivers",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("multicpi")
    if name in _PACKAGES:
        return importlib.import_module(f"cpi.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'cpi' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, *_PACKAGES])
