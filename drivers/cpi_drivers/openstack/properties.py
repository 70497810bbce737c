"""What manifests may say: cloud_properties of VMs, disks, networks and stemcells."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from cpi.contract import errors

Positive = Annotated[int, msgspec.Meta(gt=0)]
Port = Annotated[int, msgspec.Meta(gt=0, lt=65536)]


class RootDisk(msgspec.Struct, frozen=True):
    """The root disk of a VM."""

    size: Positive
    """GiB; needs boot_from_volume."""


class Pool(msgspec.Struct, frozen=True):
    """A load balancer's pool that a VM joins."""

    name: str
    """The pool's name."""

    port: Port
    """The port on which the VM serves."""

    monitoring_port: Port | None = None
    """The port that is watched, if it is another."""


class VmProperties(msgspec.Struct, frozen=True):
    """A VM type with its extensions and its AZ."""

    instance_type: str | None = None
    """The flavour's name."""

    instance_types: tuple[str, ...] = ()
    """Flavours, tried in turn when the cloud has no room for one; instead of instance_type."""

    availability_zone: str | None = None
    """Nova's zone."""

    availability_zones: tuple[str, ...] = ()
    """Zones, tried in random order; needs ignore_server_availability_zone; instead of availability_zone."""

    security_groups: tuple[str, ...] = ()
    """Names or ids; they win over those of the networks, which win over default_security_groups."""

    key_name: str | None = None
    """The key pair. Default: default_key_name."""

    scheduler_hints: Mapping[str, Any] = {}
    """Handed to Nova's scheduler: `{group: <id>}`, say."""

    root_disk: RootDisk | None = None
    """The root disk, if it shall not be the flavour's."""

    boot_from_volume: bool | None = None
    """The root disk is on a volume. Default: the setting of the same name."""

    loadbalancer_pools: tuple[Pool, ...] = ()
    """Octavia pools that the VM joins."""

    allowed_address_pairs: str | None = None
    """One address (VRRP) that the VM's ports may carry besides their own."""

    vrrp_port_check: bool = True
    """Demand that a port with that address exists."""

    ephemeral_disk: Any = None
    """Means nothing, here as in the official CPI."""

    def __post_init__(self) -> None:
        if bool(self.instance_type) == bool(self.instance_types):
            raise errors.CpiError("expected instance_type, or instance_types: one of the two")
        if self.availability_zone and self.availability_zones:
            raise errors.CpiError("expected availability_zone or availability_zones, not both")

    @property
    def flavors(self) -> tuple[str, ...]:
        """The flavours to try."""
        return self.instance_types or (self.instance_type or "",)


class NetworkProperties(msgspec.Struct, frozen=True):
    """A network's."""

    net_id: str | None = None
    """The network's id; needed for manual and dynamic networks."""

    security_groups: tuple[str, ...] = ()
    """Names or ids, for all ports of VMs whose type names none."""

    vrrp_port_check: bool | None = None
    """As for VMs, and wins over it."""

    router_id: str | None = None
    """The router that a network made by create_network is joined to. Default: none; its VMs reach one another only."""


class DiskProperties(msgspec.Struct, frozen=True):
    """A disk type's."""

    type: str | None = None
    """The volume type. Default: default_volume_type, else Cinder's own default."""

    name: str | None = None
    """The disk's name, which directors give to dynamic disks. Default: volume-<uuid>."""


class StemcellProperties(msgspec.Struct, frozen=True):
    """What stemcell.MF says."""

    image_id: str | None = None
    """A light stemcell: the id of an image that is there already."""

    source_url: str | None = None
    """A light stemcell that the image service downloads itself (web-download), where it offers that."""

    name: str = "bosh-stemcell"
    """With the version, the image's name."""

    version: str = ""
    """See name."""

    disk_format: str = "qcow2"
    """qcow2, raw or what else the image service takes."""

    container_format: str = "bare"
    """bare, or what else the image service takes."""

    os_type: str | None = None
    """A property of the image, as those that follow."""

    os_distro: str | None = None
    """Property of the image."""

    architecture: str | None = None
    """Property of the image."""

    auto_disk_config: bool | str | None = None
    """Property of the image."""

    hw_vif_model: str | None = None
    """Property of the image."""

    hw_disk_bus: str | None = None
    """Property of the image: virtio shows disks by their id, which makes their letters irrelevant."""

    hw_disk_bus_model: str | None = None
    """Property of the image."""

    hw_scsi_model: str | None = None
    """Property of the image."""

    hw_vif_multiqueue_enabled: bool | str | None = None
    """Property of the image."""

    hw_firmware_type: str | None = None
    """Property of the image: uefi or bios. Default: what boot_mode says, else Nova's."""

    hw_machine_type: str | None = None
    """Property of the image; q35, say, which secure boot takes."""

    os_secure_boot: str | None = None
    """Property of the image: required, optional or disabled. It takes uefi."""

    hw_tpm_model: str | None = None
    """Property of the image: tpm-crb or tpm-tis, the model of a virtual TPM. It takes hw_tpm_version."""

    hw_tpm_version: str | float | None = None
    """Property of the image: 2.0 or 1.2; VMs have a virtual TPM."""

    boot_mode: str | None = None
    """uefi: as hw_firmware_type."""

    hypervisor: str | None = None
    """Property of the image, as hypervisor_type."""

    vmware_adaptertype: str | None = None
    """Property of the image."""

    vmware_disktype: str | None = None
    """Property of the image."""

    vmware_linked_clone: bool | str | None = None
    """Property of the image."""

    vmware_ostype: str | None = None
    """Property of the image."""

    tags: Mapping[str, Any] = {}
    """Tags of the image; those that create_stemcell is given win."""
