"""Cloud Director as a Cloud: the methods of the contract, each handed to the room that knows it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, Self

from cpi.contract import errors
from cpi.contract.capability import Capability
from cpi.contract.cloud import Cloud
from cpi.contract.ids import AgentId, DiskCid, StemcellCid, VmCid
from cpi.contract.model import CloudConfig, CloudProperties, DiskHint, Env, Metadata, Networks, Vm, VmResources
from cpi.contract.operator import Finding
from cpi.contract.units import MiB, mib_from_gib
from cpi.kit import private_files
from cpi.kit.deadline import Deadline, timed
from cpi.kit.vm_request import VmRequest
from cpi_drivers.vcloud import STEMCELL_FORMATS, settings
from cpi_drivers.vcloud.api.client import Client
from cpi_drivers.vcloud.api.inventory import Inventory
from cpi_drivers.vcloud.disks.attachments import Attachments
from cpi_drivers.vcloud.disks.changes import DiskChanges
from cpi_drivers.vcloud.disks.lifecycle import Disks
from cpi_drivers.vcloud.doctor import checks as doctor
from cpi_drivers.vcloud.stemcells.lifecycle import Stemcells
from cpi_drivers.vcloud.vms.agent_settings import Discs
from cpi_drivers.vcloud.vms.creation import VmCreation
from cpi_drivers.vcloud.vms.lifecycle import Vms

_POWERS: Final = frozenset(Capability) - {Capability.NETWORKS, Capability.SNAPSHOTS}
_MOST_CPUS: Final = 768  # what the newest virtual hardware takes; a vDC may have less
_MOST_RAM: Final = mib_from_gib(24 << 10)
_MOST_DISK: Final = mib_from_gib(62 << 10)


@timed
class VcloudCloud(Cloud):
    """One vDC of one organisation."""

    name: ClassVar[str] = "vcloud"
    block: ClassVar[str] = settings.BLOCK
    other_blocks: ClassVar[tuple[str, ...]] = (settings.LIST,)
    stemcell_formats: ClassVar[tuple[str, ...]] = STEMCELL_FORMATS
    capabilities: ClassVar[frozenset[Capability]] = _POWERS
    unsupported_because: ClassVar[Mapping[Capability, str]] = {
        Capability.SNAPSHOTS: "Cloud Director's API has no copy and no snapshot of an independent disk",
        Capability.NETWORKS: "the networks of a vDC hang on edge gateways and NSX, which are the provider's to hand out",
    }

    def __init__(self, config: CloudConfig) -> None:
        context, strict = config.context, config.strict_properties
        self._settings = settings.read(config)
        self._client = client = Client(self._settings, private_files.folder(self._settings.cache_folder))
        self._inventory = inventory = Inventory(client, self._settings)
        discs = Discs(client, self._settings, inventory)
        self._vms = vms = Vms(client, inventory, discs)
        self._stemcells = stemcells = Stemcells(client, self._settings, inventory, context, strict=strict)
        self._vm_creation = VmCreation(client, self._settings, inventory, vms, discs, stemcells, config)
        self._disks = Disks(client, self._settings, inventory, context, strict=strict)
        self._changes = DiskChanges(client, inventory, strict=strict)
        self._attachments = Attachments(client, inventory)

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

    # ------------------------------------------------------------------ stemcells

    def create_stemcell(self, image_path: str, cloud_properties: CloudProperties, tags: Metadata) -> StemcellCid:
        return self._stemcells.create(image_path, cloud_properties, tags)

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
        requested = {"cpu": resources.cpu, "ram": resources.ram, "disk": resources.ephemeral_disk_size}
        most = {"cpu": _MOST_CPUS, "ram": _MOST_RAM, "disk": _MOST_DISK}
        over = [f"{key} of {requested[key]}, {most[key]} at most" for key in requested if requested[key] > most[key]]
        if over:
            raise errors.NotSupported(f"vCloud has no VM so large: {'; '.join(over)}")
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
        self._changes.grow_attached(vm_cid, disk_cid, size)

    # ------------------------------------------------------------------ for people

    def examine(self) -> Iterator[Finding]:
        """As `cpi doctor` shows it."""
        yield from doctor.examine(self._client, self._settings, self._inventory)

    def agent_settings(self, vm_cid: VmCid) -> Mapping[str, Any]:
        """What the VM's agent reads."""
        return self._vms.agent_settings(vm_cid)
