"""What manifests may say: cloud_properties of VMs, disks, networks and stemcells."""

from typing import Annotated, Final, Literal

import msgspec

from cpi.contract import errors

Positive = Annotated[int, msgspec.Meta(gt=0)]

BUSES: Final = {"lsilogic": "lsilogic", "lsilogicsas": "lsilogicsas", "paravirtual": "VirtualSCSI", "buslogic": "buslogic"}


class VmProperties(msgspec.Struct, frozen=True):
    """A VM type with its extensions and its AZ."""

    cpu: Positive | None = None
    """Virtual CPUs. Required without a sizing_policy."""

    ram: Positive | None = None
    """MiB of memory. Required without a sizing_policy."""

    disk: Annotated[int, msgspec.Meta(ge=0)] = 0
    """The size of the ephemeral disk in MiB; 0 is none."""

    cores_per_socket: Positive | None = None
    """Virtual CPUs in a socket. Default: the stemcell's."""

    storage_profile: str | None = None
    """The storage profile of the VM and its own disks. Default: entities.vapp_storage_profile."""

    sizing_policy: str | None = None
    """The VM sizing policy, by name; it says cpu and ram unless they are said here."""

    placement_policy: str | None = None
    """The VM placement policy, by name."""

    vapp: str | None = None
    """A vApp that is there, by name, in which the VM is made beside others; env.vapp says the same. Default: one of its own."""

    nic_type: str = "VMXNET3"
    """The kind of its network adapters: VMXNET3, E1000, E1000E."""

    def __post_init__(self) -> None:
        if self.sizing_policy is None and (self.cpu is None or self.ram is None):
            raise errors.CpiError("expected cpu and ram, or sizing_policy")


class NetworkProperties(msgspec.Struct, frozen=True):
    """A network's."""

    name: str
    """The network of the vDC, by name."""

    allocation: Literal["POOL", "DHCP"] = "POOL"
    """How a dynamic network's address is found: POOL, the network's static pool, or DHCP."""


class DiskProperties(msgspec.Struct, frozen=True):
    """A disk type's."""

    storage_profile: str | None = None
    """The storage profile. Default: entities.disk_storage_profile."""

    bus_type: str = "lsilogic"
    """The SCSI controller that it is attached to: lsilogic, lsilogicsas, paravirtual or buslogic."""

    def __post_init__(self) -> None:
        if self.bus_type not in BUSES:
            raise errors.CpiError(f"bus_type: expected one of {', '.join(BUSES)}, got {self.bus_type!r}")


class StemcellProperties(msgspec.Struct, frozen=True):
    """What stemcell.MF says."""

    vapp_template: str | None = None
    """A light stemcell: the name or the URN of a catalog item that is there already."""

    catalog: str | None = None
    """The catalog of that item. Default: entities.vapp_catalog."""

    name: str = "bosh-stemcell"
    """With the version, what the template is described by."""

    version: str = ""
    """See name."""

    storage_profile: str | None = None
    """The storage profile of the template. Default: entities.media_storage_profile."""
