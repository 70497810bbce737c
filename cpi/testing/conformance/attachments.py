"""The clauses of attach_disk, detach_disk and get_disks."""

import functools
from collections.abc import Mapping

from cpi.contract import errors
from cpi.contract.ids import VmCid
from cpi.testing.conformance.fixtures import ContractFixtures, allowed, refused
from cpi.testing.harness import Harness
from cpi.testing.ledger import Ledger
from cpi.testing.maker import Maker, at_once


class AttachmentClauses(ContractFixtures):
    """Disks on VMs."""

    def test_attach_disk_given_a_disk_attached_elsewhere_leaves_it_there(self, cloud: Ledger, make: Maker, vm_cid: VmCid) -> None:
        """Two VMs on one disk would destroy it."""
        disk_cid, other = make.disk(), make.vm()
        hint = cloud.attach_disk(vm_cid, disk_cid)
        with refused(errors.CloudError):
            cloud.attach_disk(other.cid, disk_cid)
        assert list(cloud.get_disks(other.cid)) == []
        assert cloud.attach_disk(vm_cid, disk_cid) == hint

    def test_attach_disk_then_the_hint_is_made_of_strings(self, cloud: Ledger, make: Maker, vm_cid: VmCid) -> None:
        """A number in a hint ends the agent."""
        hint = cloud.attach_disk(vm_cid, make.disk()).to_wire()
        assert hint
        assert _strings_only(hint), f"a hint of more than strings: {hint!r}"

    def test_attach_disk_then_two_disks_have_two_hints(self, cloud: Ledger, make: Maker, vm_cid: VmCid) -> None:
        """During a move the old and the new disk are attached to one VM."""
        disks = [make.disk(), make.disk()]
        hints = [cloud.attach_disk(vm_cid, disk_cid) for disk_cid in disks]
        assert hints[0] != hints[1]
        assert sorted(cloud.get_disks(vm_cid)) == sorted(disks)

    def test_attach_disk_then_callers_at_once_do_not_meet(self, cloud: Ledger, make: Maker, vm_cid: VmCid) -> None:
        """Each disk is attached once, by a hint of its own."""
        disks = [make.disk() for _ in range(3)]
        hints = at_once(*[functools.partial(cloud.attach_disk, vm_cid, disk_cid) for disk_cid in disks])
        assert len({repr(hint) for hint in hints}) == 3
        assert sorted(cloud.get_disks(vm_cid)) == sorted(disks)

    def test_attach_disk_again_answers_the_same_hint(self, cloud: Ledger, make: Maker, vm_cid: VmCid) -> None:
        """Callers attach a disk that is attached already, and use the hint."""
        disk_cid = make.disk()
        first = cloud.attach_disk(vm_cid, disk_cid)
        assert cloud.attach_disk(vm_cid, disk_cid) == first

    def test_attach_disk_again_changes_nothing(self, cloud: Ledger, make: Maker, vm_cid: VmCid) -> None:
        """It is attached once, and detached once."""
        disk_cid = make.disk()
        cloud.attach_disk(vm_cid, disk_cid)
        cloud.attach_disk(vm_cid, disk_cid)
        assert list(cloud.get_disks(vm_cid)) == [disk_cid]
        cloud.detach_disk(vm_cid, disk_cid)
        assert list(cloud.get_disks(vm_cid)) == []

    def test_attach_disk_raises_vm_not_found(self, cloud: Ledger, make: Maker, harness: Harness) -> None:
        """For a VM that does not exist, naming it."""
        with refused(errors.VMNotFound) as caught:
            cloud.attach_disk(harness.absent.vm, make.disk())
        assert harness.absent.vm in caught.value.message

    def test_attach_disk_raises_disk_not_found(self, cloud: Ledger, vm_cid: VmCid, harness: Harness) -> None:
        """For a disk that does not exist, naming it."""
        with refused(errors.DiskNotFound) as caught:
            cloud.attach_disk(vm_cid, harness.absent.disk)
        assert harness.absent.disk in caught.value.message

    def test_attach_disk_raises_cloud_error_naming_where_it_is_attached(self, cloud: Ledger, make: Maker, vm_cid: VmCid) -> None:
        """Whoever reads the message has to find the other VM."""
        disk_cid, other = make.disk(), make.vm()
        cloud.attach_disk(vm_cid, disk_cid)
        with refused(errors.CloudError) as caught:
            cloud.attach_disk(other.cid, disk_cid)
        assert vm_cid in caught.value.message

    def test_detach_disk_then_it_is_free_at_once(self, cloud: Ledger, make: Maker, vm_cid: VmCid) -> None:
        """attach_disk and delete_disk follow without a pause."""
        disk_cid, other = make.disk(), make.vm()
        cloud.attach_disk(vm_cid, disk_cid)
        cloud.detach_disk(vm_cid, disk_cid)
        assert list(cloud.get_disks(vm_cid)) == []
        cloud.attach_disk(other.cid, disk_cid)
        cloud.detach_disk(other.cid, disk_cid)
        cloud.delete_disk(disk_cid)

    def test_detach_disk_then_other_disks_stay(self, cloud: Ledger, make: Maker, vm_cid: VmCid) -> None:
        """Only the one that was named goes."""
        first, second = make.disk(), make.disk()
        cloud.attach_disk(vm_cid, first)
        hint = cloud.attach_disk(vm_cid, second)
        cloud.detach_disk(vm_cid, first)
        assert list(cloud.get_disks(vm_cid)) == [second]
        assert cloud.attach_disk(vm_cid, second) == hint

    def test_detach_disk_again_is_disk_not_attached_or_success(self, cloud: Ledger, make: Maker, vm_cid: VmCid) -> None:
        """Directors take both."""
        disk_cid = make.disk()
        cloud.attach_disk(vm_cid, disk_cid)
        cloud.detach_disk(vm_cid, disk_cid)
        with allowed(errors.DiskNotAttached):
            cloud.detach_disk(vm_cid, disk_cid)
        assert cloud.has_disk(disk_cid)

    def test_detach_disk_raises_disk_not_attached_or_nothing(self, cloud: Ledger, make: Maker, vm_cid: VmCid) -> None:
        """For a disk that was never attached."""
        with allowed(errors.DiskNotAttached):
            cloud.detach_disk(vm_cid, make.disk())

    def test_detach_disk_raises_disk_not_found(self, cloud: Ledger, vm_cid: VmCid, harness: Harness) -> None:
        """For a disk that does not exist, naming it."""
        with refused(errors.DiskNotFound) as caught:
            cloud.detach_disk(vm_cid, harness.absent.disk)
        assert harness.absent.disk in caught.value.message

    def test_detach_disk_raises_vm_not_found(self, cloud: Ledger, make: Maker, harness: Harness) -> None:
        """For a VM that does not exist, naming it."""
        with refused(errors.VMNotFound) as caught:
            cloud.detach_disk(harness.absent.vm, make.disk())
        assert harness.absent.vm in caught.value.message

    def test_get_disks_then_it_lists_the_persistent_disks(self, cloud: Ledger, make: Maker, vm_cid: VmCid) -> None:
        """None for a VM without, and never its root or ephemeral disk."""
        assert list(cloud.get_disks(vm_cid)) == []
        disk_cid = make.disk()
        cloud.attach_disk(vm_cid, disk_cid)
        assert list(cloud.get_disks(vm_cid)) == [disk_cid]

    def test_get_disks_again_is_the_same(self, cloud: Ledger, make: Maker, vm_cid: VmCid) -> None:
        """Asking changes nothing."""
        disk_cid = make.disk()
        cloud.attach_disk(vm_cid, disk_cid)
        assert list(cloud.get_disks(vm_cid)) == list(cloud.get_disks(vm_cid)) == [disk_cid]

    def test_get_disks_raises_vm_not_found(self, cloud: Ledger, harness: Harness) -> None:
        """And not an empty list, which would say that there is a VM."""
        with refused(errors.VMNotFound) as caught:
            cloud.get_disks(harness.absent.vm)
        assert harness.absent.vm in caught.value.message


def _strings_only(hint: object) -> bool:
    if isinstance(hint, Mapping):
        return all(isinstance(key, str) and _strings_only(value) for key, value in hint.items())
    return isinstance(hint, str)
