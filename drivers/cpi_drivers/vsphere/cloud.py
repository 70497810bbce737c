"""vSphere as a Cloud: the methods of the contract, each handed to the room that knows it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

from cpi.contract import errors
from cpi.contract.capability import Capability
from cpi.contract.cloud import Cloud
from cpi.contract.ids import AgentId, DiskCid, NetworkCid, SnapshotCid, StemcellCid, VmCid
from cpi.contract.model import (
    CloudConfig,
    CloudProperties,
    CreatedNetwork,
    DiskHint,
    Env,
    Metadata,
    NetworkDefinition,
    Networks,
    Vm,
    VmResources,
)
from cpi.contract.operator import Finding
from cpi.contract.units import MiB
from cpi.kit.deadline import Deadline, timed
from cpi.kit.vm_request import VmRequest
from cpi_drivers.vsphere import STEMCELL_FORMATS, settings
from cpi_drivers.vsphere.api import session
from cpi_drivers.vsphere.api.datacenters import Sites
from cpi_drivers.vsphere.disks.attachments import Attachments
from cpi_drivers.vsphere.disks.changes import DiskChanges
from cpi_drivers.vsphere.disks.first_class import FirstClass
from cpi_drivers.vsphere.disks.growth import AttachedGrowth
from cpi_drivers.vsphere.disks.lifecycle import Disks
from cpi_drivers.vsphere.disks.snapshots import Snapshots
from cpi_drivers.vsphere.doctor import checks as doctor
from cpi_drivers.vsphere.stemcells.lifecycle import Stemcells
from cpi_drivers.vsphere.vms.creation import VmCreation
from cpi_drivers.vsphere.vms.lifecycle import Vms

# vSphere's own maxima for one VM (8.0).
_MOST_CPUS: Final = 768
_MOST_RAM: Final = 24 << 20
_MOST_DISK: Final = 62 << 20


@timed
class VsphereCloud(Cloud):
    """The datacenters of one vCenter, or of several."""

    name: ClassVar[str] = "vsphere"
    block: ClassVar[str] = "vcenters"
    session_type: ClassVar[str] = "pyVmomi.VmomiSupport.vim.ServiceInstance"
    stemcell_formats: ClassVar[tuple[str, ...]] = STEMCELL_FORMATS
    capabilities: ClassVar[frozenset[Capability]] = frozenset(Capability) - {Capability.NETWORKS}

    def __init__(self, config: CloudConfig, vcenters: Sequence[settings.VCenter]) -> None:
        strict = config.strict_properties
        self._longest_call = max(vcenter.longest_call for vcenter in vcenters)
        self._sites = sites = Sites(vcenters, config.context.director_uuid, config.session)
        first_class = FirstClass(sites, config.context)
        self._disks = Disks(sites, first_class, config.context, strict=strict)
        self._changes = DiskChanges(self._disks, first_class, strict=strict)
        self._growth = AttachedGrowth(sites, self._disks)
        self._snapshots = Snapshots(sites, self._disks, first_class, config.context)
        self._attachments = Attachments(sites, self._disks, first_class)
        self._stemcells = Stemcells(sites, config.context)
        self._vms = Vms(sites, self._attachments)
        self._creation = VmCreation(sites, self._disks, self._stemcells, self._vms, config.agent, config.context, strict=strict)

    @classmethod
    def connect(cls, config: CloudConfig) -> "VsphereCloud":
        """As the contract says; nothing is asked of the vCenter before it is needed."""
        config = session.configured(config)
        vcenters = settings.read(config)
        if not any(vcenter.nsxt for vcenter in vcenters):
            return cls(config, vcenters)
        return NetworkedVsphereCloud(config, vcenters)

    def deadline(self, _call: str) -> Deadline:
        """As in Timed."""
        return Deadline(self._longest_call, "call_timeout")

    def close(self) -> None:
        """Let go of connections."""
        self._sites.close()

    # ------------------------------------------------------------------ stemcells

    def create_stemcell(self, image_path: str, cloud_properties: CloudProperties, tags: Metadata) -> StemcellCid:
        return self._stemcells.create(image_path, tags)

    def delete_stemcell(self, stemcell_cid: StemcellCid) -> None:
        self._stemcells.delete(stemcell_cid)

    # ------------------------------------------------------------------ VMs

    def create_vm(
        self,
        agent_id: AgentId,
        stemcell_cid: StemcellCid,
        cloud_properties: CloudProperties,
        networks: Networks,
        disk_cids: Sequence[DiskCid] = (),
        env: Env | None = None,
        token: str | None = None,
    ) -> Vm:
        return self._creation.create(VmRequest(agent_id, stemcell_cid, cloud_properties, networks, disk_cids or (), env, token))

    def delete_vm(self, vm_cid: VmCid) -> None:
        self._vms.delete(vm_cid)

    def has_vm(self, vm_cid: VmCid) -> bool:
        return self._vms.has(vm_cid)

    def reboot_vm(self, vm_cid: VmCid) -> None:
        self._vms.reboot(vm_cid)

    def set_vm_metadata(self, vm_cid: VmCid, metadata: Metadata) -> None:
        self._vms.set_metadata(vm_cid, metadata)

    def calculate_vm_cloud_properties(self, resources: VmResources) -> CloudProperties:
        requested = {"cpu": resources.cpu, "ram": resources.ram, "disk": resources.ephemeral_disk_size}
        most = {"cpu": _MOST_CPUS, "ram": _MOST_RAM, "disk": _MOST_DISK}
        over = [f"{key} of {requested[key]}, {most[key]} at most" for key in requested if requested[key] > most[key]]
        if over:
            raise errors.NotSupported(f"vSphere has no VM so large: {'; '.join(over)}")
        return requested

    # ------------------------------------------------------------------ persistent disks

    def create_disk(
        self, size: MiB, cloud_properties: CloudProperties, vm_cid: VmCid | None = None, token: str | None = None
    ) -> DiskCid:
        return self._disks.create(size, cloud_properties, vm_cid, token)

    def delete_disk(self, disk_cid: DiskCid) -> None:
        self._disks.delete(disk_cid)

    def has_disk(self, disk_cid: DiskCid) -> bool:
        return self._disks.has(disk_cid)

    def attach_disk(self, vm_cid: VmCid, disk_cid: DiskCid) -> DiskHint:
        return self._attachments.attach(vm_cid, disk_cid)

    def detach_disk(self, vm_cid: VmCid, disk_cid: DiskCid) -> None:
        self._attachments.detach(vm_cid, disk_cid)

    def get_disks(self, vm_cid: VmCid) -> Sequence[DiskCid]:
        return self._attachments.disks_of(vm_cid)

    def set_disk_metadata(self, disk_cid: DiskCid, metadata: Metadata) -> None:
        self._disks.set_metadata(disk_cid, metadata)

    def disk_tags(self, disk_cid: DiskCid) -> Mapping[str, str]:
        """As in ShowsDiskTags."""
        return self._disks.metadata(disk_cid)

    def resize_disk(self, disk_cid: DiskCid, size: MiB) -> None:
        self._changes.resize(disk_cid, size)

    def update_disk(self, disk_cid: DiskCid, size: MiB, cloud_properties: CloudProperties) -> DiskCid:
        return self._changes.update(disk_cid, size, cloud_properties)

    def grow_attached_disk(self, vm_cid: VmCid, disk_cid: DiskCid, size: MiB) -> None:
        """As in GrowsAttachedDisks."""
        self._growth.grow(vm_cid, disk_cid, size)

    # ------------------------------------------------------------------ snapshots

    def snapshot_disk(self, disk_cid: DiskCid, metadata: Metadata) -> SnapshotCid:
        return self._snapshots.create(disk_cid, metadata)

    def delete_snapshot(self, snapshot_cid: SnapshotCid) -> None:
        self._snapshots.delete(snapshot_cid)

    # ------------------------------------------------------------------ for people

    def agent_settings(self, vm_cid: VmCid) -> Mapping[str, Any]:
        """What the VM's agent was given."""
        return self._vms.agent_settings(vm_cid)

    def examine(self) -> Iterator[Finding]:
        """As `cpi doctor` shows it."""
        return doctor.examine(self._sites)


@timed
class NetworkedVsphereCloud(VsphereCloud):
    """Datacenters of which at least one has an NSX manager."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset(Capability)

    def __init__(self, config: CloudConfig, vcenters: Sequence[settings.VCenter]) -> None:
        super().__init__(config, vcenters)
        from cpi_drivers.vsphere.networks.managed import ManagedNetworks

        self._networks = ManagedNetworks(self._sites, config.context, strict=config.strict_properties)

    def create_network(self, definition: NetworkDefinition) -> CreatedNetwork:
        """As the contract says."""
        return self._networks.create(definition)

    def delete_network(self, network_cid: NetworkCid) -> None:
        """As the contract says."""
        self._networks.delete(network_cid)

    def examine(self) -> Iterator[Finding]:
        """As `cpi doctor` shows it."""
        from cpi_drivers.vsphere.doctor import nsxt

        yield from super().examine()
        yield from nsxt.examine(self._sites)

    def examine_vm_type(self, vm_type: CloudProperties, networks: Sequence[CloudProperties]) -> Iterator[Finding]:
        """The groups and server pools that a VM type names in NSX."""
        from cpi_drivers.vsphere.doctor import nsxt

        yield from nsxt.examine_vm_type(self._sites, vm_type)
