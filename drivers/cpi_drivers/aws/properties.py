"""cloud_properties of VMs, disks, networks and stemcells. The tables of the documentation are made from these."""

import ipaddress
from typing import Annotated, Literal

import msgspec

from cpi_drivers.aws.settings import MetadataOptions

Described = msgspec.Meta


class EphemeralDisk(msgspec.Struct, frozen=True):
    """ephemeral_disk of a VM."""

    size: Annotated[int | None, Described(description="MiB; else the first instance store's size, else 10 GiB")] = None
    type: Annotated[str, Described(description="volume type")] = "gp3"
    iops: Annotated[int | None, Described(description="for io1, io2, gp3; gp3's free baseline is not sent")] = None
    throughput: Annotated[int | None, Described(description="MiB/s, for gp3; its free baseline is not sent")] = None
    encrypted: Annotated[bool | None, Described(description="else as the configuration says")] = None
    kms_key_arn: Annotated[str | None, Described(description="else as the configuration says")] = None
    use_instance_storage: Annotated[
        bool, Described(description="the instance store is the ephemeral disk; excludes all else here")
    ] = False
    use_root_disk: Annotated[bool, Described(description="no disk of its own: the root disk is made larger")] = False


class RootDisk(msgspec.Struct, frozen=True):
    """root_disk of a VM."""

    size: Annotated[int | None, Described(description="MiB; else the stemcell's size")] = None
    type: Annotated[str, Described(description="volume type")] = "gp3"
    iops: Annotated[int | None, Described(description="for io1, io2, gp3; gp3's free baseline is not sent")] = None
    throughput: Annotated[int | None, Described(description="MiB/s, for gp3; its free baseline is not sent")] = None


class Route(msgspec.Struct, frozen=True):
    """One of advertised_routes."""

    table_id: Annotated[str, Described(description="route table")]
    destination: Annotated[str, Described(description="CIDR, IPv4 or IPv6")]

    def __post_init__(self) -> None:
        ipaddress.ip_network(self.destination, strict=False)


class VmProperties(msgspec.Struct, frozen=True):
    """A VM type with its extensions and AZ."""

    instance_type: Annotated[str | None, Described(description="EC2 instance type")] = None
    instance_types: Annotated[tuple[str, ...], Described(description="tried in turn on missing capacity (ours)")] = ()
    availability_zone: Annotated[str | None, Described(description="zone; must agree with disks and subnets")] = None
    availability_zones: Annotated[tuple[str, ...], Described(description="tried in turn on missing capacity (ours)")] = ()
    security_groups: Annotated[
        tuple[str, ...], Described(description="ids or names; win over the network's, and those over the configuration's")
    ] = ()
    key_name: Annotated[str | None, Described(description="key pair; else as the configuration says")] = None
    spot_bid_price: Annotated[float | None, Described(description="USD an hour: a one-time spot VM")] = None
    spot_ondemand_fallback: Annotated[bool, Described(description="an ordinary VM if there is no spot capacity")] = False
    elbs: Annotated[tuple[str, ...], Described(description="classic load balancers, by name")] = ()
    lb_target_groups: Annotated[tuple[str, ...], Described(description="target groups of load balancers, by name")] = ()
    iam_instance_profile: Annotated[str | None, Described(description="name or ARN; else as the configuration says")] = None
    placement_group: Annotated[str | None, Described(description="placement group")] = None
    tenancy: Annotated[
        Literal["default", "dedicated", "host"], Described(description="`default`, `dedicated` or `host` (ours)")
    ] = "default"
    host_id: Annotated[str | None, Described(description="dedicated host, with tenancy `host`; else any that fits (ours)")] = None
    host_resource_group_arn: Annotated[str | None, Described(description="group of dedicated hosts, instead of one (ours)")] = (
        None
    )
    capacity_reservation_id: Annotated[
        str | None, Described(description="capacity reservation that the VM is taken from; else any open one that fits (ours)")
    ] = None
    capacity_reservation_resource_group_arn: Annotated[
        str | None, Described(description="group of capacity reservations, instead of one (ours)")
    ] = None
    auto_assign_public_ip: Annotated[bool, Described(description="a public address, for VMs with one network")] = False
    advertised_routes: Annotated[
        tuple[Route, ...], Described(description="routes that lead to the VM: `table_id`, `destination`")
    ] = ()
    source_dest_check: Annotated[bool, Described(description="false for VMs that forward packets")] = True
    raw_instance_storage: Annotated[bool, Described(description="the agent gets every instance store unformatted")] = False
    ephemeral_disk: Annotated[EphemeralDisk, Described(description="see below")] = EphemeralDisk()
    root_disk: Annotated[RootDisk, Described(description="see below")] = RootDisk()
    metadata_options: Annotated[MetadataOptions, Described(description="over those of the configuration")] = MetadataOptions()
    tags: Annotated[dict[str, str], Described(description="of the VM, its disks and its network interfaces, from birth")] = {}

    @property
    def vm_types(self) -> tuple[str, ...]:
        """The types to try, in order."""
        one = (self.instance_type,) if self.instance_type else ()
        return tuple(dict.fromkeys((*one, *self.instance_types)))


