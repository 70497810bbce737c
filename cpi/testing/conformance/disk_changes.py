"""The clauses of resize_disk and update_disk."""

from cpi.contract import errors
from cpi.contract.capability import Capability
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.operator import ShowsDiskSizes
from cpi.testing.conformance.fixtures import ContractFixtures, SizeOf, refused
from cpi.testing.harness import Harness
from cpi.testing.ledger import Ledger
from cpi.testing.maker import Maker
from cpi.testing.powers import powered, prove_declared_or_refused


class DiskChangeClauses(ContractFixtures):
    """Disks that change their size or kind."""

    @powered(Capability.RESIZE_DISK)
    def test_resize_disk_given_an_attached_disk_leaves_it_attached(
        self, cloud: Ledger, make: Maker, vm_cid: VmCid, harness: Harness
    ) -> None:
        """The caller owes a detached disk; where that is refused, the disk stays as it is."""
        disk_cid = make.disk()
        hint = cloud.attach_disk(vm_cid, disk_cid)
        with refused(errors.CloudError, errors.NotSupported):
            cloud.resize_disk(disk_cid, harness.larger_disk_size)
        assert list(cloud.get_disks(vm_cid)) == [disk_cid]
        assert cloud.attach_disk(vm_cid, disk_cid) == hint

    @powered(Capability.RESIZE_DISK)
    def test_resize_disk_then_it_holds_the_size(self, cloud: Ledger, make: Maker, harness: Harness, disk_size_of: SizeOf) -> None:
        """At least; a cloud that shows the sizes of disks shows the new one."""
        disk_cid = make.disk()
        shows = cloud.cloud
        before = shows.disk_size(disk_cid) if isinstance(shows, ShowsDiskSizes) else harness.disk_size
        cloud.resize_disk(disk_cid, harness.larger_disk_size)
        assert disk_size_of(disk_cid) >= harness.larger_disk_size
        assert harness.disk_size <= before < harness.larger_disk_size
        if isinstance(shows, ShowsDiskSizes):
            assert shows.disk_size(disk_cid) == disk_size_of(disk_cid)

    @powered(Capability.RESIZE_DISK)
    def test_resize_disk_then_it_can_be_attached_at_once(
        self, cloud: Ledger, make: Maker, harness: Harness, vm_cid: VmCid
    ) -> None:
        """The director attaches it in the next call."""
        disk_cid = make.disk()
        cloud.resize_disk(disk_cid, harness.larger_disk_size)
        cloud.attach_disk(vm_cid, disk_cid)
        assert list(cloud.get_disks(vm_cid)) == [disk_cid]

    @powered(Capability.RESIZE_DISK)
    def test_resize_disk_again_changes_nothing(self, cloud: Ledger, make: Maker, harness: Harness) -> None:
        """To the size it was made with, and to the size it was resized to."""
        disk_cid = make.disk()
        for size in (harness.disk_size, harness.larger_disk_size, harness.larger_disk_size):
            cloud.resize_disk(disk_cid, size)
        assert cloud.has_disk(disk_cid)

    @powered(Capability.RESIZE_DISK)
    def test_resize_disk_raises_disk_not_found(self, cloud: Ledger, harness: Harness) -> None:
        """For a disk that does not exist, naming it."""
        with refused(errors.DiskNotFound) as caught:
            cloud.resize_disk(harness.absent.disk, harness.larger_disk_size)
        assert harness.absent.disk in caught.value.message
        shows = cloud.cloud
        if isinstance(shows, ShowsDiskSizes):
            with refused(errors.DiskNotFound):
                shows.disk_size(harness.absent.disk)

    @powered(Capability.RESIZE_DISK)
    def test_resize_disk_raises_not_supported_if_smaller(self, cloud: Ledger, make: Maker, harness: Harness) -> None:
        """Any other error would leave the director with a detached disk and a failed deployment."""
        disk_cid = make.disk(harness.larger_disk_size)
        with refused(errors.NotSupported):
            cloud.resize_disk(disk_cid, harness.disk_size)
        cloud.resize_disk(disk_cid, harness.larger_disk_size)

    def test_resize_disk_raises_not_supported_without_the_capability(self, cloud: Ledger, harness: Harness) -> None:
        """Declared and offered, or neither: the director then copies."""
        prove_declared_or_refused(cloud, harness, Capability.RESIZE_DISK, "resize_disk")

    @powered(Capability.UPDATE_DISK)
    def test_update_disk_given_an_attached_disk_leaves_it_attached(
        self, cloud: Ledger, make: Maker, vm_cid: VmCid, harness: Harness
    ) -> None:
        """The caller owes a detached disk; where that is refused, the disk stays as it is."""
        disk_cid = make.disk()
        hint = cloud.attach_disk(vm_cid, disk_cid)
        with refused(errors.CloudError, errors.NotSupported):
            _updated(cloud, disk_cid, harness)
        assert list(cloud.get_disks(vm_cid)) == [disk_cid]
        assert cloud.attach_disk(vm_cid, disk_cid) == hint

    @powered(Capability.UPDATE_DISK)
    def test_update_disk_then_the_disk_returned_has_the_size(
        self, cloud: Ledger, make: Maker, harness: Harness, disk_size_of: SizeOf
    ) -> None:
        """At least."""
        updated = _updated(cloud, make.disk(), harness)
        assert disk_size_of(updated) >= harness.larger_disk_size

    @powered(Capability.UPDATE_DISK)
    def test_update_disk_then_the_disk_returned_is_the_one_that_remains(
        self, cloud: Ledger, make: Maker, harness: Harness, vm_cid: VmCid
    ) -> None:
        """It can be attached at once; a disk that it replaced is gone."""
        disk_cid = make.disk()
        updated = _updated(cloud, disk_cid, harness)
        cloud.attach_disk(vm_cid, updated)
        assert list(cloud.get_disks(vm_cid)) == [updated]
        assert updated == disk_cid or not cloud.has_disk(disk_cid)

    @powered(Capability.UPDATE_DISK)
    def test_update_disk_again_answers_the_same_cid(self, cloud: Ledger, make: Maker, harness: Harness) -> None:
        """A director that was killed before it wrote the CID down asks with the old one."""
        disk_cid = make.disk()
        first = _updated(cloud, disk_cid, harness)
        assert _updated(cloud, disk_cid, harness) == first
        assert _updated(cloud, first, harness) == first

    @powered(Capability.UPDATE_DISK)
    def test_update_disk_raises_disk_not_found(self, cloud: Ledger, harness: Harness) -> None:
        """For a disk that does not exist, naming it."""
        with refused(errors.DiskNotFound) as caught:
            _updated(cloud, harness.absent.disk, harness)
        assert harness.absent.disk in caught.value.message

    @powered(Capability.UPDATE_DISK)
    def test_update_disk_raises_not_supported_if_smaller(self, cloud: Ledger, make: Maker, harness: Harness) -> None:
        """Directors do ask for smaller sizes here, and copy when they are told NotSupported."""
        disk_cid = make.disk(harness.larger_disk_size)
        with refused(errors.NotSupported):
            cloud.update_disk(disk_cid, harness.disk_size, harness.disk_cloud_properties)
        assert cloud.has_disk(disk_cid)

    def test_update_disk_raises_not_supported_without_the_capability(self, cloud: Ledger, harness: Harness) -> None:
        """Declared and offered, or neither: the director then copies."""
        prove_declared_or_refused(cloud, harness, Capability.UPDATE_DISK, "update_disk")


def _updated(cloud: Ledger, disk_cid: DiskCid, harness: Harness) -> DiskCid:
    other = harness.other_disk_cloud_properties
    return cloud.update_disk(disk_cid, harness.larger_disk_size, harness.disk_cloud_properties if other is None else other)
