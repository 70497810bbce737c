"""CloudStack as a Cloud: the methods of the contract, each handed to the room that knows it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from cpi.contract.capability import Capability
from cpi.contract.cloud import Cloud
from cpi.contract.ids import AgentId, DiskCid, SnapshotCid, StemcellCid, VmCid
from cpi.contract.model import CloudConfig, CloudProperties, DiskHint, Env, Metadata, Networks, Vm, VmResources
from cpi.contract.operator import Finding, TaggedResource
from cpi.contract.units import MiB
from cpi.kit import private_files
from cpi.kit.deadline import Deadline, timed
from cpi.kit.vm_request import VmRequest
from cpi_drivers.cloudstack import STEMCELL_FORMATS, settings
from cpi_drivers.cloudstack.api import session
from cpi_drivers.cloudstack.api.client import Client
from cpi_drivers.cloudstack.api.inventory import Inventory
from cpi_drivers.cloudstack.api.offerings import Offerings
from cpi_drivers.cloudstack.disks.attachments import Attachments
from cpi_drivers.cloudstack.disks.changes import DiskChanges
from cpi_drivers.cloudstack.disks.lifecycle import Disks
from cpi_drivers.cloudstack.disks.snapshots import Snapshots
from cpi_drivers.cloudstack.doctor import checks as doctor
from cpi_drivers.cloudstack.stemcells.lifecycle import Stemcells
from cpi_drivers.cloudstack.vms.affinity import AffinityGroups
from cpi_drivers.cloudstack.vms.balancing import Balancing
from cpi_drivers.cloudstack.vms.creation import VmCreation
from cpi_drivers.cloudstack.vms.lifecycle import Vms

if TYPE_CHECKING:  # only `cpi sweep` needs it
    from cpi_drivers.cloudstack.doctor.leftovers import Leftovers

_POWERS: Final = frozenset(Capability) - {Capability.NETWORKS}


@timed
class CloudStackCloud(Cloud):
    """One account or project, at one endpoint."""

    name: ClassVar[str] = "cloudstack"
    session_type: ClassVar[str] = "libcloud.compute.drivers.cloudstack.CloudStackNodeDriver"
    stemcell_formats: ClassVar[tuple[str, ...]] = STEMCELL_FORMATS
    capabilities: ClassVar[frozenset[Capability]] = _POWERS

    def __init__(self, config: CloudConfig) -> None:
        self._context = context = config.context
        self._settings = settings.read(session.configured(config))
        strict = config.strict_properties
        self._client = client = Client(self._settings, private_files.folder(self._settings.cache_folder))
        self._inventory = inventory = Inventory(client, self._settings)
        self._offerings = offerings = Offerings(client, self._settings, inventory)
        groups = AffinityGroups(client, self._settings, inventory, context)
        self._vms = vms = Vms(client, self._settings, inventory, Balancing(client, inventory), groups)
        self._vm_creation = VmCreation(client, self._settings, inventory, vms, config.agent, context, strict=strict)
        self._disks = Disks(client, self._settings, inventory, offerings, strict=strict)
        self._changes = DiskChanges(client, inventory, offerings, strict=strict)
        self._attachments = Attachments(client, inventory)
        self._snapshots = Snapshots(client, inventory)
        self._stemcells = Stemcells(client, self._settings, inventory, strict=strict)

    @classmethod
    def connect(cls, config: CloudConfig) -> Self:
        """As the contract says; nothing is asked of the cloud before it is needed."""
        return cls(config)

    def deadline(self, call: str) -> Deadline:
        """As in Timed."""
        return Deadline(self._settings.longest(call), "call_timeout")

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    # ------------------------------------------------------------------ stemcells

    def create_stemcell(self, image_path: str, cloud_properties: CloudProperties, tags: Metadata) -> StemcellCid:
        return self._stemcells.create(image_path, cloud_properties, tags, self._context)

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
        request = VmRequest(agent_id, stemcell_cid, cloud_properties, networks, disk_cids or (), env, token)
        return self._vm_creation.create(request)

    def delete_vm(self, vm_cid: VmCid) -> None:
        self._vms.delete(vm_cid)

    def has_vm(self, vm_cid: VmCid) -> bool:
        return self._vms.has(vm_cid)

    def reboot_vm(self, vm_cid: VmCid) -> None:
        self._vms.reboot(vm_cid)

    def set_vm_metadata(self, vm_cid: VmCid, metadata: Metadata) -> None:
        self._vms.set_metadata(vm_cid, metadata)

    def calculate_vm_cloud_properties(self, resources: VmResources) -> CloudProperties:
        return self._offerings.smallest(resources)

    # ------------------------------------------------------------------ persistent disks

    def create_disk(
        self, size: MiB, cloud_properties: CloudProperties, vm_cid: VmCid | None = None, token: str | None = None
    ) -> DiskCid:
        return self._disks.create(size, cloud_properties, vm_cid, token, self._context)

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
        self._changes.grow_attached(vm_cid, disk_cid, size)

    # ------------------------------------------------------------------ snapshots

    def snapshot_disk(self, disk_cid: DiskCid, metadata: Metadata) -> SnapshotCid:
        return self._snapshots.create(disk_cid, metadata, self._context)

    def delete_snapshot(self, snapshot_cid: SnapshotCid) -> None:
        self._snapshots.delete(snapshot_cid)

    # ------------------------------------------------------------------ for people

    def examine(self) -> Iterator[Finding]:
        """As `cpi doctor` shows it."""
        yield from doctor.examine(self._client, self._settings, self._inventory)

    def agent_settings(self, vm_cid: VmCid) -> Mapping[str, Any]:
        """What the VM's agent reads."""
        return self._vms.agent_settings(vm_cid)

    def tagged_resources(self) -> Sequence[TaggedResource]:
        """As in ListsTaggedResources."""
        return self._leftovers().listed()

    def delete_tagged_resource(self, resource: TaggedResource) -> None:
        """As in ListsTaggedResources."""
        self._leftovers().delete(resource)

    def _leftovers(self) -> "Leftovers":
        from cpi_drivers.cloudstack.doctor.leftovers import Leftovers

        return Leftovers(self._client, self._inventory, self._vms, self._disks, self._snapshots, self._stemcells)
