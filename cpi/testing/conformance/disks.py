"""The clauses of create_disk, delete_disk and has_disk."""

import pytest

from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.units import MiB
from cpi.testing.conformance.fixtures import ContractFixtures, Lost, SizeOf, allowed, refused, uncertain
from cpi.testing.harness import Harness
from cpi.testing.ledger import Ledger
from cpi.testing.maker import Maker, at_once, fresh_token


class DiskClauses(ContractFixtures):
    """Persistent disks by themselves."""

    def test_create_disk_given_a_vm_cid_the_disk_can_be_attached_there(self, cloud: Ledger, make: Maker, vm_cid: VmCid) -> None:
        """It names the VM near which the disk shall lie; the disk is not attached by it."""
        disk_cid = make.disk(vm_cid=vm_cid)
        assert list(cloud.get_disks(vm_cid)) == []
        cloud.attach_disk(vm_cid, disk_cid)
        assert list(cloud.get_disks(vm_cid)) == [disk_cid]

    @pytest.mark.parametrize("size", [0, -1])
    def test_create_disk_given_no_positive_size_is_refused(self, make: Maker, size: int) -> None:
        """There is no disk of nothing."""
        with refused(errors.CpiError, errors.CloudError):
            make.disk(MiB(size))

    def test_create_disk_then_it_exists_detached(self, cloud: Ledger, make: Maker, vm_cid: VmCid) -> None:
        """Free for any VM."""
        disk_cid = make.disk()
        assert cloud.has_disk(disk_cid)
        assert list(cloud.get_disks(vm_cid)) == []

    def test_create_disk_then_it_is_at_least_of_the_size(self, make: Maker, harness: Harness, disk_size_of: SizeOf) -> None:
        """Clouds that sell larger units round up, never down."""
        odd = MiB(harness.disk_size + 1)
        assert disk_size_of(make.disk(odd)) >= odd

    def test_create_disk_then_callers_at_once_get_disks_of_their_own(self, cloud: Ledger, make: Maker) -> None:
        """No lock is between the calls of a director."""
        disks = at_once(*[make.disk] * 6)
        assert len(set(disks)) == 6
        assert all(cloud.has_disk(disk_cid) for disk_cid in disks)

    def test_create_disk_again_with_the_same_token_is_the_same_disk(self, make: Maker) -> None:
        """A caller that was killed repeats its call, and gets what it made."""
        token = fresh_token()
        assert make.disk(token=token) == make.disk(token=token)

    def test_create_disk_again_with_the_same_token_at_once_is_the_same_disk(self, make: Maker) -> None:
        """Also if the first call is still under way."""
        token = fresh_token()
        assert len(set(at_once(*[lambda: make.disk(token=token)] * 4))) == 1

    def test_create_disk_again_without_a_token_is_another_disk(self, make: Maker) -> None:
        """Nor do two tokens name one disk."""
        disks = [make.disk(), make.disk(), make.disk(token=fresh_token()), make.disk(token=fresh_token())]
        assert len(set(disks)) == 4

    def test_create_disk_raises_no_disk_space_or_cloud_error_beyond_any_size(
        self, cloud: Ledger, make: Maker, harness: Harness
    ) -> None:
        """And leaves nothing: the census sees it. A cloud that knows no such bound makes a disk, and it is no smaller."""
        with allowed(errors.NoDiskSpace, errors.CloudError):
            disk_cid = make.disk(harness.impossible_disk_size)
            assert cloud.has_disk(disk_cid)
            assert harness.disk_size_of is None or harness.disk_size_of(disk_cid) >= harness.impossible_disk_size

    def test_create_disk_raises_vm_not_found(self, make: Maker, harness: Harness) -> None:
        """A disk cannot lie near a VM that does not exist."""
        with refused(errors.VMNotFound) as caught:
            make.disk(vm_cid=harness.absent.vm)
        assert harness.absent.vm in caught.value.message

    def test_delete_disk_given_an_attached_disk_leaves_it(self, cloud: Ledger, make: Maker, vm_cid: VmCid) -> None:
        """A disk in use keeps its data, its place and its VM."""
        disk_cid = make.disk()
        cloud.attach_disk(vm_cid, disk_cid)
        with refused(errors.CloudError):
            cloud.delete_disk(disk_cid)
        assert cloud.has_disk(disk_cid)
        assert list(cloud.get_disks(vm_cid)) == [disk_cid]

    def test_delete_disk_then_it_is_gone(self, cloud: Ledger, make: Maker) -> None:
        """For good."""
        disk_cid = make.disk()
        cloud.delete_disk(disk_cid)
        assert not cloud.has_disk(disk_cid)

    def test_delete_disk_again_is_success_or_disk_not_found(self, cloud: Ledger, make: Maker) -> None:
        """Directors take both for an orphan."""
        disk_cid = make.disk()
        cloud.delete_disk(disk_cid)
        with allowed(errors.DiskNotFound):
            cloud.delete_disk(disk_cid)

    def test_delete_disk_raises_nothing_but_disk_not_found_for_a_missing_disk(self, cloud: Ledger, harness: Harness) -> None:
        """Any other error ends the director's task."""
        with allowed(errors.DiskNotFound):
            cloud.delete_disk(harness.absent.disk)

    def test_delete_disk_raises_cloud_error_if_it_is_attached(self, cloud: Ledger, make: Maker, vm_cid: VmCid) -> None:
        """And not DiskNotFound, which a director takes for success."""
        disk_cid = make.disk()
        cloud.attach_disk(vm_cid, disk_cid)
        with refused(errors.CloudError) as caught:
            cloud.delete_disk(disk_cid)
        assert not isinstance(caught.value, errors.DiskNotFound)

    def test_delete_disk_raises_cloud_error_when_it_is_not_certain(self, harness: Harness, lost: Lost) -> None:
        """What cannot be looked at is not reported as gone."""
        with uncertain(), lost() as cloud:
            cloud.delete_disk(harness.absent.disk)

    def test_has_disk_given_any_cid_answers(self, cloud: Ledger, harness: Harness) -> None:
        """A CID that no disk can have belongs to no disk."""
        assert cloud.has_disk(harness.absent.disk) is False
        assert cloud.has_disk(DiskCid("../not a cid/ü")) is False

    def test_has_disk_then_it_tells_whether_it_exists_attached_or_not(self, cloud: Ledger, make: Maker, vm_cid: VmCid) -> None:
        """An attached disk exists as well as a free one."""
        disk_cid = make.disk()
        assert cloud.has_disk(disk_cid) is True
        cloud.attach_disk(vm_cid, disk_cid)
        assert cloud.has_disk(disk_cid) is True

    def test_has_disk_again_is_the_same(self, cloud: Ledger, make: Maker) -> None:
        """Asking changes nothing."""
        disk_cid = make.disk()
        assert [cloud.has_disk(disk_cid), cloud.has_disk(disk_cid)] == [True, True]

    def test_has_disk_raises_cloud_error_when_it_cannot_be_known(self, harness: Harness, lost: Lost) -> None:
        """A False here would make the director forget a disk full of data."""
        with uncertain(), lost() as cloud:
            cloud.has_disk(harness.absent.disk)
