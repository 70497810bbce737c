"""The clauses of set_vm_metadata and set_disk_metadata."""

from typing import Any, Final

from cpi.contract import errors
from cpi.contract.capability import Capability
from cpi.contract.ids import VmCid
from cpi.contract.operator import ShowsDiskTags
from cpi.testing.conformance.fixtures import ContractFixtures, TagsOf, refused
from cpi.testing.harness import Harness
from cpi.testing.ledger import Ledger
from cpi.testing.maker import Maker
from cpi.testing.powers import powered, prove_declared_or_refused

_METADATA: Final = {"director": "suite", "deployment": "contract", "id": "i-1", "name": "db/i-1", "created_at": "2026-01-01"}

ODD: Final[dict[str, Any]] = {
    "name": "x" * 5000,
    "n" * 500: "a long name",
    "": "no name",
    "Ünïcode / with: odd=signs\t": "line one\nline two \U0001f600",
    "number": 7,
    "fraction": 0.5,
    "truth": True,
    "nothing": None,
    "empty": "",
    "nested": {"list": [1, "two", None]},
    "aws:reserved": "a prefix that a cloud keeps for itself",
    **{f"many-{index}": "values" for index in range(120)},
}
"""Everything that a cloud somewhere refuses in a tag."""


class MetadataClauses(ContractFixtures):
    """Tags for people and bills, which must never stand in the way."""

    def test_set_vm_metadata_then_it_is_added_to_what_is_there(self, cloud: Ledger, vm_cid: VmCid, tags_of: TagsOf) -> None:
        """What was set before stays, a name set again has the new value."""
        cloud.set_vm_metadata(vm_cid, {"job": "db", "index": "0"})
        cloud.set_vm_metadata(vm_cid, {"index": "1"})
        assert {key: tags_of(vm_cid).get(key) for key in ("job", "index")} == {"job": "db", "index": "1"}

    def test_set_vm_metadata_again_changes_nothing(self, cloud: Ledger, vm_cid: VmCid) -> None:
        """The director sets the same again whenever tags change."""
        cloud.set_vm_metadata(vm_cid, _METADATA)
        cloud.set_vm_metadata(vm_cid, _METADATA)
        assert cloud.has_vm(vm_cid)

    def test_set_vm_metadata_raises_vm_not_found(self, cloud: Ledger, harness: Harness) -> None:
        """For a VM that does not exist, naming it."""
        with refused(errors.VMNotFound) as caught:
            cloud.set_vm_metadata(harness.absent.vm, _METADATA)
        assert harness.absent.vm in caught.value.message

    def test_set_vm_metadata_raises_never_for_an_odd_value(self, cloud: Ledger, vm_cid: VmCid) -> None:
        """It is cut to what the cloud allows: no deployment fails for a tag."""
        cloud.set_vm_metadata(vm_cid, ODD)
        cloud.set_vm_metadata(vm_cid, {})
        assert cloud.has_vm(vm_cid)

    @powered(Capability.DISK_METADATA)
    def test_set_disk_metadata_given_a_disk_attached_or_not_succeeds(self, cloud: Ledger, make: Maker, vm_cid: VmCid) -> None:
        """The director sets it after each attach."""
        disk_cid = make.disk()
        cloud.set_disk_metadata(disk_cid, _METADATA)
        cloud.attach_disk(vm_cid, disk_cid)
        cloud.set_disk_metadata(disk_cid, _METADATA)
        assert list(cloud.get_disks(vm_cid)) == [disk_cid]

    @powered(Capability.DISK_METADATA)
    def test_set_disk_metadata_then_it_is_added_to_what_is_there(self, cloud: Ledger, make: Maker, tags_of: TagsOf) -> None:
        """What was set before stays, a name set again has the new value; the CID of a disk is kept whole, and told again."""
        disk_cid = make.disk()
        cloud.set_disk_metadata(disk_cid, {"job": "db", "index": "0"})
        cloud.set_disk_metadata(disk_cid, {"index": "1", "replaced_by": str(disk_cid)})
        wanted = {"job": "db", "index": "1", "replaced_by": str(disk_cid)}
        assert {key: tags_of(disk_cid).get(key) for key in wanted} == wanted
        shows = cloud.cloud
        if isinstance(shows, ShowsDiskTags):  # who recreates VMs follows disks by what it tells
            assert {key: shows.disk_tags(disk_cid).get(key) for key in wanted} == wanted

    @powered(Capability.DISK_METADATA)
    def test_set_disk_metadata_again_changes_nothing(self, cloud: Ledger, make: Maker) -> None:
        """As often as one likes."""
        disk_cid = make.disk()
        cloud.set_disk_metadata(disk_cid, _METADATA)
        cloud.set_disk_metadata(disk_cid, _METADATA)
        assert cloud.has_disk(disk_cid)

    @powered(Capability.DISK_METADATA)
    def test_set_disk_metadata_raises_disk_not_found(self, cloud: Ledger, harness: Harness) -> None:
        """For a disk that does not exist, naming it."""
        with refused(errors.DiskNotFound) as caught:
            cloud.set_disk_metadata(harness.absent.disk, _METADATA)
        assert harness.absent.disk in caught.value.message
        shows = cloud.cloud
        if isinstance(shows, ShowsDiskTags):
            with refused(errors.DiskNotFound):
                shows.disk_tags(harness.absent.disk)

    @powered(Capability.DISK_METADATA)
    def test_set_disk_metadata_raises_never_for_an_odd_value(self, cloud: Ledger, make: Maker) -> None:
        """It is cut to what the cloud allows."""
        disk_cid = make.disk()
        cloud.set_disk_metadata(disk_cid, ODD)
        cloud.set_disk_metadata(disk_cid, {})
        assert cloud.has_disk(disk_cid)

    def test_set_disk_metadata_raises_not_implemented_without_the_capability(self, cloud: Ledger, harness: Harness) -> None:
        """Declared and offered, or neither: NotImplemented is ignored, NotSupported would end the deployment."""
        prove_declared_or_refused(cloud, harness, Capability.DISK_METADATA, "set_disk_metadata")
