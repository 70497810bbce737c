"""A cloud in memory with every power: small enough to be right, so that what the suite says of it is said of the suite."""

import ipaddress
import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import msgspec

from cpi import config as configuration
from cpi.contract import errors
from cpi.contract.capability import Capability
from cpi.contract.cloud import Cloud
from cpi.contract.ids import AgentId, Cid, DiskCid, NetworkCid, SnapshotCid, StemcellCid, VmCid
from cpi.contract.model import (
    AgentDefaults,
    CloudConfig,
    CloudProperties,
    CreatedNetwork,
    DiskHint,
    Env,
    Metadata,
    Network,
    NetworkAddresses,
    NetworkDefinition,
    Networks,
    Vm,
    VmResources,
)
from cpi.contract.operator import Kind, TaggedResource
from cpi.contract.units import MiB
from cpi.kit.agent_settings import Settings, agent_settings
from cpi.kit.settings import Secret, read_settings
from cpi.kit.tagged import may_delete

C = TypeVar("C", bound=Cid)

LARGEST_DISK = MiB(1 << 20)
IMAGE = b"image\n"


class MemoryDisk(msgspec.Struct):
    """One disk: a number stands for its data."""

    size: MiB
    vm_cid: VmCid | None = None
    unit: int = 0
    number: int = 0


class MemoryVm(msgspec.Struct):
    """One VM, with the disk it has mounted."""

    vm: Vm
    settings: Settings
    mounted: DiskCid | None = None


class Memory:
    """What exists."""

    def __init__(self) -> None:
        self.stemcells: set[StemcellCid] = set()
        self.vms: dict[VmCid, MemoryVm] = {}
        self.disks: dict[DiskCid, MemoryDisk] = {}
        self.snapshots: set[SnapshotCid] = set()
        self.networks: dict[NetworkCid, str] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.tokens: dict[str, Any] = {}
        self.lock = threading.RLock()
        self._numbers = itertools.count(1)

    def next_number(self) -> int:
        """A number never given before."""
        return next(self._numbers)

    def census(self) -> Mapping[str, int]:
        """How many there are of each."""
        kinds = {"stemcells": self.stemcells, "vms": self.vms, "disks": self.disks, "snapshots": self.snapshots}
        return {**{kind: len(things) for kind, things in kinds.items()}, "networks": len(self.networks)}

    def addresses(self) -> dict[str, VmCid]:
        """Who holds which address."""
        return {network.ip: cid for cid, held in self.vms.items() for network in held.vm.networks.values() if network.ip}


class MemorySettings(msgspec.Struct, frozen=True):
    """The driver's own block."""

    reachable: bool = True
    password: Secret = Secret("")


