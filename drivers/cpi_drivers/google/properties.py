"""cloud_properties of VMs, disks, networks and stemcells. The tables of the documentation are made from these."""

from typing import Annotated, Literal

import msgspec

Described = msgspec.Meta


class Accelerator(msgspec.Struct, frozen=True):
    """One of accelerators."""

    type: Annotated[str, Described(description="accelerator type, nvidia-tesla-t4 say")]
    count: Annotated[int, Described(description="how many")] = 1


class BackendService(msgspec.Struct, frozen=True):
    """backend_service of a VM, if it is more than a name."""

    name: Annotated[str, Described(description="backend service")]
    scheme: Annotated[
        Literal["INTERNAL", "EXTERNAL"] | None,
        Described(description="needed only where a regional and a global one have the same name"),
    ] = None


class ShieldedVm(msgspec.Struct, frozen=True):
    """shielded_vm of a VM; what is left out is as Google has it for the image."""

    secure_boot: Annotated[bool | None, Described(description="only signed boot loaders and kernels")] = None
    vtpm: Annotated[bool | None, Described(description="a virtual TPM 2.0")] = None
    integrity_monitoring: Annotated[bool | None, Described(description="boots are compared with the first")] = None


class VmProperties(msgspec.Struct, frozen=True):
    """A VM type with its extensions and AZ."""

    zone: Annotated[str | None, Described(description="zone; must agree with disks")] = None
    zones: Annotated[tuple[str, ...], Described(description="tried in turn on missing capacity (ours)")] = ()
    machine_type: Annotated[str | None, Described(description="predefined machine type, or cpu and ram")] = None
    machine_types: Annotated[tuple[str, ...], Described(description="tried in turn on missing capacity (ours)")] = ()
    cpu: Annotated[int | None, Described(description="vCPUs of a custom machine type")] = None
    ram: Annotated[int | None, Described(description="MB of memory of a custom machine type")] = None
    machine_series: Annotated[str, Described(description="series of a custom machine type")] = "n1"
    name: Annotated[str | None, Described(description="the VM's name, else vm- and a UUID")] = None
    root_disk_size_gb: Annotated[
        int | None, Described(description="else as the configuration says, else 10, or the stemcell's size if that is larger")
    ] = None
    root_disk_type: Annotated[str | None, Described(description="else as the configuration says, else pd-standard")] = None
    root_disk_iops: Annotated[int | None, Described(description="for hyperdisks and pd-extreme (ours)")] = None
    root_disk_throughput: Annotated[int | None, Described(description="MiB/s, for hyperdisks (ours)")] = None
    ephemeral_disk_type: Annotated[
        Literal["local-ssd"] | None,
        Described(description="`local-ssd`: the ephemeral disk is a local SSD, as many as the machine type needs"),
    ] = None
    automatic_restart: Annotated[bool, Described(description="Google restarts the VM when its host fails")] = False
    on_host_maintenance: Annotated[
        Literal["MIGRATE", "TERMINATE"], Described(description="TERMINATE always, where Google cannot migrate")
    ] = "MIGRATE"
    preemptible: Annotated[bool, Described(description="a preemptible VM")] = False
    provisioning_model: Annotated[Literal["SPOT", "STANDARD"] | None, Described(description="`SPOT` or `STANDARD`")] = None
    service_account: Annotated[str | None, Described(description="e-mail of the VM's service account, or `default`")] = None
    service_scopes: Annotated[
        tuple[str, ...], Described(description="short or whole names; cloud-platform if there is a service account")
    ] = ()
    accelerators: Annotated[tuple[Accelerator, ...], Described(description="GPUs: `type`, `count`")] = ()
    target_pool: Annotated[str | None, Described(description="target pool that the VM joins")] = None
    backend_service: Annotated[
        str | BackendService | None,
        Described(description="name, or `name` and `scheme`: joined through its unmanaged instance group in the VM's zone"),
    ] = None
    ephemeral_external_ip: Annotated[bool | None, Described(description="a public address; else as the network says")] = None
    ip_forwarding: Annotated[bool | None, Described(description="the VM may forward packets; else as the network says")] = None
    tags: Annotated[tuple[str, ...], Described(description="network tags, with the networks' and env.bosh.groups")] = ()
    labels: Annotated[dict[str, str], Described(description="of the VM and its disks, from birth")] = {}
    node_group: Annotated[str | None, Described(description="sole-tenant node group; not for SPOT")] = None
    shielded_vm: Annotated[
        ShieldedVm | None,
        Described(description="`secure_boot`, `vtpm`, `integrity_monitoring`; the image must boot by UEFI (ours)"),
    ] = None
    confidential_vm: Annotated[
        Literal["SEV", "SEV_SNP", "TDX"] | None,
        Described(description="memory is encrypted, by a machine type that can; such a VM is not migrated (ours)"),
    ] = None
    reservation: Annotated[
        str | None, Described(description="reservation that the VM is taken from, by name; else any that fits (ours)")
    ] = None
    placement_policy: Annotated[
        str | None, Described(description="resource policy for spread placement, by name: keeps VMs apart (ours)")
    ] = None
    availability_domains: Annotated[
        int | None,
        Described(description="2 to 8: the VMs of an instance group are spread over so many, by a policy made for it (ours)"),
    ] = None


