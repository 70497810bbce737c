"""Every clause of the contract as tests. A test is named test_<method>_<clause>_<words>."""

from cpi.testing.conformance.attached_changes import AttachedChangeClauses
from cpi.testing.conformance.attachments import AttachmentClauses
from cpi.testing.conformance.connecting import ConnectingClauses
from cpi.testing.conformance.disk_changes import DiskChangeClauses
from cpi.testing.conformance.disks import DiskClauses
from cpi.testing.conformance.guests import GuestClauses, Guestless
from cpi.testing.conformance.metadata import MetadataClauses
from cpi.testing.conformance.networks import NetworkClauses
from cpi.testing.conformance.secrets import SecretClauses
from cpi.testing.conformance.snapshots import SnapshotClauses
from cpi.testing.conformance.stemcells import StemcellClauses
from cpi.testing.conformance.tagged_resources import TaggedResourceClauses
from cpi.testing.conformance.vm_creation import VmCreationClauses
from cpi.testing.conformance.vms import VmClauses
from cpi.testing.conformance.wire import WireClauses
from cpi.testing.harness import Face


class _FromOutside(
    ConnectingClauses,
    StemcellClauses,
    VmCreationClauses,
    VmClauses,
    DiskClauses,
    AttachmentClauses,
    DiskChangeClauses,
    AttachedChangeClauses,
    SnapshotClauses,
    NetworkClauses,
    MetadataClauses,
    TaggedResourceClauses,
    SecretClauses,
):
    """All clauses that the cloud alone can be asked for."""


class LibraryContract(_FromOutside, GuestClauses):
    """All clauses for a Cloud in this process: for one that no configuration describes."""

    faces: tuple[Face, ...] = ("in-process",)


class CloudContract(LibraryContract, WireClauses):
    """All clauses, in this process and through the executable: subclass it with a fixture `harness`."""

    faces: tuple[Face, ...] = ("in-process", "executable")


class GuestlessContract(_FromOutside, Guestless, WireClauses):
    """As CloudContract, for a cloud that runs no VMs, as a simulated one: without the clauses that are seen from inside them."""

    faces: tuple[Face, ...] = ("in-process", "executable")
