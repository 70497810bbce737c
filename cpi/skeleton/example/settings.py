"""The driver's block of the configuration, `cloud.properties.example`, and the cloud properties of VMs and disks."""

import msgspec

from cpi.kit.settings import Secret


class ExampleSettings(msgspec.Struct, frozen=True):
    """Keys that are unknown, missing or of the wrong kind are refused, all at once, by name."""

    folder: str
    """Where the fake cloud keeps its file. A real driver has an endpoint and a login here."""

    password: Secret = Secret("")
    """Values of the type Secret are masked wherever they would be shown."""


class VmProperties(msgspec.Struct, frozen=True):
    """cloud_properties of a VM type."""

    cpu: int = 1
    ram: int = 1024
    """MiB."""


class DiskProperties(msgspec.Struct, frozen=True):
    """cloud_properties of a disk type."""

    type: str = "standard"
