"""What manifests may say: cloud_properties of VMs, disks, networks and stemcells."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from cpi.contract import errors
from cpi_drivers.vsphere.nsxt_settings import VmNsxt
from cpi_drivers.vsphere.settings import DISK_TYPES, Clusters

Positive = Annotated[int, msgspec.Meta(gt=0)]


class Place(msgspec.Struct, frozen=True):
    """A datacenter, as an AZ names it."""

    name: str | None = None
    """A datacenter of the configuration. Default: the first. If there is only one, any other name means it, and is logged."""

    clusters: Clusters = ()
    """The clusters that VMs may lie in. Default: those of the configuration."""


class DatastoreClusters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Datastore clusters, of which every datastore is meant."""

    clusters: tuple[str | Mapping[str, Any], ...]
    """Their names or paths, or objects of one with an empty object, as in an AZ."""

    @property
    def names(self) -> list[str]:
        """Of the clusters."""
        return [name for one in self.clusters for name in ([one] if isinstance(one, str) else one)]


Datastores = tuple[str | DatastoreClusters, ...]


class PciDevice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of PCI device."""

    vendor_id: int | str
    """A number, or hexadecimal as `0x10de`."""

    device_id: int | str
    """As vendor_id."""

    @property
    def numbers(self) -> tuple[int, int]:
        """Both."""
        vendor, device = (one if isinstance(one, int) else int(one, 16) for one in (self.vendor_id, self.device_id))
        return vendor, device

    def __post_init__(self) -> None:
        try:
            _ = self.numbers
        except ValueError as error:
            raise errors.CpiError(f"vendor_id, device_id: expected numbers, or hexadecimal as 0x10de: {error}") from error


class StoragePolicy(msgspec.Struct, frozen=True):
    """A storage policy of the vCenter."""

    name: str
    """Its name."""


class Tag(msgspec.Struct, frozen=True):
    """A tag of the vCenter."""

    category: str
    """The name of its category."""

    tag: str
    """Its name."""


class VmProperties(msgspec.Struct, frozen=True):
    """A VM type with its extensions and its AZ."""

    cpu: Positive
    """How many virtual CPUs."""

    ram: Positive
    """MiB of memory."""

    disk: Positive
    """MiB of the ephemeral disk."""

    datacenters: tuple[Place, ...] = ()
    """Where the VM may lie; the first is used. Default: the first of the configuration."""

    datastores: Datastores = ()
    """Names of datastores, or objects with those of datastore clusters, instead of datastore_pattern."""

    enable_human_readable_name: bool | None = None
    """It is called after its instance group and deployment. Default: the setting of the same name."""

    vm_group: str | None = None
    """A DRS VM group that it joins; made if there is none, removed with its last VM."""

    disable_drs: bool = False
    """DRS leaves it where it is."""

    cpu_hot_add_enabled: bool = False
    """CPUs can be added while it runs."""

    memory_hot_add_enabled: bool = False
    """Memory can be added while it runs."""

    cpu_reserve_full_mhz: bool | None = None
    """Its CPUs' full clock is reserved. Default: the setting of the same name."""

    memory_reservation_locked_to_max: bool | None = None
    """All its memory is reserved. Default: the setting of the same name."""

    upgrade_hw_version: bool | None = None
    """It gets the newest hardware version that its host knows. Default: the setting of the same name."""

    nested_hardware_virtualization: bool = False
    """Hypervisors can run in it."""

    root_disk_size_gb: Positive | None = None
    """GiB of the root disk, if it is to be larger than the stemcell's: the VM is then a full clone."""

    firmware: Literal["bios", "efi"] | None = None
    """bios or efi. Default: the stemcell's."""

    secure_boot: bool | None = None
    """It boots what is signed alone; it takes the firmware efi. Default: the stemcell's."""

    vtpm: bool = False
    """It has a virtual TPM; it takes the firmware efi and a key provider: key_provider, or the vCenter's default one."""

    key_provider: str | None = None
    """The key provider by whose keys its home, root and ephemeral disk are encrypted: the VM is then a full clone."""

    vmx_options: Mapping[str, Any] = {}
    """Options of its extraConfig; they win over those of the settings."""

    pci_passthroughs: tuple[PciDevice, ...] = ()
    """PCI devices of its host that are its own; they reserve all its memory."""

    vgpus: tuple[str, ...] = ()
    """Profiles of virtual GPUs; they reserve all its memory."""

    storage_policy: StoragePolicy | None = None
    """The storage policy of its home, root and ephemeral disk. Default: vm_storage_policy_name."""

    tags: tuple[Tag, ...] = ()
    """Tags of the vCenter that it gets; they must exist. What fails of them is logged."""

    device_groups: tuple[str, ...] = ()
    """Names of vendor device groups (vSphere 8): devices of a host that it gets together; they reserve all its memory."""

    nsx: Any = None
    """Must be absent: NSX-V has come to its end."""

    nsxt: VmNsxt | None = None
    """Groups and server pools of NSX-T that it joins. The configuration must have an nsxt block."""

    def __post_init__(self) -> None:
        if self.nsx is not None:
            raise errors.CpiError("nsx: NSX-V has come to its end and is not supported: use distributed port groups")

        if self.firmware == "bios" and (self.secure_boot or self.vtpm):
            raise errors.CpiError(f"{'vtpm' if self.vtpm else 'secure_boot'}: needs firmware: efi, got 'bios'")

    @property
    def is_whole(self) -> bool:
        """Whether it is a full clone: a linked one has the size and the encryption of its stemcell."""
        return self.root_disk_size_gb is not None or self.key_provider is not None

    @property
    def has_devices(self) -> bool:
        """Whether it holds devices of its host."""
        return bool(self.pci_passthroughs or self.vgpus or self.device_groups)


class NetworkProperties(msgspec.Struct, frozen=True):
    """A network's."""

    name: str
    """A port group, a distributed one (also as `switch/port group`), or an NSX segment."""


class DiskProperties(msgspec.Struct, frozen=True):
    """A persistent disk's."""

    type: str | None = None
    """preallocated, thin, thick or eagerZeroedThick. Default: default_disk_type."""

    datastores: Datastores = ()
    """As for a VM, instead of persistent_datastore_pattern; the disk remembers them, those of a cluster as they are now."""

    name: str | None = None
    """The disk's CID, which directors give to dynamic disks; such a disk is a VMDK. Default: disk-<uuid>."""

    fcd: bool | None = None
    """Whether it is a First Class Disk. Default: the setting of the same name."""

    storage_policy: StoragePolicy | None = None
    """Its storage policy. Default: none but the datastore's own."""

    def __post_init__(self) -> None:
        if self.type is not None and self.type not in DISK_TYPES:
            raise errors.CpiError(f"type: expected one of {', '.join(DISK_TYPES)}, got {self.type!r}")
