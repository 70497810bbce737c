"""What manifests may say: cloud_properties of VMs, disks, networks and stemcells."""

from collections.abc import Mapping
from typing import Annotated

import msgspec

from cpi.contract import errors

Positive = Annotated[int, msgspec.Meta(gt=0)]
Port = Annotated[int, msgspec.Meta(gt=0, lt=65536)]


class LoadBalancerRule(msgspec.Struct, frozen=True):
    """A load balancer's rule that a VM joins."""

    name: str
    """The rule's name; it is made if there is none of that name at the address."""

    public_ip: str
    """The address it is on, which the account has."""

    private_port: Port
    """The port on which the VM serves."""

    public_port: Port
    """The port of the address."""

    algorithm: str = "roundrobin"
    """roundrobin, leastconn or source."""

    open_firewall: bool = False
    """The firewall lets it through."""


class Route(msgspec.Struct, frozen=True):
    """A route that the agent sets."""

    cidr: str
    """Where it leads."""

    gateway: str
    """By way of which address."""


class VmProperties(msgspec.Struct, frozen=True):
    """A VM type with its extensions and its AZ."""

    compute_offering: str
    """The compute offering, by name or id."""

    cpu: Positive | None = None
    """Cores, for a customised offering."""

    ram: Positive | None = None
    """MiB, for a customised offering."""

    cpu_speed: Positive = 2000
    """MHz, for a customised offering."""

    zone: str | None = None
    """The zone, by name or id. Default: default_zone."""

    disk: Annotated[int, msgspec.Meta(ge=0)] = 0
    """The size of the ephemeral disk in MiB; 0 is none."""

    ephemeral_disk_offering: str | None = None
    """The disk offering of the ephemeral disk, by name or id. Default: default_offer."""

    root_disk_size: Positive | None = None
    """The size of the root disk in MiB. Default: the template's."""

    key_name: str | None = None
    """The key pair. Default: default_key_name."""

    security_groups: tuple[str, ...] = ()
    """Names, in basic zones; they win over those of the networks, which win over default_security_groups."""

    affinity_group: str | None = None
    """The affinity group; it is made if there is none of that name."""

    affinity_group_type: str = "host anti-affinity"
    """Its type, if it is made."""

    lbs: tuple[LoadBalancerRule, ...] = ()
    """The load balancer rules that the VM joins."""

    routes: Mapping[str, tuple[Route, ...]] = {}
    """Routes besides the default one, by the name of a network of the VM; the agent sets them."""


class NetworkProperties(msgspec.Struct, frozen=True):
    """A network's."""

    name: str | None = None
    """The network, by name or id, a tier of a VPC too; none in basic zones."""

    undiscoverable: bool = False
    """Its NIC is never the VM's first, which has the default route and the user data."""

    security_groups: tuple[str, ...] = ()
    """Names, in basic zones, for VMs whose type names none."""


class DiskProperties(msgspec.Struct, frozen=True):
    """A disk type's."""

    disk_offering: str | None = None
    """The disk offering, by name or id. Default: default_offer."""

    zone: str | None = None
    """The zone of a disk that is made for no VM. Default: default_zone."""


class StemcellProperties(msgspec.Struct, frozen=True):
    """What stemcell.MF says."""

    light_template: str | None = None
    """A light stemcell: the name or the id of a template that is there already."""

    source_url: str | None = None
    """A template that the cloud downloads itself, instead of an upload of the image."""

    name: str = "bosh-stemcell"
    """With the version, the template's display text."""

    version: str = ""
    """See name."""

    infrastructure: str = "cloudstack"
    """Must be cloudstack."""

    architecture: str = "x86_64"
    """Must be x86_64."""

    hypervisor: str = "xen"
    """xen, kvm, vmware or hyperv."""

    disk_format: str | None = None
    """vhd, vhdx, qcow2, ova or raw. Default: the hypervisor's own."""

    os_type: str | None = None
    """The guest OS type by its description; `linux` is stemcell.os_type of the configuration."""

    zone: str | None = None
    """The zone that it is sent to. Default: default_zone."""

    def __post_init__(self) -> None:
        for key, value, wanted in (
            ("infrastructure", self.infrastructure, {"cloudstack"}),
            ("architecture", self.architecture, {"x86_64"}),
            ("hypervisor", self.hypervisor.lower(), {"xen", "xenserver", "kvm", "vmware", "hyperv"}),
        ):
            if value not in wanted:
                raise errors.CpiError(f"{key}: expected {' or '.join(sorted(wanted))}, got {value!r}")