class DiskProperties(msgspec.Struct, frozen=True):
    """A disk type."""

    type: Annotated[str | None, Described(description="disk type; pd-standard for a new disk, unchanged by update_disk")] = None
    zone: Annotated[str | None, Described(description="zone of a disk made for no VM")] = None
    iops: Annotated[int | None, Described(description="for hyperdisks and pd-extreme (ours)")] = None
    throughput: Annotated[int | None, Described(description="MiB/s, for hyperdisks (ours)")] = None
    labels: Annotated[dict[str, str], Described(description="from birth (ours)")] = {}


class NetworkProperties(msgspec.Struct, frozen=True):
    """cloud_properties of a network's subnet."""

    network_name: Annotated[str | None, Described(description="VPC network; default if there is no subnetwork either")] = None
    subnetwork_name: Annotated[str | None, Described(description="subnetwork in the VM's region")] = None
    xpn_host_project_id: Annotated[str | None, Described(description="host project of a shared VPC")] = None
    ephemeral_external_ip: Annotated[bool, Described(description="a public address")] = False
    ip_forwarding: Annotated[bool, Described(description="the VM may forward packets")] = False
    tags: Annotated[tuple[str, ...], Described(description="network tags")] = ()
    dual_stack: Annotated[
        bool, Described(description="an IPv6 address beside the IPv4 one, of a subnetwork that has both (ours)")
    ] = False
    external_ipv6: Annotated[
        bool, Described(description="a public IPv6 address beside the IPv4 one, of a subnetwork whose IPv6 is external (ours)")
    ] = False
    region: Annotated[str | None, Described(description="region of a network to be made by create_network (ours)")] = None


class StemcellProperties(msgspec.Struct, frozen=True):
    """The cloud_properties of a stemcell.MF."""

    image_url: Annotated[str | None, Described(description="light stemcell: URL of an image, or of a family")] = None
    source_url: Annotated[str | None, Described(description="URL of a packed disk in Cloud Storage")] = None
    raw_disk_sha1: Annotated[str | None, Described(description="its SHA-1, checked by Google")] = None
    name: Annotated[str | None, Described(description="for labels")] = None
    version: Annotated[str | None, Described(description="for labels")] = None
    architecture: Annotated[str, Described(description="`x86_64` or `arm64`")] = "x86_64"
    guest_os_features: Annotated[
        tuple[str, ...], Described(description="of a heavy stemcell's image: `UEFI_COMPATIBLE` for shielded VMs, say (ours)")
    ] = ()
    labels: Annotated[dict[str, str], Described(description="of the image (ours)")] = {}
