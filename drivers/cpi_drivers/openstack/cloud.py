"""OpenStack as a Cloud: the methods of the contract, each handed to the room that knows it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Self

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
from cpi.contract.operator import Finding, TaggedResource
from cpi.contract.units import MiB
from cpi.kit.deadline import Deadline, timed
from cpi.kit.vm_request import VmRequest
from cpi_drivers.openstack import STEMCELL_FORMATS, settings
from cpi_drivers.openstack.api import session
from cpi_drivers.openstack.api.client import Client
from cpi_drivers.openstack.api.states import Waits
from cpi_drivers.openstack.api.volumes import Volumes
from cpi_drivers.openstack.disks.attachments import Attachments
from cpi_drivers.openstack.disks.changes import DiskChanges
from cpi_drivers.openstack.disks.lifecycle import Disks
from cpi_drivers.openstack.disks.snapshots import Snapshots
from cpi_drivers.openstack.doctor import checks as doctor
from cpi_drivers.openstack.networks.managed import ManagedNetworks
from cpi_drivers.openstack.stemcells.lifecycle import Stemcells
from cpi_drivers.openstack.vms.creation import VmCreation
from cpi_drivers.openstack.vms.flavors import Flavors
from cpi_drivers.openstack.vms.lifecycle import Vms

if TYPE_CHECKING:  # only `cpi sweep` needs it
    from cpi_drivers.openstack.doctor.leftovers import Leftovers


@timed
class OpenStackCloud(Cloud):
    """One project in one region."""

    name: ClassVar[str] = "openstack"
    session_type: ClassVar[str] = "openstack.connection.Connection"
    beside_block: ClassVar[tuple[str, ...]] = ("retry_config",)  # in the Go CPI's document
    stemcell_formats: ClassVar[tuple[str, ...]] = STEMCELL_FORMATS
    capabilities: ClassVar[frozenset[Capability]] = frozenset(Capability)

    def __init__(self, config: CloudConfig) -> None:
        self._config = config = session.configured(config)
        self._settings = settings.read(config)
        strict = config.strict_properties
        self._client = client = Client(self._settings, config.session)
        waits = Waits(self._settings)
        volumes = Volumes(client, waits)
        self._vms = Vms(client, self._settings, waits)
        self._vm_creation = VmCreation(
            client, self._settings, waits, self._vms, volumes, config.agent, config.context, strict=strict
        )
        self._disks = Disks(client, self._settings, waits, volumes, self._vms.servers, strict=strict)
        self._changes = DiskChanges(client, self._settings, waits, volumes, self._vms.servers, strict=strict)
        self._attachments = Attachments(client, self._settings, waits, volumes, self._vms.servers)
        self._snapshots = Snapshots(client, waits, volumes)
        self._networks = ManagedNetworks(client, config.context, strict=strict)
        self._stemcells = Stemcells(client, self._settings, waits, strict=strict)

    @classmethod
    def connect(cls, config: CloudConfig) -> Self:
        """As the contract says; nothing is asked of the cloud before it is needed."""
        return cls(config)

    def deadline(self, _call: str) -> Deadline:
        """As in Timed."""
        return Deadline(self._settings.longest_call, "call_timeout")

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    @contextmanager
    def _during(self, operation: str) -> Iterator[CloudConfig]:
        self._client.during(operation)
        yield self._config

    # ------------------------------------------------------------------ stemcells

    def create_stemcell(self, image_path: str, cloud_properties: CloudProperties, tags: Metadata) -> StemcellCid:
        """An image in Glance."""
        with self._during("create_stemcell") as config:
            return self._stemcells.create(image_path, cloud_properties, tags, config.context)

    def delete_stemcell(self, stemcell_cid: StemcellCid) -> None:
        """Heavy ones only; a light one was there before."""
        with self._during("delete_stemcell"):
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
        """A server with ports of its own."""
        with self._during("create_vm"):
            return self._vm_creation.create(
                VmRequest(agent_id, stemcell_cid, cloud_properties, networks, disk_cids or (), env, token)
            )

    def delete_vm(self, vm_cid: VmCid) -> None:
        """The server, its ports, its memberships."""
        with self._during("delete_vm"):
            self._vms.delete(vm_cid)

    def has_vm(self, vm_cid: VmCid) -> bool:
        """One look at the server."""
        with self._during("has_vm"):
            return self._vms.has(vm_cid)

    def reboot_vm(self, vm_cid: VmCid) -> None:
        """Softly first."""
        with self._during("reboot_vm"):
            self._vms.reboot(vm_cid)

    def set_vm_metadata(self, vm_cid: VmCid, metadata: Metadata) -> None:
        """The server's metadata."""
        with self._during("set_vm_metadata"):
            self._vms.set_metadata(vm_cid, metadata)

    def calculate_vm_cloud_properties(self, resources: VmResources) -> CloudProperties:
        """The smallest flavour."""
        with self._during("calculate_vm_cloud_properties"):
            return {"instance_type": Flavors(self._client).smallest(resources)}

    # ------------------------------------------------------------------ persistent disks

    def create_disk(
        self, size: MiB, cloud_properties: CloudProperties, vm_cid: VmCid | None = None, token: str | None = None
    ) -> DiskCid:
        """A volume in the zone of the VM."""
        with self._during("create_disk") as config:
            return self._disks.create(size, cloud_properties, vm_cid, token, config.context)

    def delete_disk(self, disk_cid: DiskCid) -> None:
        """The volume."""
        with self._during("delete_disk"):
            self._disks.delete(disk_cid)

    def has_disk(self, disk_cid: DiskCid) -> bool:
        """One look at the volume."""
        with self._during("has_disk"):
            return self._disks.has(disk_cid)

    def attach_disk(self, vm_cid: VmCid, disk_cid: DiskCid) -> DiskHint:
        """By Nova."""
        with self._during("attach_disk"):
            return self._attachments.attach(vm_cid, disk_cid)

    def detach_disk(self, vm_cid: VmCid, disk_cid: DiskCid) -> None:
        """By Nova."""
        with self._during("detach_disk"):
            self._attachments.detach(vm_cid, disk_cid)

    def get_disks(self, vm_cid: VmCid) -> Sequence[DiskCid]:
        """Volumes that outlive the server."""
        with self._during("get_disks"):
            return self._attachments.disks_of(vm_cid)

    def set_disk_metadata(self, disk_cid: DiskCid, metadata: Metadata) -> None:
        """The volume's metadata."""
        with self._during("set_disk_metadata"):
            self._disks.set_metadata(disk_cid, metadata)

    def disk_tags(self, disk_cid: DiskCid) -> Mapping[str, str]:
        """As in ShowsDiskTags."""
        with self._during("disk_tags"):
            return self._disks.metadata(disk_cid)

    def resize_disk(self, disk_cid: DiskCid, size: MiB) -> None:
        """Extended by Cinder."""
        with self._during("resize_disk"):
            self._changes.resize(disk_cid, size)

    def update_disk(self, disk_cid: DiskCid, size: MiB, cloud_properties: CloudProperties) -> DiskCid:
        """Retyped and extended by Cinder."""
        with self._during("update_disk"):
            return self._changes.update(disk_cid, size, cloud_properties)

    def grow_attached_disk(self, vm_cid: VmCid, disk_cid: DiskCid, size: MiB) -> None:
        """As in GrowsAttachedDisks."""
        with self._during("grow_attached_disk"):
            self._changes.grow_attached(vm_cid, disk_cid, size)

    def change_attached_disk(self, vm_cid: VmCid, disk_cid: DiskCid, size: MiB, cloud_properties: CloudProperties) -> None:
        """As in ChangesAttachedDisks."""
        with self._during("change_attached_disk"):
            self._changes.change_attached(vm_cid, disk_cid, size, cloud_properties)

    # ------------------------------------------------------------------ snapshots

    def snapshot_disk(self, disk_cid: DiskCid, metadata: Metadata) -> SnapshotCid:
        """By Cinder, of a volume in use too."""
        with self._during("snapshot_disk") as config:
            return self._snapshots.create(disk_cid, metadata, config.context)

    def delete_snapshot(self, snapshot_cid: SnapshotCid) -> None:
        """The snapshot."""
        with self._during("delete_snapshot"):
            self._snapshots.delete(snapshot_cid)

    # ------------------------------------------------------------------ networks

    def create_network(self, definition: NetworkDefinition) -> CreatedNetwork:
        """A network of its own, with one subnet."""
        with self._during("create_network"):
            return self._networks.create(definition)

    def delete_network(self, network_cid: NetworkCid) -> None:
        """With its subnet."""
        with self._during("delete_network"):
            self._networks.delete(network_cid)

    # ------------------------------------------------------------------ for people

    def examine(self) -> Iterator[Finding]:
        """As `cpi doctor` shows it."""
        with self._during("examine"):
            yield from doctor.examine(self._client, self._settings)

    def tagged_resources(self) -> Sequence[TaggedResource]:
        """As in ListsTaggedResources."""
        with self._during("tagged_resources"):
            return self._leftovers().listed()

    def delete_tagged_resource(self, resource: TaggedResource) -> None:
        """As in ListsTaggedResources."""
        with self._during("delete_tagged_resource"):
            self._leftovers().delete(resource)

    def _leftovers(self) -> "Leftovers":
        from cpi_drivers.openstack.doctor.leftovers import Leftovers

        return Leftovers(self._client, self._vms, self._disks, self._snapshots, self._networks, self._stemcells)
