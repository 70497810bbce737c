"""The contract through an executable: any CPI, spoken to as a director speaks to it."""
# ruff: noqa: D102 - the page of each method is the contract's

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self, TypeVar

import msgspec

from cpi.contract import errors
from cpi.contract.capability import Capability
from cpi.contract.cloud import Cloud
from cpi.contract.encoding import from_plain
from cpi.contract.ids import AgentId, DiskCid, NetworkCid, SnapshotCid, StemcellCid, VmCid
from cpi.contract.model import (
    CallContext,
    CloudConfig,
    CloudProperties,
    CreatedNetwork,
    DiskHint,
    Env,
    Info,
    Metadata,
    Network,
    NetworkAddresses,
    NetworkDefinition,
    Networks,
    Vm,
    VmResources,
)
from cpi.contract.units import MiB
from cpi.kit.settings import read_settings
from cpi.rpc import child, versions
from cpi.rpc.calling import Caller, Executable, OnCall, ignore_call

T = TypeVar("T")

_VM_AND_NETWORKS: Final = 2


class ExternalSettings(msgspec.Struct, frozen=True):
    """What connect takes."""

    command: tuple[str, ...]
    caller: Caller = "director"
    deadline_seconds: float = 1800.0


class ExternalCloud(Cloud, powers="of each instance"):
    """Drives an executable, one process a call.

    The version of the API is negotiated once, when it is first needed. An executable does not declare its powers: say in
    capabilities what it has. on_call is told of every call what the executable logged, in the thread that made the call.
    start is who starts its processes.
    Errors come back as the classes of the contract; what is no valid response is a CpiError that shows its beginning.
    """

    name = "external"
    stemcell_formats = ()

    def __init__(
        self,
        command: Sequence[str],
        context: CallContext | None = None,
        *,
        caller: Caller = "director",
        capabilities: frozenset[Capability] = frozenset(),
        deadline_seconds: float = 1800.0,
        grace_seconds: float = 10.0,
        on_call: OnCall = ignore_call,
        start: child.Start = child.start,
    ) -> None:
        self._executable = Executable(
            tuple(command),
            context or CallContext(),
            caller,
            deadline_seconds=deadline_seconds,
            grace_seconds=grace_seconds,
            on_call=on_call,
            start=start,
        )
        vars(self)["capabilities"] = capabilities  # of this executable, not of the class

    @classmethod
    def connect(cls, config: CloudConfig) -> Self:
        settings = read_settings(ExternalSettings, config.properties, "external")
        return cls(settings.command, config.context, caller=settings.caller, deadline_seconds=settings.deadline_seconds)

    def info(self) -> Info:
        return self._executable.info()

    def ping(self) -> str:
        return self._answer(str, "ping")

    def create_stemcell(self, image_path: str, cloud_properties: CloudProperties, tags: Metadata) -> StemcellCid:
        return self._answer(StemcellCid, "create_stemcell", image_path, cloud_properties, tags)

    def delete_stemcell(self, stemcell_cid: StemcellCid) -> None:
        self._executable.call("delete_stemcell", stemcell_cid)

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
        result = self._executable.call(
            "create_vm",
            agent_id,
            stemcell_cid,
            cloud_properties,
            versions.networks_to_wire(networks),
            list(disk_cids),
            env or {},
            token=token,
        )
        if not isinstance(result, list) or len(result) != _VM_AND_NETWORKS or not isinstance(result[1], Mapping):
            raise self._executable.nonsense("create_vm", result, "expected [vm_cid, networks]")
        cid = self._read(VmCid, "create_vm", result[0])
        try:
            answered = {name: Network.from_document(network) for name, network in result[1].items()}
        except (msgspec.ValidationError, AttributeError) as error:
            raise self._executable.nonsense("create_vm", result, str(error)) from error
        return Vm(cid, answered)

    def delete_vm(self, vm_cid: VmCid) -> None:
        self._executable.call("delete_vm", vm_cid)

    def has_vm(self, vm_cid: VmCid) -> bool:
        return self._answer(bool, "has_vm", vm_cid)

    def reboot_vm(self, vm_cid: VmCid) -> None:
        self._executable.call("reboot_vm", vm_cid)

    def set_vm_metadata(self, vm_cid: VmCid, metadata: Metadata) -> None:
        self._executable.call("set_vm_metadata", vm_cid, metadata)

    def calculate_vm_cloud_properties(self, resources: VmResources) -> CloudProperties:
        return self._answer(dict[str, Any], "calculate_vm_cloud_properties", resources)

    def create_disk(
        self, size: MiB, cloud_properties: CloudProperties, vm_cid: VmCid | None = None, token: str | None = None
    ) -> DiskCid:
        return self._answer(DiskCid, "create_disk", size, cloud_properties, vm_cid, token=token)

    def delete_disk(self, disk_cid: DiskCid) -> None:
        self._executable.call("delete_disk", disk_cid)

    def has_disk(self, disk_cid: DiskCid) -> bool:
        return self._answer(bool, "has_disk", disk_cid)

    def attach_disk(self, vm_cid: VmCid, disk_cid: DiskCid) -> DiskHint:
        result = self._executable.call("attach_disk", vm_cid, disk_cid)
        try:
            return DiskHint.from_wire(result)
        except errors.CpiError as error:
            raise self._executable.nonsense("attach_disk", result, error.message) from error

    def detach_disk(self, vm_cid: VmCid, disk_cid: DiskCid) -> None:
        self._executable.call("detach_disk", vm_cid, disk_cid)

    def get_disks(self, vm_cid: VmCid) -> Sequence[DiskCid]:
        return self._answer(list[DiskCid], "get_disks", vm_cid)

    def set_disk_metadata(self, disk_cid: DiskCid, metadata: Metadata) -> None:
        self._executable.call("set_disk_metadata", disk_cid, metadata)

    def resize_disk(self, disk_cid: DiskCid, size: MiB) -> None:
        self._executable.call("resize_disk", disk_cid, size)

    def update_disk(self, disk_cid: DiskCid, size: MiB, cloud_properties: CloudProperties) -> DiskCid:
        result = self._executable.call("update_disk", disk_cid, size, cloud_properties)
        return disk_cid if result is None else self._read(DiskCid, "update_disk", result)

    def snapshot_disk(self, disk_cid: DiskCid, metadata: Metadata) -> SnapshotCid:
        return self._answer(SnapshotCid, "snapshot_disk", disk_cid, metadata)

    def delete_snapshot(self, snapshot_cid: SnapshotCid) -> None:
        self._executable.call("delete_snapshot", snapshot_cid)

    def create_network(self, definition: NetworkDefinition) -> CreatedNetwork:
        result = self._executable.call("create_network", definition)
        cid, addresses, cloud_properties = self._read(
            tuple[NetworkCid, NetworkAddresses, dict[str, Any]], "create_network", result
        )
        return CreatedNetwork(cid, addresses, cloud_properties)

    def delete_network(self, network_cid: NetworkCid) -> None:
        self._executable.call("delete_network", network_cid)

    def current_vm_id(self) -> VmCid:
        return self._answer(VmCid, "current_vm_id")

    def configure_networks(self, vm_cid: VmCid, networks: Mapping[str, Any]) -> None:
        self._executable.call("configure_networks", vm_cid, networks)

    def _answer(self, wanted: type[T], method: str, *arguments: object, token: str | None = None) -> T:
        return self._read(wanted, method, self._executable.call(method, *arguments, token=token))

    def _read(self, wanted: type[T], method: str, result: object) -> T:
        try:
            return from_plain(result, wanted)
        except msgspec.ValidationError as error:
            raise self._executable.nonsense(method, result, str(error)) from error
