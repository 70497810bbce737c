"""A cloud and a VM in memory that keep state and know what must never happen, and a way to make any one call fail."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from cpi.agent.errors import AgentTimeout
from cpi.agent.protocol import Agent, Deadlines, Transport
from cpi.contract import errors
from cpi.contract.capability import Capability
from cpi.contract.cloud import Cloud
from cpi.contract.ids import AgentId, DiskCid, StemcellCid, VmCid
from cpi.contract.model import CloudConfig, CloudProperties, DiskHint, Env, Metadata, Networks, Vm
from cpi.contract.units import MiB

VM = VmCid("vm-1")
OLD = DiskCid("disk-old")


@dataclass
class Disk:
    """One disk; its content is the rows that the job wrote."""

    size: int
    properties: CloudProperties = field(default_factory=dict)
    rows: list[int] = field(default_factory=list)
    attached: bool = False
    tags: dict[str, Any] = field(default_factory=dict)


@dataclass
class World:
    """Everything there is: the disks in the cloud, and one VM with an agent and a job."""

    disks: dict[DiskCid, Disk] = field(default_factory=dict)
    tokens: dict[str, DiskCid] = field(default_factory=dict)
    known: set[DiskCid] = field(default_factory=set)
    store: DiskCid | None = None
    beside: DiskCid | None = None
    read_only: bool = False
    remembered: DiskCid | None = None
    """The disk that the agent would mount after a reboot."""

    running: bool = False
    written: int = 0
    refuses: bool = False
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @classmethod
    def with_disk(cls, size: int = 100, rows: int = 20) -> Self:
        """A VM whose job has written so many rows, one MiB each, on its only disk."""
        world = cls()
        world.disks[OLD] = Disk(size, attached=True)
        world.known, world.store, world.remembered, world.running = {OLD}, OLD, OLD, True
        for _ in range(rows):
            world.write()
        return world

    def write(self) -> None:
        """The job writes a row, if it runs; it must never run without its store."""
        if not self.running:
            return
        if self.store is None or self.read_only or not self.disks[self.store].attached:
            raise AssertionError("the job runs without a store to write on")
        self.disks[self.store].rows.append(self.written)
        self.written += 1

    @property
    def attached(self) -> set[DiskCid]:
        """The disks at the VM."""
        return {cid for cid, disk in self.disks.items() if disk.attached}

    def assert_well(self, disk_cid: DiskCid) -> None:
        """The job runs on that disk alone, and has lost no row."""
        assert (self.running, self.store, self.beside, self.read_only) == (True, disk_cid, None, False)
        assert (self.attached, self.known, self.remembered) == ({disk_cid}, {disk_cid}, disk_cid)
        self.write()
        assert self.disks[disk_cid].rows == list(range(self.written))


class MemoryCloud(Cloud):
    """The world's cloud."""

    name: ClassVar[str] = "memory"
    stemcell_formats: ClassVar[tuple[str, ...]] = ("none",)
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.RESIZE_DISK, Capability.UPDATE_DISK, Capability.DISK_METADATA}
    )

    def __init__(self, world: World) -> None:
        self.world = world

    @classmethod
    def connect(cls, config: CloudConfig) -> Self:
        return cls(World())

    def create_stemcell(self, image_path: str, cloud_properties: CloudProperties, tags: Metadata) -> StemcellCid:
        raise errors.CloudError("this world has one VM")

    def delete_stemcell(self, stemcell_cid: StemcellCid) -> None:
        raise errors.CloudError("this world has one VM")

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
        raise errors.CloudError("this world has one VM")

    def delete_vm(self, vm_cid: VmCid) -> None:
        raise errors.CloudError("this world has one VM")

    def has_vm(self, vm_cid: VmCid) -> bool:
        return vm_cid == VM

    def reboot_vm(self, vm_cid: VmCid) -> None:
        raise errors.CloudError("this world's VM stays up")

    def set_vm_metadata(self, vm_cid: VmCid, metadata: Metadata) -> None:
        """Nothing to put it on."""

    def create_disk(
        self, size: MiB, cloud_properties: CloudProperties, vm_cid: VmCid | None = None, token: str | None = None
    ) -> DiskCid:
        if token is not None and self.world.tokens.get(token) in self.world.disks:
            return self.world.tokens[token]
        cid = DiskCid(f"disk-{next(self.world.numbers)}")
        self.world.disks[cid] = Disk(size, dict(cloud_properties))
        if token is not None:
            self.world.tokens[token] = cid
        return cid

    def delete_disk(self, disk_cid: DiskCid) -> None:
        if self._disk(disk_cid).attached:
            raise errors.CloudError(f"{disk_cid} is attached")
        del self.world.disks[disk_cid]

    def has_disk(self, disk_cid: DiskCid) -> bool:
        return disk_cid in self.world.disks

    def attach_disk(self, vm_cid: VmCid, disk_cid: DiskCid) -> DiskHint:
        self._disk(disk_cid).attached = True
        return DiskHint(path=f"/dev/{disk_cid}")

    def detach_disk(self, vm_cid: VmCid, disk_cid: DiskCid) -> None:
        if not self._disk(disk_cid).attached:
            raise errors.DiskNotAttached(f"{disk_cid} is not attached")
        assert disk_cid not in {self.world.store, self.world.beside}, "detached while mounted"
        self._disk(disk_cid).attached = False

    def get_disks(self, vm_cid: VmCid) -> Sequence[DiskCid]:
        return sorted(self.world.attached)

    def set_disk_metadata(self, disk_cid: DiskCid, metadata: Metadata) -> None:
        self._disk(disk_cid).tags.update(metadata)

    def resize_disk(self, disk_cid: DiskCid, size: MiB) -> None:
        disk = self._loose(disk_cid)
        if self.world.refuses or size < disk.size:
            raise errors.NotSupported("this disk cannot be resized")
        disk.size = size

    def update_disk(self, disk_cid: DiskCid, size: MiB, cloud_properties: CloudProperties) -> DiskCid:
        updated = DiskCid(f"{disk_cid}-updated")
        if disk_cid not in self.world.disks and updated in self.world.disks:
            return updated
        disk = self._loose(disk_cid)
        if self.world.refuses or size < disk.size:
            raise errors.NotSupported("this disk cannot be updated")
        self.world.disks[updated] = Disk(size, dict(cloud_properties), disk.rows)
        del self.world.disks[disk_cid]
        return updated

    def _disk(self, disk_cid: DiskCid) -> Disk:
        if disk_cid not in self.world.disks:
            raise errors.DiskNotFound(f"there is no disk {disk_cid}")
        return self.world.disks[disk_cid]

    def _loose(self, disk_cid: DiskCid) -> Disk:
        disk = self._disk(disk_cid)
        assert not disk.attached, "changed while attached"
        return disk


