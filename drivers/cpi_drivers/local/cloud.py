"""LocalCloud: the contract, on one machine."""

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

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
from cpi.contract.operator import Finding, Kind, TaggedResource
from cpi.contract.units import MiB
from cpi.kit.settings import read_settings
from cpi.kit.translating import translated
from cpi.kit.vm_request import VmRequest
from cpi_drivers.local import STEMCELL_FORMATS
from cpi_drivers.local.disks.attachments import Attachments
from cpi_drivers.local.disks.backings import Name
from cpi_drivers.local.disks.lifecycle import Disks, check_loop
from cpi_drivers.local.disks.links import Links
from cpi_drivers.local.host import errors
from cpi_drivers.local.host.layout import Layout
from cpi_drivers.local.host.register import Register
from cpi_drivers.local.settings import LocalSettings
from cpi_drivers.local.vms.lifecycle import Vms, smallest


class LocalCloud(Cloud):
    """VMs are process groups, disks are files, the state is one SQLite file, all under one root folder."""

    name: ClassVar[str] = "local"
    stemcell_formats: ClassVar[tuple[str, ...]] = STEMCELL_FORMATS
    capabilities: ClassVar[frozenset[Capability]] = frozenset(Capability)

    @classmethod
    def connect(cls, config: CloudConfig) -> Self:
        settings = read_settings(LocalSettings, config.properties, "cloud.properties.local")
        return cls(settings, config)

    def __init__(self, settings: LocalSettings, config: CloudConfig) -> None:
        self._settings = settings
        self._config = config
        self._register = Register(Layout(settings.root), config.context)
        self._links = Links(self._register)
        self._disks = Disks(self._register, self._links, self._disk_backing, strict=config.strict_properties)
        self._vms = Vms(self._register, self._links)
        self._attachments = Attachments(self._register, self._disks, self._links)

    # ------------------------------------------------------------------ stemcells

    def create_stemcell(self, image_path: str, cloud_properties: CloudProperties, tags: Metadata) -> StemcellCid:
        with self._call():
            from cpi_drivers.local.stemcells.lifecycle import Stemcells

            return StemcellCid(Stemcells(self._register).create(image_path, cloud_properties, tags))

    def delete_stemcell(self, stemcell_cid: StemcellCid) -> None:
        with self._call():
            from cpi_drivers.local.stemcells.lifecycle import Stemcells

            Stemcells(self._register).delete(stemcell_cid)

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
        from cpi_drivers.local.vms.creation import VmMaker

        config = self._config
        with self._call():
            maker = VmMaker(
                self._register, self._settings.agent, config.agent, self._mounts_of_their_own, strict=config.strict_properties
            )
            return maker.create(VmRequest(agent_id, stemcell_cid, cloud_properties, networks, tuple(disk_cids), env or {}, token))

    def delete_vm(self, vm_cid: VmCid) -> None:
        with self._call():
            self._vms.delete(vm_cid)

    def has_vm(self, vm_cid: VmCid) -> bool:
        with self._call():
            return self._vms.has(vm_cid)

    def reboot_vm(self, vm_cid: VmCid) -> None:
        with self._call():
            self._vms.reboot(vm_cid)

    def set_vm_metadata(self, vm_cid: VmCid, metadata: Metadata) -> None:
        with self._call():
            self._register.add_metadata("vms", vm_cid, metadata)

    def calculate_vm_cloud_properties(self, resources: VmResources) -> CloudProperties:
        return smallest(resources)

    def agent_settings(self, vm_cid: VmCid) -> Mapping[str, Any]:
        """The settings document of a VM's agent, secrets in it as they are. Raises VMNotFound."""
        with self._call():
            return self._vms.settings(vm_cid)

    # ------------------------------------------------------------------ persistent disks

    def create_disk(
        self, size: MiB, cloud_properties: CloudProperties, vm_cid: VmCid | None = None, token: str | None = None
    ) -> DiskCid:
        with self._call():
            return DiskCid(self._disks.create(size, cloud_properties, vm_cid, token))

    def delete_disk(self, disk_cid: DiskCid) -> None:
        with self._call():
            self._disks.delete(disk_cid)

    def has_disk(self, disk_cid: DiskCid) -> bool:
        with self._call():
            return self._disks.has(disk_cid)

    def attach_disk(self, vm_cid: VmCid, disk_cid: DiskCid) -> DiskHint:
        with self._call():
            return self._attachments.attach(vm_cid, disk_cid)

    def detach_disk(self, vm_cid: VmCid, disk_cid: DiskCid) -> None:
        with self._call():
            self._attachments.detach(vm_cid, disk_cid)

    def get_disks(self, vm_cid: VmCid) -> Sequence[DiskCid]:
        with self._call():
            return self._attachments.of_vm(vm_cid)

    def set_disk_metadata(self, disk_cid: DiskCid, metadata: Metadata) -> None:
        with self._call():
            self._register.add_metadata("disks", disk_cid, metadata)

    def disk_tags(self, disk_cid: DiskCid) -> Mapping[str, str]:
        """As in ShowsDiskTags."""
        with self._call():
            tags: dict[str, str] = json.loads(self._register.get("disks", disk_cid)["metadata"])
            return tags

    def disk_size(self, disk_cid: DiskCid) -> MiB:
        """As in ShowsDiskSizes."""
        with self._call():
            return MiB(self._register.get("disks", disk_cid)["size"])

    def resize_disk(self, disk_cid: DiskCid, size: MiB) -> None:
        with self._call():
            self._disks.resize(disk_cid, size)

    def update_disk(self, disk_cid: DiskCid, size: MiB, cloud_properties: CloudProperties) -> DiskCid:
        with self._call():
            return DiskCid(self._disks.update(disk_cid, size, cloud_properties))

    def grow_attached_disk(self, vm_cid: VmCid, disk_cid: DiskCid, size: MiB) -> None:
        """As in GrowsAttachedDisks."""
        with self._call():
            self._attachments.grow(vm_cid, disk_cid, size)

    def change_attached_disk(self, vm_cid: VmCid, disk_cid: DiskCid, size: MiB, cloud_properties: CloudProperties) -> None:
        """As in ChangesAttachedDisks."""
        with self._call():
            self._attachments.change(vm_cid, disk_cid, size, cloud_properties)

    # ------------------------------------------------------------------ snapshots

    def snapshot_disk(self, disk_cid: DiskCid, metadata: Metadata) -> SnapshotCid:
        with self._call():
            from cpi_drivers.local.disks.snapshots import Snapshots

            return SnapshotCid(Snapshots(self._register, self._disks).create(disk_cid, metadata))

    def delete_snapshot(self, snapshot_cid: SnapshotCid) -> None:
        with self._call():
            from cpi_drivers.local.disks.snapshots import Snapshots

            Snapshots(self._register, self._disks).delete(snapshot_cid)

    # ------------------------------------------------------------------ networks

    def create_network(self, definition: NetworkDefinition) -> CreatedNetwork:
        with self._call():
            from cpi_drivers.local.networks.requested import MadeNetworks

            return MadeNetworks(self._register).create(definition)

    def delete_network(self, network_cid: NetworkCid) -> None:
        with self._call():
            from cpi_drivers.local.networks.requested import MadeNetworks

            MadeNetworks(self._register).delete(network_cid)

    # ------------------------------------------------------------------ for people

    def examine(self) -> Iterable[Finding]:
        """Look at the root folder, disks, addresses and the agent, without making anything."""
        from cpi_drivers.local.doctor.checks import examine

        return examine(self._settings)

    def tagged_resources(self) -> Sequence[TaggedResource]:
        """As in ListsTaggedResources."""
        from cpi_drivers.local.doctor.leftovers import tagged_resources

        with self._call():
            return tagged_resources(self._register)

    def delete_tagged_resource(self, resource: TaggedResource) -> None:
        """As in ListsTaggedResources."""
        from cpi.kit.tagged import may_delete

        if may_delete(resource, next((one for one in self.tagged_resources() if one.id == resource.id), None)):
            self._deleting(resource.kind)(resource.id)

    # ------------------------------------------------------------------ inside

    def _deleting(self, kind: Kind) -> Callable[[Any], None]:
        by_kind: dict[Kind, Callable[[Any], None]] = {
            "VM": self.delete_vm,
            "stemcell": self.delete_stemcell,
            "snapshot": self.delete_snapshot,
            "disk": self.delete_disk,
            "network": self.delete_network,
        }
        return by_kind[kind]

    @contextlib.contextmanager
    def _call(self) -> Iterator[None]:
        """What the machine refuses becomes an error of the contract; what dead processes left is removed first."""
        with translated(errors.table(self._settings.root)):
            self._register.sweep()
            yield

    def _disk_backing(self) -> Name:
        configured = self._settings.disk_backing
        if configured == "folder":
            return configured
        if configured == "loop":
            check_loop("cloud.properties.local.disk_backing")
            return configured
        from cpi_drivers.local.host import loop_devices

        return "folder" if loop_devices.why_not() else "loop"

    def _mounts_of_their_own(self) -> bool:
        from cpi_drivers.local.host import overlays

        return self._disk_backing() == "loop" and overlays.possible(self._register.layout.root)
