"""What a driver may offer to people beyond the CPI. All are optional, and asked for with isinstance()."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import CloudProperties


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at, for `cpi doctor`."""

    subject: str
    verdict: Literal["good", "warning", "fault"]
    detail: str
    """What was seen and, unless good, what to do about it; never a secret."""


@runtime_checkable
class Examines(Protocol):
    """A cloud that can say what is wrong with itself."""

    def examine(self) -> Iterable[Finding]:
        """Look at credentials, reachability and permissions, as far as it can be done without making anything."""


@runtime_checkable
class ExaminesVmTypes(Protocol):
    """A cloud that can say whether VMs of a type can be made."""

    def examine_vm_type(self, vm_type: CloudProperties, networks: Sequence[CloudProperties]) -> Iterable[Finding]:
        """Look at what the cloud_properties of a VM type and of the networks it lies in name. Makes nothing."""


@runtime_checkable
class ExaminesStemcells(Protocol):
    """A cloud that can say whether what a stemcell names may be used."""

    def examine_stemcell(self, cloud_properties: CloudProperties) -> Iterable[Finding]:
        """Look at what the cloud_properties of a stemcell.MF name. Makes nothing."""


@runtime_checkable
class ShowsAgentSettings(Protocol):
    """A cloud that can say what a VM's agent was given."""

    def agent_settings(self, vm_cid: VmCid) -> Mapping[str, Any]:
        """The settings document, secrets in it as they are: mask them before showing. Raises VMNotFound."""


@runtime_checkable
class ShowsDiskTags(Protocol):
    """A cloud that can say what set_disk_metadata has put on a disk."""

    def disk_tags(self, disk_cid: DiskCid) -> Mapping[str, str]:
        """Names and values. Raises DiskNotFound."""
