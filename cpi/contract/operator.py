"""What a driver may offer to operators beyond the CPI. All are optional, and checked with isinstance()."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import CloudProperties
from cpi.contract.units import MiB


class Finding(msgspec.Struct, frozen=True):
    """The result of one check, for `cpi doctor`."""

    subject: str
    verdict: Literal["good", "warning", "fault"]
    detail: str
    """What was found and, unless good, what to do about it; never a secret."""


@runtime_checkable
class Examines(Protocol):
    """A cloud that can check its own configuration."""

    def examine(self) -> Iterable[Finding]:
        """Check credentials, reachability and permissions, as far as possible without creating anything."""


@runtime_checkable
class ExaminesVmTypes(Protocol):
    """A cloud that can check whether VMs of a type can be created."""

    def examine_vm_type(self, vm_type: CloudProperties, networks: Sequence[CloudProperties]) -> Iterable[Finding]:
        """Check everything that the cloud_properties of a VM type and its networks refer to. Creates nothing."""


@runtime_checkable
class ExaminesStemcells(Protocol):
    """A cloud that can check whether a stemcell's image may be used."""

    def examine_stemcell(self, cloud_properties: CloudProperties) -> Iterable[Finding]:
        """Check everything that the cloud_properties of a stemcell.MF refer to. Creates nothing."""


@runtime_checkable
class ShowsAgentSettings(Protocol):
    """A cloud that can show the settings of a VM's agent."""

    def agent_settings(self, vm_cid: VmCid) -> Mapping[str, Any]:
        """The settings document, with its secrets in plain text: mask them before showing it. Raises VMNotFound."""


@runtime_checkable
class LoadsAhead(Protocol):
    """A cloud whose calls need more than its modules: descriptions of an API, say, that a process reads once."""

    def load_ahead(self) -> None:
        """Load it, for the processes that `cpi serve` forks. Asks the cloud nothing, opens no connection and starts no thread."""


@runtime_checkable
class ShowsDiskTags(Protocol):
    """A cloud that can read what set_disk_metadata wrote to a disk."""

    def disk_tags(self, disk_cid: DiskCid) -> Mapping[str, str]:
        """Names and values. Raises DiskNotFound."""


@runtime_checkable
class ShowsDiskSizes(Protocol):
    """A cloud that can tell how large a disk is, for disks whose size their VM cannot see."""

    def disk_size(self, disk_cid: DiskCid) -> MiB:
        """As it is now. Raises DiskNotFound."""


@runtime_checkable
class GrowsAttachedDisks(Protocol):
    """A cloud that can grow a disk while a VM uses it."""

    def grow_attached_disk(self, vm_cid: VmCid, disk_cid: DiskCid, size: MiB) -> None:
        """Grow an attached disk in place.

        Given:   the disk is attached to this VM and to no other, and may be in use; size in MiB, at least the current size.
        Then:    the disk is at least size large and still attached; its data is unchanged; the guest may have to rescan it.
        Again:   changes nothing, and calls no API that costs money; after a killed call it finishes the growth.
        Raises:  VMNotFound; DiskNotFound; DiskNotAttached; NotSupported if smaller, shared or impossible here or now, raised
                 before the disk is touched: the message says why and, if the cloud reports it, when it will be possible.
        """


@runtime_checkable
class ChangesAttachedDisks(Protocol):
    """A cloud that can change the kind of a disk while a VM uses it."""

    def change_attached_disk(self, vm_cid: VmCid, disk_cid: DiskCid, size: MiB, cloud_properties: CloudProperties) -> None:
        """Change the size or kind of an attached disk in place.

        Given:   the disk is attached to this VM and to no other, and may be in use; size in MiB, at least the current size.
        Then:    the disk has size and cloud_properties and is still attached; its data is unchanged.
        Again:   changes nothing, and calls no API that costs money; after a killed call it finishes the change.
        Raises:  VMNotFound; DiskNotFound; DiskNotAttached; NotSupported if smaller, shared or impossible here or now, raised
                 before the disk is touched: the message says why and, if the cloud reports it, when it will be possible.
        """


Kind = Literal[
    "VM",
    "balancer member",
    "security rule",
    "address",
    "interface",
    "stemcell",
    "snapshot",
    "disk",
    "server group",
    "network",
    "file",
    "folder",
]
"""What a CPI makes in a cloud, in the order in which it can be deleted."""


class TaggedResource(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a CPI made, as the cloud lists it."""

    kind: Kind
    id: str
    """The cloud's. The CID of a VM, disk, snapshot, stemcell or network contains it as a word."""

    tags: Mapping[str, str]
    """What shows who made it: the tags of a CPI (cpi.kit.tagging) and of BOSH, under these names whatever the cloud's are."""

    name: str = ""
    created: dt.datetime | None = None
    """With a time zone; None if the cloud does not say."""

    attached_to: str = ""
    """The id of the resource that uses it: as long as it does, this one is not deleted."""

    holds: tuple[str, ...] = ()
    """The ids of the persistent disks that a VM has: they stay when it is deleted."""

    description: str = ""
    """Size and type in the cloud's words."""


@runtime_checkable
class ListsTaggedResources(Protocol):
    """A cloud that can list what CPIs made in it, so that leftovers are found."""

    def tagged_resources(self) -> Sequence[TaggedResource]:
        """List everything that carries the tags of a CPI.

        Given:   nothing.
        Then:    returns what this CPI made, for whichever director, and everything tagged by a director, finished or not, with
                 what uses it; nothing is changed.
        Again:   the same, as long as nothing changes.
        Raises:  CloudError if the list would not be complete.
        """

    def delete_tagged_resource(self, resource: TaggedResource) -> None:
        """Delete a resource of the list.

        Given:   resource is from tagged_resources of this cloud.
        Then:    it is gone, with what the cloud deletes with it; persistent disks of a VM are detached and stay.
        Again:   success.
        Raises:  CloudError, deleting nothing, if something uses it or if it is no longer as it was listed.
        """
