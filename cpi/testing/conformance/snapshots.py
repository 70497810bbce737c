"""The clauses of snapshot_disk and delete_snapshot."""

from cpi.contract import errors
from cpi.contract.capability import Capability
from cpi.contract.ids import SnapshotCid, VmCid
from cpi.testing.conformance.fixtures import ContractFixtures, Lost, TagsOf, refused, uncertain
from cpi.testing.harness import Harness
from cpi.testing.ledger import Ledger
from cpi.testing.maker import Maker
from cpi.testing.powers import powered, prove_declared_or_refused

_METADATA = {"deployment": "suite", "job": "contract", "index": 0, "director_uuid": "d-1", "agent_id": "a-1"}


class SnapshotClauses(ContractFixtures):
    """Copies of disks."""

    @powered(Capability.SNAPSHOTS)
    def test_snapshot_disk_given_a_disk_attached_or_not_is_taken(self, cloud: Ledger, make: Maker, vm_cid: VmCid) -> None:
        """The disk needs no detaching."""
        disk_cid = make.disk()
        assert cloud.snapshot_disk(disk_cid, _METADATA)
        cloud.attach_disk(vm_cid, disk_cid)
        assert cloud.snapshot_disk(disk_cid, _METADATA)
        assert list(cloud.get_disks(vm_cid)) == [disk_cid]

    @powered(Capability.SNAPSHOTS)
    def test_snapshot_disk_then_the_disk_stays_as_it_is(self, cloud: Ledger, make: Maker, vm_cid: VmCid) -> None:
        """It can be attached at once, by the hint it always has."""
        disk_cid = make.disk()
        cloud.snapshot_disk(disk_cid, _METADATA)
        assert cloud.has_disk(disk_cid)
        cloud.attach_disk(vm_cid, disk_cid)
        assert list(cloud.get_disks(vm_cid)) == [disk_cid]

    @powered(Capability.SNAPSHOTS)
    def test_snapshot_disk_then_it_carries_metadata(self, cloud: Ledger, make: Maker, tags_of: TagsOf) -> None:
        """The director's index is a number, and arrives all the same."""
        tags = tags_of(cloud.snapshot_disk(make.disk(), _METADATA))
        assert {key: tags.get(key) for key in ("deployment", "index")} == {"deployment": "suite", "index": "0"}

    @powered(Capability.SNAPSHOTS)
    def test_snapshot_disk_again_makes_another(self, cloud: Ledger, make: Maker) -> None:
        """Each holds its own instant."""
        disk_cid = make.disk()
        assert cloud.snapshot_disk(disk_cid, _METADATA) != cloud.snapshot_disk(disk_cid, _METADATA)

    @powered(Capability.SNAPSHOTS)
    def test_snapshot_disk_raises_disk_not_found(self, cloud: Ledger, harness: Harness) -> None:
        """For a disk that does not exist, naming it."""
        with refused(errors.DiskNotFound) as caught:
            cloud.snapshot_disk(harness.absent.disk, _METADATA)
        assert harness.absent.disk in caught.value.message

    def test_snapshot_disk_raises_not_implemented_without_the_capability(self, cloud: Ledger, harness: Harness) -> None:
        """Declared and offered, or neither: NotImplemented is ignored, NotSupported would end the task."""
        prove_declared_or_refused(cloud, harness, Capability.SNAPSHOTS, "snapshot_disk")

    @powered(Capability.SNAPSHOTS)
    def test_delete_snapshot_given_any_cid_succeeds(self, cloud: Ledger, harness: Harness) -> None:
        """A snapshot that never was is one that is gone."""
        cloud.delete_snapshot(harness.absent.snapshot)
        cloud.delete_snapshot(SnapshotCid("../not a cid/ü"))

    @powered(Capability.SNAPSHOTS)
    def test_delete_snapshot_then_the_disk_is_untouched(self, cloud: Ledger, make: Maker, vm_cid: VmCid) -> None:
        """The census sees that the snapshot is gone."""
        disk_cid = make.disk()
        cloud.attach_disk(vm_cid, disk_cid)
        cloud.delete_snapshot(cloud.snapshot_disk(disk_cid, _METADATA))
        assert list(cloud.get_disks(vm_cid)) == [disk_cid]

    @powered(Capability.SNAPSHOTS)
    def test_delete_snapshot_again_is_success(self, cloud: Ledger, make: Maker) -> None:
        """Also when the disk it was taken of is gone."""
        disk_cid = make.disk()
        snapshot_cid = cloud.snapshot_disk(disk_cid, _METADATA)
        cloud.delete_snapshot(snapshot_cid)
        cloud.delete_disk(disk_cid)
        cloud.delete_snapshot(snapshot_cid)

    @powered(Capability.SNAPSHOTS)
    def test_delete_snapshot_raises_cloud_error_when_it_is_not_certain(self, cloud: Ledger, harness: Harness, lost: Lost) -> None:
        """What cannot be looked at is not reported as gone."""
        with uncertain(), lost() as unreachable:
            unreachable.delete_snapshot(harness.absent.snapshot)

    def test_delete_snapshot_raises_not_implemented_without_the_capability(self, cloud: Ledger, harness: Harness) -> None:
        """Declared and offered, or neither."""
        prove_declared_or_refused(cloud, harness, Capability.SNAPSHOTS, "delete_snapshot")