class MemoryAgent:
    """The world's agent, as a transport: it speaks documents, and does long work as tasks."""

    _LONG = frozenset({"stop", "drain", "run_script", "list_disk", "add_persistent_disk", "remove_persistent_disk"}) | {
        "mount_disk", "unmount_disk", "migrate_disk",
    }  # fmt: skip

    def __init__(self, world: World) -> None:
        self.world = world
        self.calls: list[str] = []
        self._tasks: dict[str, Mapping[str, Any]] = {}

    def close(self) -> None:
        """Nothing is open."""

    def exchange(self, request: Mapping[str, Any], deadline_seconds: float) -> Mapping[str, Any]:
        method, arguments = request["method"], request["arguments"]
        if method == "get_task":
            return self._tasks[arguments[0]]
        self.calls.append(method)
        try:
            reply: Mapping[str, Any] = {"value": getattr(self, f"_{method}")(*arguments)}
        except ValueError as error:
            reply = {"exception": {"message": f"Action Failed get_task: Task t result: {error}"}}
        if method not in self._LONG:
            return reply
        task_id = f"task-{next(self.world.numbers)}"
        self._tasks[task_id] = reply
        return {"value": {"agent_task_id": task_id, "state": "running"}}

    def _ping(self) -> str:
        return "pong"

    def _get_state(self, *full: str) -> Mapping[str, Any]:
        store = self.world.disks.get(self.world.store) if self.world.store else None
        percent = len(store.rows) * 100 // store.size if store else 0
        vitals = {"vitals": {"disk": {"persistent": {"percent": str(percent), "inode_percent": "1"}}}} if full else {}
        return {"job_state": "running" if self.world.running else "stopped", "processes": [], **vitals}

    def _run_script(self, name: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
        return {}

    def _drain(self, kind: str) -> int:
        self.world.write()
        return 0

    def _stop(self) -> str:
        self.world.write()
        self.world.running = False
        return "stopped"

    def _start(self) -> str:
        self.world.running = True
        self.world.write()
        return "started"

    def _list_disk(self) -> list[str]:
        return [str(cid) for cid in (self.world.store, self.world.beside) if cid]

    def _add_persistent_disk(self, cid: str, hint: object) -> Mapping[str, Any]:
        self.world.known.add(DiskCid(cid))
        return {}

    def _remove_persistent_disk(self, cid: str) -> Mapping[str, Any]:
        self.world.known.discard(DiskCid(cid))
        return {}

    def _mount_disk(self, cid: str) -> Mapping[str, Any]:
        disk_cid = self._known(cid)
        if self.world.store == disk_cid:
            return {}
        if self.world.store is None:
            self.world.store, self.world.read_only = disk_cid, False
        else:
            self.world.beside = disk_cid
        self.world.remembered = disk_cid
        return {}

    def _unmount_disk(self, cid: str) -> Mapping[str, Any]:
        disk_cid = self._known(cid)
        if disk_cid == self.world.store:
            if self.world.running:
                raise ValueError("umount: target is busy")
            self.world.store = None
        if disk_cid == self.world.beside:
            self.world.beside = None
        return {"message": "unmounted"}

    def _migrate_disk(self, old: str, new: str) -> Mapping[str, Any]:
        world = self.world
        if world.running or world.store is None or world.beside is None:
            raise ValueError("nothing to copy, or the store is in use")
        world.read_only = True
        source, target = world.disks[world.store], world.disks[world.beside]
        if len(source.rows) > target.size:
            raise ValueError("tar: Cannot write: No space left on device")
        target.rows = list(source.rows)
        world.store, world.beside, world.read_only = world.beside, None, False
        return {}

    def _known(self, cid: str) -> DiskCid:
        disk_cid = DiskCid(cid)
        if disk_cid not in self.world.known or not self.world.disks[disk_cid].attached:
            raise ValueError(f"Persistent disk with volume id '{cid}' could not be found")
        return disk_cid


class Faults:
    """Counts the calls to both, and makes one of them fail: before it acts, or after, so that only its answer is lost."""

    def __init__(self, fails_at: int = -1, *, acts: bool = False, lasting: bool = False) -> None:
        self.count = 0
        self._fails_at = fails_at
        self._acts = acts
        self._lasting = lasting

    def through(self, fault: errors.Error, call: Callable[[], Any]) -> Any:
        """The call's answer, unless it is its turn."""
        turn, self.count = self.count, self.count + 1
        if turn != self._fails_at and not (self._lasting and turn > self._fails_at >= 0):
            return call()
        if self._acts:
            call()
        raise fault


class FaultyTransport:
    """An agent behind a bad line, which spares the methods named."""

    def __init__(self, inner: Transport, faults: Faults, spared: frozenset[str] = frozenset()) -> None:
        self._inner = inner
        self._faults = faults
        self._spared = spared

    def close(self) -> None:
        """Nothing is open."""

    def exchange(self, request: Mapping[str, Any], deadline_seconds: float) -> Mapping[str, Any]:
        if request["method"] in self._spared:
            return self._inner.exchange(request, deadline_seconds)
        fault = AgentTimeout(f"{request['method']}: made to fail")
        answer: Mapping[str, Any] = self._faults.through(fault, lambda: self._inner.exchange(request, deadline_seconds))
        return answer


_FACE = (
    "create_disk", "delete_disk", "has_disk", "attach_disk", "detach_disk", "get_disks", "set_disk_metadata", "resize_disk",
    "update_disk",
)  # fmt: skip


def faulty(cloud: Cloud, faults: Faults) -> Cloud:
    """The cloud behind a bad line."""

    def through(method: str) -> Callable[..., Any]:
        inner = getattr(cloud, method)
        return lambda *arguments: faults.through(errors.CloudError(f"{method}: made to fail"), lambda: inner(*arguments))

    for method in _FACE:
        setattr(cloud, method, through(method))
    return cloud


def parts(world: World, faults: Faults | None = None) -> tuple[Cloud, Agent]:
    """The cloud and the agent of a world, each call to which may fail."""
    faults = faults or Faults()
    return faulty(MemoryCloud(world), faults), Agent(
        FaultyTransport(MemoryAgent(world), faults), Deadlines(ready=0.01, start=0.01)
    )
