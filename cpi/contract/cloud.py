"""The contract: every CPI method once, in its newest shape (api_version 3).

Each method's page has the same clauses: Given (what the caller owes), Then (what is true afterwards), Again (what the
same call does a second time), Raises. Every clause has a test in cpi.testing.conformance. Optional powers have a body
that refuses; a driver overrides it and declares the capability, both or neither.

Any method may raise CpiError for a wrong argument or configuration and CloudError for what the cloud failed at.
Any number of threads may call one Cloud, and any number of processes one cloud.
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
    """One IaaS, spoken to in BOSH's words."""

    name: ClassVar[str]
    """The plugin's name in the configuration."""

    block: ClassVar[str] = ""
    """The key of the driver's own block under cloud.properties, if it is not the name."""

    other_blocks: ClassVar[tuple[str, ...]] = ()
    """Other keys that it may have, in older documents."""

    beside_block: ClassVar[tuple[str, ...]] = ()
    """Keys of the block that may also lie beside it."""

    stemcell_formats: ClassVar[tuple[str, ...]]
    """The formats of stemcell it takes, best first."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset()
    """The optional powers it has."""

    unsupported_because: ClassVar[Mapping[Capability, str]] = {}
    """Why it has not those that it lacks, for the errors that say so."""

    def __init_subclass__(cls, *, powers: Literal["of the class", "of each instance"] = "of the class", **named: Any) -> None:
        """Raises TypeError for a power declared and not overridden, and the reverse; an instance may stand for another cloud."""
        super().__init_subclass__(**named)
        if powers == "of the class":
            check_powers(cls, Cloud)
        pass_through(cls, Cloud)

    @classmethod
    @abstractmethod
    def connect(cls, config: CloudConfig) -> Self:
        """Check the configuration and make ready to call.

        Given:   config.properties is the driver's own block.
        Then:    a Cloud that any number of threads may use; nothing was made in the cloud.
        Again:   another Cloud, independent of the first.
        Raises:  CpiError naming every fault of the configuration at once, or the extra to install.
        """

    def close(self) -> None:  # noqa: B027 - most drivers have nothing to close
        """Let go of connections.

        Given:   no call is under way.
        Then:    nothing of this Cloud stays open; what it made in the cloud stays.
        Again:   changes nothing.
        Raises:  nothing.
        """

    def for_request(self, request_id: str, token: str | None = None) -> Self:
        """The same cloud for the calls of one request of a director.

        Given:   request_id is the director's own; token is that of its create_vm or create_disk, if it may be repeated.
        Then:    a Cloud on the same connections, which tags what it makes with the id; the token of a call goes before this one.
        Again:   another one; any number may be in use at once.
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
        """Say which stemcells fit and which version of the API is spoken.

        Given:   nothing.
        Then:    the driver's stemcell formats, best first, and api_version 3; no API was called.
        Again:   the same.
        Raises:  nothing.
        """
        return Info(stemcell_formats=self.stemcell_formats)

    def ping(self) -> str:
        """Answer.

        Given:   nothing.
        Then:    "pong"; no API was called.
        Again:   the same.
        Raises:  nothing.
        """
        return "pong"

    # ------------------------------------------------------------------ stemcells

    @abstractmethod
    def create_stemcell(self, image_path: str, cloud_properties: CloudProperties, tags: Metadata) -> StemcellCid:
        """Make an image that VMs can be created from.

        Given:   image_path is a readable local file (empty for a light stemcell); cloud_properties as in stemcell.MF.
        Then:    create_vm can use the CID at once; the image carries tags.
        Again:   may make a second stemcell with a CID of its own, usable beside the first.
        Raises:  CpiError if the image can not be read or is of no format of this cloud; CloudError, with nothing left behind.
        """

    @abstractmethod
    def delete_stemcell(self, stemcell_cid: StemcellCid) -> None:
        """Remove an image.

        Given:   no VM uses it.
        Then:    it is gone, and everything made for it.
        Again:   a missing stemcell is success.
        Raises:  CloudError if it is not certain that it is gone.
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
        """Create and start a VM whose agent gets agent_id, networks and env.

        Given:   disk_cids are persistent disks that will be attached later: they decide where the VM lies, nothing more.
        Then:    the VM exists and boots, its settings hold all of env; it holds its addresses; no persistent disk is attached.
        Again:   with the same token: the same VM. Without one: another VM.
        Raises:  VMCreationFailed, ok_to_retry only if nothing is left behind and a repeat may succeed; CloudError for a stemcell,
                 a disk or a network that does not exist. Whatever is raised, what was made has been removed.
        """

    @abstractmethod
    def delete_vm(self, vm_cid: VmCid) -> None:
        """Remove a VM and what belongs to it alone.

        Given:   persistent disks may still be attached.
        Then:    the VM is gone, its addresses are free at once, its persistent disks live on detached with their data.
        Again:   a missing VM is success.
        Raises:  VMNotFound instead of success is allowed; CloudError if it is not certain that the VM is gone.
        """

    @abstractmethod
    def has_vm(self, vm_cid: VmCid) -> bool:
        """Tell whether the VM exists.

        Given:   any CID.
        Then:    True if it exists, running or stopped; False if it is gone or going.
        Again:   the same.
        Raises:  CloudError if it can not be known.
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
        """Put names and values on a VM for people and bills.

        Given:   the VM exists.
        Then:    metadata is added to what is there, cut to what the cloud allows.
        Again:   changes nothing.
        Raises:  VMNotFound; never for a value that the cloud would refuse.
        """

    def calculate_vm_cloud_properties(self, resources: VmResources) -> CloudProperties:
        """Find the cloud properties of the smallest VM that has resources.

        Given:   sizes in MiB.
        Then:    cloud properties that create_vm takes.
        Again:   the same.
        Raises:  NotSupported if nothing is that large; NotImplemented without the capability VM_RESOURCES.
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
        """Make an empty persistent disk.

        Given:   size in MiB; vm_cid names a VM near which the disk shall lie.
        Then:    the disk exists, detached, of at least size (rounded up to the cloud's unit).
        Again:   with the same token: the same disk. Without one: another disk.
        Raises:  NoDiskSpace; VMNotFound for a vm_cid that does not exist; CloudError, with nothing left behind.
        """

    @abstractmethod
    def delete_disk(self, disk_cid: DiskCid) -> None:
        """Remove a detached disk and its data.

        Given:   attached to no VM.
        Then:    it is gone.
        Again:   a missing disk is success.
        Raises:  DiskNotFound instead of success is allowed; CloudError if it is attached or not certainly gone.
        """

    @abstractmethod
    def has_disk(self, disk_cid: DiskCid) -> bool:
        """Tell whether the disk exists.

        Given:   any CID.
        Then:    True if it exists, attached or not.
        Again:   the same.
        Raises:  CloudError if it can not be known.
        """

    @abstractmethod
    def attach_disk(self, vm_cid: VmCid, disk_cid: DiskCid) -> DiskHint:
        """Connect a disk to a VM.

        Given:   both exist; the disk is attached to no other VM.
        Then:    the guest can find the disk by the hint; its data is untouched.
        Again:   changes nothing and answers the same hint.
        Raises:  VMNotFound; DiskNotFound; CloudError if it is attached elsewhere, naming where.
        """

    @abstractmethod
    def detach_disk(self, vm_cid: VmCid, disk_cid: DiskCid) -> None:
        """Take a disk away from a VM.

        Given:   the agent no longer uses it.
        Then:    the disk is free for attach_disk, resize_disk, delete_disk at once; its data is untouched.
        Again:   DiskNotAttached, or success.
        Raises:  DiskNotAttached; DiskNotFound; VMNotFound.
        """

    @abstractmethod
    def get_disks(self, vm_cid: VmCid) -> Sequence[DiskCid]:
        """List the persistent disks attached to a VM.

        Given:   the VM exists.
        Then:    their CIDs, none for a VM without; never its root or ephemeral disk.
        Again:   the same.
        Raises:  VMNotFound.
        """

    def set_disk_metadata(self, disk_cid: DiskCid, metadata: Metadata) -> None:
        """Put names and values on a disk.

        Given:   the disk exists, attached or not.
        Then:    metadata is added to what is there, cut to what the cloud allows.
        Again:   changes nothing.
        Raises:  DiskNotFound; NotImplemented without the capability DISK_METADATA; never for a value the cloud would refuse.
        """
        raise self._refusal(Capability.DISK_METADATA)

    def resize_disk(self, disk_cid: DiskCid, size: MiB) -> None:
        """Grow a detached disk in place.

        Given:   disk_cid is attached to no VM; size in MiB, at least the present size.
        Then:    the disk holds at least size; its data is untouched.
        Again:   the same size changes nothing and calls no API that charges.
        Raises:  DiskNotFound; NotSupported if smaller or impossible here, decided before the disk is touched.
        """
        raise self._refusal(Capability.RESIZE_DISK)

    def update_disk(self, disk_cid: DiskCid, size: MiB, cloud_properties: CloudProperties) -> DiskCid:
        """Change a detached disk's size or kind without losing its data.

        Given:   disk_cid is attached to no VM; size in MiB.
        Then:    the disk of the CID returned has size, cloud_properties and the old data; the same CID if changed in place.
        Again:   changes nothing and answers the same CID; after a killed call it finishes what was begun.
        Raises:  DiskNotFound; NotSupported if smaller or impossible here, decided before the disk is touched.
        """
        raise self._refusal(Capability.UPDATE_DISK)

    # ------------------------------------------------------------------ snapshots

    def snapshot_disk(self, disk_cid: DiskCid, metadata: Metadata) -> SnapshotCid:
        """Copy the present content of a disk, attached or not.

        Given:   the disk exists; it may be in use.
        Then:    the snapshot holds what the disk held at one instant, and carries metadata.
        Again:   makes another snapshot.
        Raises:  DiskNotFound; NotImplemented without the capability SNAPSHOTS.
        """
        raise self._refusal(Capability.SNAPSHOTS)

    def delete_snapshot(self, snapshot_cid: SnapshotCid) -> None:
        """Remove a snapshot.

        Given:   any CID.
        Then:    it is gone; the disk it was taken of is untouched.
        Again:   a missing snapshot is success.
        Raises:  CloudError if it is not certainly gone; NotImplemented without the capability SNAPSHOTS.
        """
        raise self._refusal(Capability.SNAPSHOTS)

    # ------------------------------------------------------------------ networks

    def create_network(self, definition: NetworkDefinition) -> CreatedNetwork:
        """Make a subnet.

        Given:   a range, or a size as netmask_bits for the cloud to choose from.
        Then:    create_vm takes the returned cloud_properties for it.
        Again:   makes another network, or refuses a range in use.
        Raises:  CloudError; NotImplemented without the capability NETWORKS.
        """
        raise self._refusal(Capability.NETWORKS)

    def delete_network(self, network_cid: NetworkCid) -> None:
        """Remove a network made by create_network.

        Given:   no VM is on it.
        Then:    it is gone.
        Again:   NetworkNotFound, or success.
        Raises:  NetworkNotFound; CloudError while VMs are on it; NotImplemented without the capability NETWORKS.
        """
        raise self._refusal(Capability.NETWORKS)

    # ------------------------------------------------------------------ methods of api_version 1

    def current_vm_id(self) -> VmCid:
        """Tell the CID of the VM the CPI runs in: a method of api_version 1 that no present caller needs.

        Given:   nothing.
        Then:    it is refused.
        Again:   the same.
        Raises:  NotImplemented.
        """
        raise errors.NotImplemented("current_vm_id belongs to api_version 1 and is not offered")

    def configure_networks(self, vm_cid: VmCid, networks: Mapping[str, Any]) -> None:
        """Change the networks of a living VM: removed from BOSH, whose callers recreate the VM instead.

        Given:   nothing.
        Then:    it is refused; the VM is untouched.
        Again:   the same.
        Raises:  NotSupported.
        """
        raise errors.NotSupported("configure_networks was removed from BOSH: recreate the VM")

    def _refusal(self, power: Capability) -> errors.CpiError:
        return refusal(power, self.name, self.unsupported_because.get(power))