class MemoryCloud(Cloud):
    """The contract over a Memory."""

    name: ClassVar[str] = "memory"
    stemcell_formats: ClassVar[tuple[str, ...]] = ("memory",)
    capabilities: ClassVar[frozenset[Capability]] = frozenset(Capability)

    def __init__(self, memory: Memory, settings: MemorySettings) -> None:
        self._memory = memory
        self.settings = settings

    @classmethod
    def connect(cls, config: CloudConfig) -> Self:
        """To a memory of its own."""
        return cls(Memory(), read_settings(MemorySettings, config.properties, "cloud.properties.memory"))

    @classmethod
    def connector(cls, memory: Memory) -> Callable[[Mapping[str, Any]], Cloud]:
        """What a harness connects by: every Cloud over the same memory."""

        def connect(document: Mapping[str, Any]) -> Cloud:
            config = configuration.cloud_config(document, cls.name)
            return cls(memory, read_settings(MemorySettings, config.properties, "cloud.properties.memory"))

        return connect

    @property
    def memory(self) -> Memory:
        """What exists, if it can be reached."""
        if not self.settings.reachable:
            raise errors.CloudError("the memory cannot be reached")
        return self._memory

    def agent_settings(self, vm_cid: VmCid) -> Mapping[str, Any]:
        """As the VM's agent gets them."""
        return self._vm(vm_cid).settings

    # ------------------------------------------------------------------ stemcells

    def create_stemcell(self, image_path: str, cloud_properties: CloudProperties, tags: Metadata) -> StemcellCid:
        self._read_image(image_path)
        cid = self._fresh(StemcellCid, "stemcell")
        self.memory.stemcells.add(cid)
        self._tag(cid, tags)
        return cid

    def delete_stemcell(self, stemcell_cid: StemcellCid) -> None:
        self.memory.stemcells.discard(stemcell_cid)

    def _read_image(self, image_path: str) -> None:
        try:
            content = Path(image_path).read_bytes()
        except OSError as error:
            raise errors.CpiError(f"the image {image_path} cannot be read: {error.strerror}") from error
        if content != IMAGE:
            raise errors.CpiError(f"the image {image_path} is of no format of this cloud")

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
        with self.memory.lock:
            known = self._made_with(token, self.memory.vms)
            cid = known or self._create_vm(agent_id, stemcell_cid, networks, disk_cids, env)
            self._remember(token, cid)
            return self.memory.vms[cid].vm

    def _create_vm(
        self, agent_id: AgentId, stemcell_cid: StemcellCid, networks: Networks, disk_cids: Sequence[DiskCid], env: Env | None
    ) -> VmCid:
        if stemcell_cid not in self.memory.stemcells:
            raise errors.CloudError(f"the stemcell {stemcell_cid} does not exist")
        for disk_cid in disk_cids:
            self._disk(disk_cid)
        cid = self._fresh(VmCid, "vm")
        vm = Vm(cid, {name: self._addressed(network) for name, network in networks.items()})
        settings = agent_settings(agent_id, cid, vm.networks, env, AgentDefaults())
        self.memory.vms[cid] = MemoryVm(vm, settings)
        return cid

    def _addressed(self, network: Network) -> Network:
        made = network.cloud_properties.get("network")
        if made is not None and made not in self.memory.networks:
            raise errors.CloudError(f"the network {made} does not exist")
        if network.ip is None:
            return msgspec.structs.replace(network, ip=f"10.1.0.{self.memory.next_number()}")
        try:
            ipaddress.ip_address(network.ip)
        except ValueError as error:
            raise errors.CloudError(str(error)) from error
        if network.ip in self.memory.addresses():
            raise errors.VMCreationFailed(f"{network.ip} belongs to {self.memory.addresses()[network.ip]}")
        return network

    def delete_vm(self, vm_cid: VmCid) -> None:
        with self.memory.lock:
            self.memory.vms.pop(vm_cid, None)
            for disk in self.memory.disks.values():
                if disk.vm_cid == vm_cid:
                    disk.vm_cid = None

    def has_vm(self, vm_cid: VmCid) -> bool:
        return vm_cid in self.memory.vms

    def reboot_vm(self, vm_cid: VmCid) -> None:
        self._vm(vm_cid).mounted = None

    def set_vm_metadata(self, vm_cid: VmCid, metadata: Metadata) -> None:
        self._vm(vm_cid)
        self._tag(vm_cid, metadata)

    def calculate_vm_cloud_properties(self, resources: VmResources) -> CloudProperties:
        if resources.cpu > 64:
            raise errors.NotSupported(f"no VM has {resources.cpu} processors")
        return {"cpu": resources.cpu}

    # ------------------------------------------------------------------ disks

    def create_disk(
        self, size: MiB, cloud_properties: CloudProperties, vm_cid: VmCid | None = None, token: str | None = None
    ) -> DiskCid:
        with self.memory.lock:
            cid = self._made_with(token, self.memory.disks) or self._create_disk(size, vm_cid)
            self._remember(token, cid)
            return cid

    def _create_disk(self, size: MiB, vm_cid: VmCid | None) -> DiskCid:
        if size < 1:
            raise errors.CpiError(f"a disk has at least 1 MiB, got {size}")
        if vm_cid is not None:
            self._vm(vm_cid)
        if size > LARGEST_DISK:
            raise errors.NoDiskSpace(f"there is no room for {size} MiB")
        cid = self._fresh(DiskCid, "disk")
        self.memory.disks[cid] = MemoryDisk(self._rounded(size))
        return cid

    def _rounded(self, size: MiB) -> MiB:
        return MiB(-(-size // 16) * 16)

    def delete_disk(self, disk_cid: DiskCid) -> None:
        with self.memory.lock:
            if disk_cid in self.memory.disks:
                self._detached(disk_cid)
                del self.memory.disks[disk_cid]

    def has_disk(self, disk_cid: DiskCid) -> bool:
        return disk_cid in self.memory.disks

    def attach_disk(self, vm_cid: VmCid, disk_cid: DiskCid) -> DiskHint:
        with self.memory.lock:
            self._vm(vm_cid)
            disk = self._disk(disk_cid)
            if disk.vm_cid not in (None, vm_cid):
                raise errors.CloudError(f"{disk_cid} is attached to {disk.vm_cid}")
            if disk.vm_cid is None:
                disk.vm_cid, disk.unit = vm_cid, self.memory.next_number()
            return self._hint(disk)

    def _hint(self, disk: MemoryDisk) -> DiskHint:
        return DiskHint(path=f"/dev/disk/{disk.unit}")

    def detach_disk(self, vm_cid: VmCid, disk_cid: DiskCid) -> None:
        with self.memory.lock:
            self._vm(vm_cid)
            disk = self._disk(disk_cid)
            if disk.vm_cid != vm_cid:
                raise errors.DiskNotAttached(f"{disk_cid} is not attached to {vm_cid}")
            disk.vm_cid = None

    def get_disks(self, vm_cid: VmCid) -> Sequence[DiskCid]:
        self._vm(vm_cid)
        return [cid for cid, disk in self.memory.disks.items() if disk.vm_cid == vm_cid]

    def set_disk_metadata(self, disk_cid: DiskCid, metadata: Metadata) -> None:
        self._disk(disk_cid)
        self._tag(disk_cid, metadata)

    def resize_disk(self, disk_cid: DiskCid, size: MiB) -> None:
        with self.memory.lock:
            disk = self._detached(disk_cid)
            if size < disk.size:
                raise errors.NotSupported(f"{disk_cid} has {disk.size} MiB and cannot become smaller")
            disk.size = self._rounded(size)

    def update_disk(self, disk_cid: DiskCid, size: MiB, cloud_properties: CloudProperties) -> DiskCid:
        self.resize_disk(disk_cid, size)
        return disk_cid

    def grow_attached_disk(self, vm_cid: VmCid, disk_cid: DiskCid, size: MiB) -> None:
        """As in GrowsAttachedDisks."""
        with self.memory.lock:
            self._vm(vm_cid)
            disk = self._disk(disk_cid)
            if disk.vm_cid != vm_cid:
                raise errors.DiskNotAttached(f"{disk_cid} is not attached to {vm_cid}")
            if size < disk.size:
                raise errors.NotSupported(f"{disk_cid} has {disk.size} MiB and cannot become smaller")
            disk.size = self._rounded(size)

    def change_attached_disk(self, vm_cid: VmCid, disk_cid: DiskCid, size: MiB, cloud_properties: CloudProperties) -> None:
        """As in ChangesAttachedDisks."""
        self.grow_attached_disk(vm_cid, disk_cid, size)

    # ------------------------------------------------------------------ snapshots and networks

    def snapshot_disk(self, disk_cid: DiskCid, metadata: Metadata) -> SnapshotCid:
        self._disk(disk_cid)
        cid = self._fresh(SnapshotCid, "snapshot")
        self.memory.snapshots.add(cid)
        self._tag(cid, metadata)
        return cid

    def delete_snapshot(self, snapshot_cid: SnapshotCid) -> None:
        self.memory.snapshots.discard(snapshot_cid)

    def create_network(self, definition: NetworkDefinition) -> CreatedNetwork:
        wanted = definition.range or f"10.98.0.0/{definition.netmask_bits}"
        if wanted in self.memory.networks.values():
            raise errors.CloudError(f"{wanted} is in use")
        cid = self._fresh(NetworkCid, "network")
        self.memory.networks[cid] = wanted
        addresses = NetworkAddresses(range=wanted, gateway=definition.gateway or "10.98.0.1")
        return CreatedNetwork(cid, addresses, {"network": str(cid)})

    def delete_network(self, network_cid: NetworkCid) -> None:
        if network_cid not in self.memory.networks:
            raise errors.NetworkNotFound(f"the network {network_cid} does not exist")
        for held in self.memory.vms.values():
            if any(network.cloud_properties.get("network") == network_cid for network in held.vm.networks.values()):
                raise errors.CloudError(f"{held.vm.cid} is on the network {network_cid}")
        del self.memory.networks[network_cid]

    # ------------------------------------------------------------------ what there is

    def tagged_resources(self) -> Sequence[TaggedResource]:
        """As in ListsTaggedResources: everything in the memory is ours."""
        memory = self.memory
        held = {vm_cid: tuple(cid for cid, disk in memory.disks.items() if disk.vm_cid == vm_cid) for vm_cid in memory.vms}
        return [
            *(self._resource("VM", cid, holds=held[cid]) for cid in memory.vms),
            *(self._resource("stemcell", cid) for cid in sorted(memory.stemcells)),
            *(self._resource("snapshot", cid) for cid in sorted(memory.snapshots)),
            *(self._resource("disk", cid, attached_to=disk.vm_cid or "") for cid, disk in memory.disks.items()),
            *(self._resource("network", cid) for cid in memory.networks),
        ]

    def delete_tagged_resource(self, resource: TaggedResource) -> None:
        """As in ListsTaggedResources."""
        if may_delete(resource, next((one for one in self.tagged_resources() if one.id == resource.id), None)):
            self._delete_resource(resource)

    def _delete_resource(self, resource: TaggedResource) -> None:
        if resource.kind == "VM":
            MemoryCloud.delete_vm(self, VmCid(resource.id))
        self.memory.disks.pop(DiskCid(resource.id), None)
        self.memory.networks.pop(NetworkCid(resource.id), None)
        self.memory.stemcells.discard(StemcellCid(resource.id))
        self.memory.snapshots.discard(SnapshotCid(resource.id))

    def _resource(self, kind: Kind, cid: Cid, *, attached_to: str = "", holds: tuple[DiskCid, ...] = ()) -> TaggedResource:
        tags = {"multicpi": "1", **self.memory.tags.get(cid, {})}
        return TaggedResource(kind=kind, id=str(cid), tags=tags, attached_to=attached_to, holds=holds)

    # ------------------------------------------------------------------ how

    def _vm(self, vm_cid: VmCid) -> MemoryVm:
        if vm_cid not in self.memory.vms:
            raise errors.VMNotFound(f"the VM {vm_cid} does not exist")
        return self.memory.vms[vm_cid]

    def _disk(self, disk_cid: DiskCid) -> MemoryDisk:
        if disk_cid not in self.memory.disks:
            raise errors.DiskNotFound(f"the disk {disk_cid} does not exist")
        return self.memory.disks[disk_cid]

    def _detached(self, disk_cid: DiskCid) -> MemoryDisk:
        disk = self._disk(disk_cid)
        if disk.vm_cid is not None:
            raise errors.CloudError(f"{disk_cid} is attached to {disk.vm_cid}")
        return disk

    def _made_with(self, token: str | None, things: Mapping[C, object]) -> C | None:
        cid = self.memory.tokens.get(token or "")
        return cid if cid in things else None

    def _remember(self, token: str | None, cid: Cid) -> None:
        if token is not None:
            self.memory.tokens[token] = cid

    def _fresh(self, kind: type[C], name: str) -> C:
        return kind(f"{name}-{self.memory.next_number()}")

    def _tag(self, cid: Cid, metadata: Metadata) -> None:
        self.memory.tags.setdefault(cid, {}).update({key: str(value) for key, value in metadata.items()})
