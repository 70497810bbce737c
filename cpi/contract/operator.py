"""What a driver may offer to operators beyond the CPI. All are optional, and checked with isinstance()."""

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
