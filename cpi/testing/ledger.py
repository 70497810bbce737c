"""A Cloud that remembers what was made through it and removes it all, last first. What cannot be removed is a leak."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self, TypeAlias

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
    Info,
    Metadata,
    NetworkDefinition,
    Networks,
    Vm,
    VmResources,
)
from cpi.contract.units import MiB

_Entry: TypeAlias = tuple[str, ...]

_GONE = (errors.VMNotFound, errors.DiskNotFound, errors.NetworkNotFound, errors.DiskNotAttached)


class Leak(AssertionError):
    """Something that was made could not be removed, or is still there."""


class Ledger(Cloud, powers="of each instance"):
    """Passes every call on, and keeps the book."""

    def __init__(self, cloud: Cloud, powers: frozenset[Capability], janitor: Cloud | None = None) -> None:
        """Things are removed through janitor, another way to the same cloud, or else through cloud itself."""
        self.cloud = cloud
        self.powers = powers
        self._janitor = janitor or cloud
        self._made: dict[_Entry, Callable[[], object]] = {}
        self._lock = threading.Lock()

    @classmethod
    def connect(cls, config: CloudConfig) -> Self:  # noqa: ARG003 - refused, whatever it is
        """Refused: a ledger is laid around a Cloud that exists."""
        raise errors.CpiError("a ledger is laid around a connected cloud: Ledger(cloud, powers)")

    # ------------------------------------------------------------------ the book

    @property
    def held(self) -> int:
        """How much there is to remove."""
        return len(self._made)

    def settle(self) -> None:
        """Remove what is left, last first, and look that it is gone. Raises Leak that lists all that could not be removed."""
        removed: list[_Entry] = []
        left = [*self._removals(removed), *self._survivors(removed)]
        if left:
            raise Leak("left behind in the cloud:\n" + "\n".join(f"  {fault}" for fault in left))

    def _removals(self, removed: list[_Entry]) -> Iterator[str]:
        while self._made:
            entry, remove = self._made.popitem()
            try:
                remove()
            except _GONE:
                continue
            except errors.Error as error:
                yield f"{' '.join(entry)}: {type(error).__name__}: {error}"
            else:
                removed.append(entry)

    def _survivors(self, removed: list[_Entry]) -> Iterator[str]:
        exists: dict[str, Callable[[str], bool]] = {
            "vm": lambda cid: self._janitor.has_vm(VmCid(cid)),
            "disk": lambda cid: self._janitor.has_disk(DiskCid(cid)),
        }
        for kind, *cids in removed:
            if kind in exists and exists[kind](cids[0]):
                yield f"{kind} {cids[0]}: was deleted and still exists"

    def _add(self, *entry: str, remove: Callable[[], object]) -> None:
        with self._lock:
            self._made.pop(entry, None)
            self._made[entry] = remove

    def _strike(self, *entry: str) -> None:
        with self._lock:
            self._made.pop(entry, None)

    # ------------------------------------------------------------------ what was made elsewhere

    def adopt_stemcell(self, stemcell_cid: StemcellCid) -> None:
        """Remember a stemcell."""
        self._add("stemcell", stemcell_cid, remove=lambda: self._janitor.delete_stemcell(stemcell_cid))

    def adopt_vm(self, vm_cid: VmCid) -> None:
        """Remember a VM."""
        self._add("vm", vm_cid, remove=lambda: self._janitor.delete_vm(vm_cid))

    def adopt_disk(self, disk_cid: DiskCid) -> None:
        """Remember a disk."""
        self._add("disk", disk_cid, remove=lambda: self._janitor.delete_disk(disk_cid))

    # ------------------------------------------------------------------ the CPI itself

    def close(self) -> None:
        """As the cloud."""
        self.cloud.close()

    def info(self) -> Info:
        """As the cloud."""
        return self.cloud.info()

    def ping(self) -> str:
        """As the cloud."""
        return self.cloud.ping()

    # ------------------------------------------------------------------ stemcells

    def create_stemcell(self, image_path: str, cloud_properties: CloudProperties, tags: Metadata) -> StemcellCid:
        """As the cloud, and remembered."""
        cid = self.cloud.create_stemcell(image_path, cloud_properties, tags)
        self.adopt_stemcell(cid)
        return cid

    def delete_stemcell(self, stemcell_cid: StemcellCid) -> None:
        """As the cloud, and struck out."""
        self.cloud.delete_stemcell(stemcell_cid)
        self._strike("stemcell", stemcell_cid)

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
        """As the cloud, and remembered."""
        vm = self.cloud.create_vm(agent_id, stemcell_cid, cloud_properties, networks, disk_cids, env, token)
        self.adopt_vm(vm.cid)
        return vm

    def delete_vm(self, vm_cid: VmCid) -> None:
        """As the cloud, and struck out."""
        self.cloud.delete_vm(vm_cid)
        self._strike("vm", vm_cid)

    def has_vm(self, vm_cid: VmCid) -> bool:
        """As the cloud."""
        return self.cloud.has_vm(vm_cid)

    def reboot_vm(self, vm_cid: VmCid) -> None:
        """As the cloud."""
        self.cloud.reboot_vm(vm_cid)

    def set_vm_metadata(self, vm_cid: VmCid, metadata: Metadata) -> None:
        """As the cloud."""
        self.cloud.set_vm_metadata(vm_cid, metadata)

    def calculate_vm_cloud_properties(self, resources: VmResources) -> CloudProperties:
        """As the cloud."""
        return self.cloud.calculate_vm_cloud_properties(resources)

    # ------------------------------------------------------------------ persistent disks

    def create_disk(
        self,
        size: MiB,
        cloud_properties: CloudProperties,
        vm_cid: VmCid | None = None,
        token: str | None = None,
    ) -> DiskCid:
        """As the cloud, and remembered."""
        cid = self.cloud.create_disk(size, cloud_properties, vm_cid, token)
        self.adopt_disk(cid)
        return cid

    def delete_disk(self, disk_cid: DiskCid) -> None:
        """As the cloud, and struck out."""
        self.cloud.delete_disk(disk_cid)
        self._strike("disk", disk_cid)

    def has_disk(self, disk_cid: DiskCid) -> bool:
        """As the cloud."""
        return self.cloud.has_disk(disk_cid)

    def attach_disk(self, vm_cid: VmCid, disk_cid: DiskCid) -> DiskHint:
        """As the cloud, and remembered: a disk is detached before it is deleted."""
        hint = self.cloud.attach_disk(vm_cid, disk_cid)
        self._add("attachment", vm_cid, disk_cid, remove=lambda: self._janitor.detach_disk(vm_cid, disk_cid))
        return hint

    def detach_disk(self, vm_cid: VmCid, disk_cid: DiskCid) -> None:
        """As the cloud, and struck out."""
        self.cloud.detach_disk(vm_cid, disk_cid)
        self._strike("attachment", vm_cid, disk_cid)

    def get_disks(self, vm_cid: VmCid) -> Sequence[DiskCid]:
        """As the cloud."""
        return self.cloud.get_disks(vm_cid)

    def set_disk_metadata(self, disk_cid: DiskCid, metadata: Metadata) -> None:
        """As the cloud."""
        self.cloud.set_disk_metadata(disk_cid, metadata)

    def resize_disk(self, disk_cid: DiskCid, size: MiB) -> None:
        """As the cloud."""
        self.cloud.resize_disk(disk_cid, size)

    def update_disk(self, disk_cid: DiskCid, size: MiB, cloud_properties: CloudProperties) -> DiskCid:
        """As the cloud; a disk that took the old one's place is remembered instead of it."""
        cid = self.cloud.update_disk(disk_cid, size, cloud_properties)
        self._strike("disk", disk_cid)
        self.adopt_disk(cid)
        return cid

    # ------------------------------------------------------------------ snapshots

    def snapshot_disk(self, disk_cid: DiskCid, metadata: Metadata) -> SnapshotCid:
        """As the cloud, and remembered."""
        cid = self.cloud.snapshot_disk(disk_cid, metadata)
        self._add("snapshot", cid, remove=lambda: self._janitor.delete_snapshot(cid))
        return cid

    def delete_snapshot(self, snapshot_cid: SnapshotCid) -> None:
        """As the cloud, and struck out."""
        self.cloud.delete_snapshot(snapshot_cid)
        self._strike("snapshot", snapshot_cid)

    # ------------------------------------------------------------------ networks

    def create_network(self, definition: NetworkDefinition) -> CreatedNetwork:
        """As the cloud, and remembered."""
        network = self.cloud.create_network(definition)
        self._add("network", network.cid, remove=lambda: self._janitor.delete_network(network.cid))
        return network

    def delete_network(self, network_cid: NetworkCid) -> None:
        """As the cloud, and struck out."""
        self.cloud.delete_network(network_cid)
        self._strike("network", network_cid)

    # ------------------------------------------------------------------ methods of api_version 1

    def current_vm_id(self) -> VmCid:
        """As the cloud."""
        return self.cloud.current_vm_id()

    def configure_networks(self, vm_cid: VmCid, networks: Mapping[str, Any]) -> None:
        """As the cloud."""
        self.cloud.configure_networks(vm_cid, networks)
