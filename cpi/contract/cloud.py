"""The contract: every CPI method once, in its newest shape (api_version 3).

Each method's docstring has the same clauses: Given (what the caller must ensure), Then (what is true afterwards), Again (what
a second call with the same arguments does), Raises. Every clause has a test in cpi.testing.conformance. The methods of optional
capabilities raise by default; a driver overrides the method and declares the capability, or does neither.

Any method may raise CpiError for a wrong argument or configuration, and CloudError if the cloud fails.
Any number of threads may use one Cloud, and any number of processes may use one cloud.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

from cpi.contract import errors
from cpi.contract.capability import Capability, check_powers, refusal
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
from cpi.contract.request import Request, pass_through
from cpi.contract.units import MiB


class Cloud(ABC):
    """One IaaS, described in BOSH's words."""

    name: ClassVar[str]
    """The plugin's name in the configuration."""

    block: ClassVar[str] = ""
    """The key of the driver's own block under cloud.properties, if it differs from the name."""

    other_blocks: ClassVar[tuple[str, ...]] = ()
    """Other keys that the block may have, in older configurations."""

    beside_block: ClassVar[tuple[str, ...]] = ()
    """Keys of the block that may also stand next to it."""

    session_type: ClassVar[str] = ""
    """The full name of the type of SDK session that it can use, such as boto3.session.Session; empty: none."""

    stemcell_formats: ClassVar[tuple[str, ...]]
    """The stemcell formats that it accepts, best first."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset()
    """The optional capabilities it has."""

    unsupported_because: ClassVar[Mapping[Capability, str]] = {}
    """Why it lacks the others, for the error messages."""

    def __init_subclass__(cls, *, powers: Literal["of the class", "of each instance"] = "of the class", **named: Any) -> None:
        """Raises TypeError if a capability is declared but not overridden, or the reverse; an instance may differ."""
        super().__init_subclass__(**named)
        if powers == "of the class":
            check_powers(cls, Cloud)
        pass_through(cls, Cloud)

    @classmethod
    @abstractmethod
    def connect(cls, config: CloudConfig) -> Self:
        """Check the configuration and prepare for calls.

        Given:   config.properties is the driver's own block; config.session is None or of session_type.
        Then:    returns a Cloud that any number of threads may use; nothing was created in the cloud.
        Again:   returns another Cloud, independent of the first.
        Raises:  CpiError listing every fault of the configuration at once, or the extra to install.
        """

    def close(self) -> None:  # noqa: B027 - most drivers have nothing to close
        """Close connections.

        Given:   no call is in progress.
        Then:    this Cloud has no open connections; what it created in the cloud remains.
        Again:   changes nothing.
        Raises:  nothing.
        """

    def for_request(self, request_id: str, token: str | None = None) -> Self:
        """Return the same cloud for the calls of one director request.

        Given:   request_id is the director's; token identifies a create_vm or create_disk that may be repeated.
        Then:    returns a Cloud that shares the connections and tags what it creates with the id; a call's own token wins.
        Again:   returns another one; any number may be in use at once.
        Raises:  nothing.
        """
        theirs = copy.copy(self)
        vars(theirs)["_request"] = Request(request_id, token)
        return theirs

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # ------------------------------------------------------------------ the CPI itself

    def info(self) -> Info:
        """Return the supported stemcell formats and the API version.

        Given:   nothing.
        Then:    returns the driver's stemcell formats, best first, and api_version 3, without calling the cloud's API.
        Again:   the same.
        Raises:  nothing.
        """
        return Info(stemcell_formats=self.stemcell_formats)

    def ping(self) -> str:
        """Return "pong".

        Given:   nothing.
        Then:    returns "pong", without calling the cloud's API.
        Again:   the same.
        Raises:  nothing.
        """
        return "pong"

    # ------------------------------------------------------------------ stemcells

    @abstractmethod
    def create_stemcell(self, image_path: str, cloud_properties: CloudProperties, tags: Metadata) -> StemcellCid:
        """Create an image from which VMs can be created.

        Given:   image_path is a readable local file (empty for a light stemcell); cloud_properties as in stemcell.MF.
        Then:    create_vm can use the CID at once; the image carries tags.
        Again:   may create a second stemcell with its own CID; both are usable.
        Raises:  CpiError if the image cannot be read or has an unsupported format; CloudError, with nothing left behind.
        """

    @abstractmethod
    def delete_stemcell(self, stemcell_cid: StemcellCid) -> None:
        """Delete an image.

        Given:   no VM uses it.
        Then:    the stemcell and everything created for it are gone.
        Again:   succeeds if the stemcell is missing.
        Raises:  CloudError if it is not certain that the stemcell is gone.
        """

    # ------------------------------------------------------------------ VMs

    @abstractmethod
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
        """Create and start a VM whose agent receives agent_id, networks and env.

        Given:   disk_cids are persistent disks that will be attached later; they only influence where the VM is placed.
        Then:    the VM exists, boots and has its addresses; its settings contain all of env; no persistent disk is attached.
        Again:   with the same token, returns the same VM; without a token, creates another VM.
        Raises:  VMCreationFailed, with ok_to_retry only if nothing is left behind and a retry may succeed; CloudError for a
                 stemcell, a disk or a network that does not exist. Whatever is raised, everything created has been removed.
        """

    @abstractmethod
    def delete_vm(self, vm_cid: VmCid) -> None:
        """Delete a VM and everything that belongs only to it.

        Given:   persistent disks may still be attached.
        Then:    the VM is gone; its addresses are free at once; its persistent disks are detached and keep their data.
        Again:   succeeds if the VM is missing.
        Raises:  VMNotFound (allowed instead of success); CloudError if it is not certain that the VM is gone.
        """

    @abstractmethod
    def has_vm(self, vm_cid: VmCid) -> bool:
        """Return whether the VM exists.

        Given:   any CID.
        Then:    returns True if it exists, running or stopped; False if it is gone or being deleted.
        Again:   the same.
        Raises:  CloudError if this cannot be determined.
        """

    @abstractmethod
    def reboot_vm(self, vm_cid: VmCid) -> None:
        """Restart a VM; start it if it is off.

        Given:   the VM exists.
        Then:    it boots, with the same disks and addresses.
        Again:   it boots once more.
        Raises:  VMNotFound.
        """

    @abstractmethod
    def set_vm_metadata(self, vm_cid: VmCid, metadata: Metadata) -> None:
        """Add names and values to a VM, for operators and billing.

        Given:   the VM exists.
        Then:    metadata is added to the existing metadata, cut to the cloud's limits.
        Again:   changes nothing.
        Raises:  VMNotFound; never an error for a refused value.
        """

    def calculate_vm_cloud_properties(self, resources: VmResources) -> CloudProperties:
        """Return the cloud properties of the smallest VM with at least these resources.

        Given:   sizes in MiB.
        Then:    returns cloud properties that create_vm accepts.
        Again:   the same.
        Raises:  NotSupported if no VM type is large enough; NotImplemented without the capability VM_RESOURCES.
        """
        raise self._refusal(Capability.VM_RESOURCES)

    # ------------------------------------------------------------------ persistent disks

    @abstractmethod
    def create_disk(
        self,
        size: MiB,
        cloud_properties: CloudProperties,
        vm_cid: VmCid | None = None,
        token: str | None = None,
    ) -> DiskCid:
        """Create an empty persistent disk.

        Given:   size in MiB, at least 1; vm_cid is a VM near which the disk should be placed.
        Then:    the disk exists, is detached, and is at least size large (rounded up to the cloud's unit).
        Again:   with the same token, returns the same disk; without a token, creates another disk.
        Raises:  NoDiskSpace; VMNotFound if vm_cid does not exist; CloudError, with nothing left behind.
        """

    @abstractmethod
    def delete_disk(self, disk_cid: DiskCid) -> None:
        """Delete a detached disk and its data.

        Given:   the disk is attached to no VM.
        Then:    the disk is gone.
        Again:   succeeds if the disk is missing.
        Raises:  DiskNotFound (allowed instead of success); CloudError if it is attached, or not certainly gone.
        """

    @abstractmethod
    def has_disk(self, disk_cid: DiskCid) -> bool:
        """Return whether the disk exists.

        Given:   any CID.
        Then:    returns True if it exists, attached or not.
        Again:   the same.
        Raises:  CloudError if this cannot be determined.
        """

    @abstractmethod
    def attach_disk(self, vm_cid: VmCid, disk_cid: DiskCid) -> DiskHint:
        """Attach a disk to a VM.

        Given:   both exist; the disk is attached to no other VM.
        Then:    the guest can find the disk by the returned hint; its data is unchanged.
        Again:   changes nothing and returns the same hint.
        Raises:  VMNotFound; DiskNotFound; CloudError if it is attached to another VM, naming that VM.
        """

    @abstractmethod
    def detach_disk(self, vm_cid: VmCid, disk_cid: DiskCid) -> None:
        """Detach a disk from a VM.

        Given:   the agent no longer uses it.
        Then:    the disk is ready for attach_disk, resize_disk or delete_disk at once; its data is unchanged.
        Again:   raises DiskNotAttached, or succeeds.
        Raises:  DiskNotAttached; DiskNotFound; VMNotFound.
        """

    @abstractmethod
    def get_disks(self, vm_cid: VmCid) -> Sequence[DiskCid]:
        """List the persistent disks attached to a VM.

        Given:   the VM exists.
        Then:    returns their CIDs, an empty list if there are none; never the root or ephemeral disk.
        Again:   the same.
        Raises:  VMNotFound.
        """

    def set_disk_metadata(self, disk_cid: DiskCid, metadata: Metadata) -> None:
        """Add names and values to a disk.

        Given:   the disk exists, attached or not.
        Then:    metadata is added to the existing metadata, cut to the cloud's limits.
        Again:   changes nothing.
        Raises:  DiskNotFound; NotImplemented without the capability DISK_METADATA; never an error for a refused value.
        """
        raise self._refusal(Capability.DISK_METADATA)

    def resize_disk(self, disk_cid: DiskCid, size: MiB) -> None:
        """Grow a detached disk in place.

        Given:   the disk is attached to no VM; size in MiB, at least the current size.
        Then:    the disk is at least size large; its data is unchanged.
        Again:   changes nothing, and calls no API that costs money.
        Raises:  DiskNotFound; NotSupported if smaller or impossible here, raised before the disk is touched.
        """
        raise self._refusal(Capability.RESIZE_DISK)

    def update_disk(self, disk_cid: DiskCid, size: MiB, cloud_properties: CloudProperties) -> DiskCid:
        """Change the size or kind of a detached disk without losing its data.

        Given:   the disk is attached to no VM; size in MiB.
        Then:    the disk of the returned CID has size, cloud_properties and the old data; it is the same CID if changed in place.
        Again:   changes nothing and returns the same CID; after a killed call it finishes the change.
        Raises:  DiskNotFound; NotSupported if smaller or impossible here, raised before the disk is touched.
        """
        raise self._refusal(Capability.UPDATE_DISK)

    # ------------------------------------------------------------------ snapshots

    def snapshot_disk(self, disk_cid: DiskCid, metadata: Metadata) -> SnapshotCid:
        """Take a snapshot of a disk, attached or not.

        Given:   the disk exists; it may be in use.
        Then:    the snapshot holds the disk's content at one instant, and has metadata.
        Again:   creates another snapshot.
        Raises:  DiskNotFound; NotImplemented without the capability SNAPSHOTS.
        """
        raise self._refusal(Capability.SNAPSHOTS)

    def delete_snapshot(self, snapshot_cid: SnapshotCid) -> None:
        """Delete a snapshot.

        Given:   any CID.
        Then:    the snapshot is gone; its disk is unchanged.
        Again:   succeeds if the snapshot is missing.
        Raises:  CloudError if it is not certain that the snapshot is gone; NotImplemented without the capability SNAPSHOTS.
        """
        raise self._refusal(Capability.SNAPSHOTS)

    # ------------------------------------------------------------------ networks

    def create_network(self, definition: NetworkDefinition) -> CreatedNetwork:
        """Create a subnet.

        Given:   definition has a range, or netmask_bits to let the cloud choose a range of that size.
        Then:    create_vm accepts the returned cloud_properties for it.
        Again:   creates another network, or refuses a range in use.
        Raises:  CloudError; NotImplemented without the capability NETWORKS.
        """
        raise self._refusal(Capability.NETWORKS)

    def delete_network(self, network_cid: NetworkCid) -> None:
        """Delete a network made by create_network.

        Given:   no VM is on it.
        Then:    the network is gone.
        Again:   raises NetworkNotFound, or succeeds.
        Raises:  NetworkNotFound; CloudError while VMs are on it; NotImplemented without the capability NETWORKS.
        """
        raise self._refusal(Capability.NETWORKS)

    # ------------------------------------------------------------------ methods of api_version 1

    def current_vm_id(self) -> VmCid:
        """Return the CID of the VM the CPI runs in: a method of api_version 1 that current callers do not need.

        Given:   nothing.
        Then:    the call is refused.
        Again:   the same.
        Raises:  NotImplemented.
        """
        raise errors.NotImplemented("current_vm_id belongs to api_version 1 and is not offered")

    def configure_networks(self, vm_cid: VmCid, networks: Mapping[str, Any]) -> None:
        """Change the networks of a running VM: removed from BOSH, whose callers recreate the VM instead.

        Given:   nothing.
        Then:    the call is refused; the VM is unchanged.
        Again:   the same.
        Raises:  NotSupported.
        """
        raise errors.NotSupported("configure_networks was removed from BOSH: recreate the VM")

    def _refusal(self, power: Capability) -> errors.CpiError:
        return refusal(power, self.name, self.unsupported_because.get(power))