class DiskProperties(msgspec.Struct, frozen=True):
    """A disk type."""

    type: Annotated[str | None, Described(description="volume type; gp3 for a new disk, unchanged by update_disk")] = None
    iops: Annotated[int | None, Described(description="for io1, io2, gp3; gp3's free baseline is not sent")] = None
    throughput: Annotated[int | None, Described(description="MiB/s, for gp3; its free baseline is not sent")] = None
    encrypted: Annotated[bool | None, Described(description="else as the configuration says")] = None
    kms_key_arn: Annotated[str | None, Described(description="else as the configuration says")] = None
    tags: Annotated[dict[str, str], Described(description="from birth")] = {}
    name: Annotated[str | None, Described(description="the tag Name, as the director gives it to dynamic disks")] = None
    availability_zone: Annotated[
        str | None, Described(description="zone of a disk made for no VM (ours); else the region's first")
    ] = None


class NetworkProperties(msgspec.Struct, frozen=True):
    """cloud_properties of a network's subnet."""

    subnet: Annotated[
        str | None, Described(description="subnet id, for manual networks; without it a dynamic one takes the default")
    ] = None
    security_groups: Annotated[tuple[str, ...], Described(description="ids or names, for VMs that name none")] = ()
    vpc: Annotated[
        str | None, Described(description="VPC of a network to be made by create_network; else the default (ours)")
    ] = None
    availability_zone: Annotated[
        str | None, Described(description="zone of a network to be made by create_network; else EC2 chooses (ours)")
    ] = None
    route_table: Annotated[
        str | None, Described(description="route table of a network to be made by create_network; else the VPC's main one (ours)")
    ] = None


class StemcellProperties(msgspec.Struct, frozen=True):
    """The cloud_properties of a stemcell.MF."""

    ami: Annotated[dict[str, str] | None, Described(description="light stemcell: AMI by region")] = None
    encrypted: Annotated[bool | None, Described(description="else as the configuration says; a light stemcell is copied")] = None
    kms_key_arn: Annotated[str | None, Described(description="else as the configuration says")] = None
    name: Annotated[str | None, Described(description="for tags")] = None
    version: Annotated[str | None, Described(description="for tags")] = None
    architecture: Annotated[str, Described(description="`x86_64` or `arm64`")] = "x86_64"
    disk: Annotated[int, Described(description="MiB of the root disk of a heavy stemcell")] = 2048
    virtualization_type: Annotated[str, Described(description="`hvm` or `paravirtual`")] = "hvm"
    root_device_name: Annotated[str | None, Described(description="else /dev/xvda (hvm) or /dev/sda1")] = None
    kernel_id: Annotated[str | None, Described(description="paravirtual only")] = None
    boot_mode: Annotated[
        str | None,
        Described(description="`legacy-bios`, `uefi` or `uefi-preferred`; else `uefi` for arm64, `legacy-bios` for x86_64"),
    ] = None
    tpm_support: Annotated[
        Literal["v2.0"] | None, Described(description="NitroTPM of a heavy stemcell's VMs, which boot by UEFI then (ours)")
    ] = None
    tags: Annotated[dict[str, str], Described(description="of the image and its snapshot")] = {}
