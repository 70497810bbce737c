"""Clouds with one fault each, in what they do with disks."""

from collections.abc import Sequence

import msgspec

from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import (
    CloudProperties,
    DiskHint,
)
from cpi.contract.units import MiB
from tests.suite.faults import found_by
from tests.suite.memory_cloud import MemoryCloud, MemoryDisk


def _meet() -> None:
    """Long enough for another thread to come as far."""
    import time

    time.sleep(0.02)


@found_by(
    "resize_disk_given_an_attached_disk_leaves_it_attached",
    "update_disk_given_an_attached_disk_leaves_it_attached",
    "attach_disk_given_a_disk_attached_elsewhere_leaves_it_there",
    "attach_disk_again_answers_the_same_hint",
    "detach_disk_then_other_disks_stay",
)
class AttachesTwice(MemoryCloud):
    """attach_disk gives the disk another place when it is attached already."""

    def attach_disk(self, vm_cid: VmCid, disk_cid: DiskCid) -> DiskHint:
        if self._disk(disk_cid).vm_cid == vm_cid:
            self._disk(disk_cid).unit = self.memory.next_number()
        return super().attach_disk(vm_cid, disk_cid)


@found_by(
    "attach_disk_given_a_disk_attached_elsewhere_leaves_it_there",
    "attach_disk_raises_cloud_error_naming_where_it_is_attached",
)
class StealsDisks(MemoryCloud):
    """attach_disk takes the disk away from the VM that has it."""

    def attach_disk(self, vm_cid: VmCid, disk_cid: DiskCid) -> DiskHint:
        if self._disk(disk_cid).vm_cid != vm_cid:
            self._disk(disk_cid).vm_cid = None
        return super().attach_disk(vm_cid, disk_cid)


@found_by(
    "attach_disk_then_the_hint_is_made_of_strings",
)
class HintsWithNumbers(MemoryCloud):
    """A number in the hint, which ends the agent."""

    def attach_disk(self, vm_cid: VmCid, disk_cid: DiskCid) -> DiskHint:
        hint = super().attach_disk(vm_cid, disk_cid)
        msgspec.structs.force_setattr(hint, "lun", self._disk(disk_cid).unit)
        return hint


@found_by(
    "attach_disk_then_what_is_written_lies_on_that_disk",
    "attach_disk_again_leaves_the_data",
    "detach_disk_then_the_data_is_there_on_another_vm",
    "delete_vm_then_the_data_is_there_on_the_next_vm",
    "reboot_vm_then_the_data_is_there",
    "resize_disk_then_the_data_is_untouched",
    "update_disk_then_the_data_is_untouched",
    "snapshot_disk_given_a_disk_in_use_leaves_its_data",
    "attach_disk_then_two_disks_have_two_hints",
    "attach_disk_then_callers_at_once_do_not_meet",
)
class HintsAtOnePlace(MemoryCloud):
    """Every disk is said to be in the same place."""

    def _hint(self, disk: MemoryDisk) -> DiskHint:
        return DiskHint(path="/dev/sdb")


@found_by(
    "attach_disk_then_what_is_written_lies_on_that_disk",
    "attach_disk_again_leaves_the_data",
    "detach_disk_then_the_data_is_there_on_another_vm",
    "delete_vm_then_the_data_is_there_on_the_next_vm",
    "resize_disk_then_the_data_is_untouched",
    "update_disk_then_the_data_is_untouched",
)
class WipesAtAttach(MemoryCloud):
    """attach_disk formats the disk."""

    def attach_disk(self, vm_cid: VmCid, disk_cid: DiskCid) -> DiskHint:
        hint = super().attach_disk(vm_cid, disk_cid)
        self._disk(disk_cid).number = 0
        return hint


@found_by(
    "create_disk_again_with_the_same_token_is_the_same_disk",
    "create_disk_again_with_the_same_token_at_once_is_the_same_disk",
    "create_vm_again_with_the_same_token_is_the_same_vm",
    "create_vm_again_with_the_same_token_at_once_is_the_same_vm",
    "for_request_given_a_token_repeats_are_the_same_disk",
    "for_request_then_the_token_of_a_call_goes_first",
)
class ForgetsTokens(MemoryCloud):
    """A token makes no difference."""

    def _remember(self, token: str | None, cid: str) -> None:
        """Not at all."""


@found_by(
    "create_disk_again_with_the_same_token_at_once_is_the_same_disk",
)
class ChecksTokensTooEarly(MemoryCloud):
    """A token is looked up before the lock is taken: two calls at once both find nothing."""

    def create_disk(
        self, size: MiB, cloud_properties: CloudProperties, vm_cid: VmCid | None = None, token: str | None = None
    ) -> DiskCid:
        known = self._made_with(token, self.memory.disks)
        _meet()
        cid = known or self._create_disk(size, vm_cid)
        self._remember(token, cid)
        return cid


@found_by(
    "create_disk_then_it_is_at_least_of_the_size",
)
class RoundsDown(MemoryCloud):
    """A disk is a unit smaller than was asked for."""

    def _rounded(self, size: MiB) -> MiB:
        return MiB(size // 16 * 16)


@found_by(
    "resize_disk_raises_not_supported_if_smaller",
    "update_disk_raises_not_supported_if_smaller",
)
class ShrinksSilently(MemoryCloud):
    """resize_disk and update_disk to a smaller size cut the disk."""

    def resize_disk(self, disk_cid: DiskCid, size: MiB) -> None:
        self._detached(disk_cid).size = self._rounded(size)


@found_by(
    "resize_disk_raises_not_supported_if_smaller",
    "update_disk_raises_not_supported_if_smaller",
)
class RefusesShrinkAsCloudError(MemoryCloud):
    """A smaller size is a CloudError, which leaves the director with a detached disk."""

    def resize_disk(self, disk_cid: DiskCid, size: MiB) -> None:
        if size < self._detached(disk_cid).size:
            raise errors.CloudError(f"{disk_cid} cannot become smaller")
        super().resize_disk(disk_cid, size)


@found_by(
    "resize_disk_again_changes_nothing",
    "resize_disk_raises_not_supported_if_smaller",
    "update_disk_again_answers_the_same_cid",
)
class RefusesTheSameSize(MemoryCloud):
    """resize_disk to the present size is refused, as some clouds do."""

    def resize_disk(self, disk_cid: DiskCid, size: MiB) -> None:
        if size == self._detached(disk_cid).size:
            raise errors.NotSupported(f"{disk_cid} has {size} MiB already")
        super().resize_disk(disk_cid, size)


@found_by(
    "update_disk_then_the_data_is_untouched",
    "update_disk_then_the_disk_returned_has_the_size",
    "update_disk_then_the_disk_returned_is_the_one_that_remains",
    "update_disk_again_answers_the_same_cid",
)
class UpdatesByNewDisk(MemoryCloud):
    """update_disk makes an empty disk, and leaves the old one."""

    def update_disk(self, disk_cid: DiskCid, size: MiB, cloud_properties: CloudProperties) -> DiskCid:
        if size < self._detached(disk_cid).size:
            raise errors.NotSupported(f"{disk_cid} cannot become smaller")
        return self._create_disk(size, None)


@found_by(
    "delete_disk_given_an_attached_disk_leaves_it",
    "delete_disk_raises_cloud_error_if_it_is_attached",
)
class DeletesAttachedDisks(MemoryCloud):
    """delete_disk does not look whether the disk is in use."""

    def delete_disk(self, disk_cid: DiskCid) -> None:
        self.memory.disks.pop(disk_cid, None)


@found_by(
    "delete_disk_raises_cloud_error_if_it_is_attached",
)
class HidesAttachedDisksFromDeletion(MemoryCloud):
    """delete_disk calls an attached disk missing, which a director takes for success."""

    def delete_disk(self, disk_cid: DiskCid) -> None:
        if self.memory.disks.get(disk_cid, MemoryDisk(MiB(1))).vm_cid:
            raise errors.DiskNotFound(f"the disk {disk_cid} is not there")
        super().delete_disk(disk_cid)


@found_by(
    "get_disks_raises_vm_not_found",
)
class ListsNothingForMissingVms(MemoryCloud):
    """get_disks of a VM that does not exist is an empty list."""

    def get_disks(self, vm_cid: VmCid) -> Sequence[DiskCid]:
        return super().get_disks(vm_cid) if vm_cid in self.memory.vms else []


@found_by(
    "grow_attached_disk_raises_disk_not_found",
    "change_attached_disk_raises_disk_not_found",
    "set_disk_metadata_raises_disk_not_found",
    "snapshot_disk_raises_disk_not_found",
    "resize_disk_raises_disk_not_found",
    "update_disk_raises_disk_not_found",
    "attach_disk_raises_disk_not_found",
    "detach_disk_raises_disk_not_found",
)
class CallsMissingDisksCloudErrors(MemoryCloud):
    """A missing disk is a CloudError and no DiskNotFound."""

    def _disk(self, disk_cid: DiskCid) -> MemoryDisk:
        if disk_cid not in self.memory.disks:
            raise errors.CloudError(f"the disk {disk_cid} does not exist")
        return super()._disk(disk_cid)


@found_by(
    "grow_attached_disk_then_it_has_the_size_and_stays_attached",
    "grow_attached_disk_again_changes_nothing",
    "change_attached_disk_then_it_has_the_size_and_stays_attached",
    "change_attached_disk_again_changes_nothing",
)
class DetachesToGrow(MemoryCloud):
    """An attached disk is taken from its VM to grow, and not given back."""

    def grow_attached_disk(self, vm_cid: VmCid, disk_cid: DiskCid, size: MiB) -> None:
        super().grow_attached_disk(vm_cid, disk_cid, size)
        self.detach_disk(vm_cid, disk_cid)


@found_by(
    "grow_attached_disk_raises_vm_not_found",
    "grow_attached_disk_raises_disk_not_attached",
    "change_attached_disk_raises_vm_not_found",
    "change_attached_disk_raises_disk_not_attached",
)
class GrowsWhoeverHasIt(MemoryCloud):
    """An attached disk grows whatever VM is named."""

    def grow_attached_disk(self, vm_cid: VmCid, disk_cid: DiskCid, size: MiB) -> None:
        disk = self._disk(disk_cid)
        if size < disk.size:
            raise errors.NotSupported(f"{disk_cid} has {disk.size} MiB and cannot become smaller")
        disk.size = self._rounded(size)


@found_by(
    "grow_attached_disk_again_changes_nothing",
    "change_attached_disk_again_changes_nothing",
)
class GrowsEachTime(MemoryCloud):
    """An attached disk grows by the difference again when it is asked to again."""

    def grow_attached_disk(self, vm_cid: VmCid, disk_cid: DiskCid, size: MiB) -> None:
        before = self._disk(disk_cid).size
        super().grow_attached_disk(vm_cid, disk_cid, size)
        self._disk(disk_cid).size = MiB(before + size)


@found_by(
    "grow_attached_disk_raises_disk_not_found",
    "change_attached_disk_raises_disk_not_found",
    "grow_attached_disk_raises_not_supported_if_smaller",
    "change_attached_disk_raises_not_supported_if_smaller",
)
class TakesWhatItIsGiven(MemoryCloud):
    """A disk that there is none of counts as grown, and one that is to shrink as well."""

    def grow_attached_disk(self, vm_cid: VmCid, disk_cid: DiskCid, size: MiB) -> None:
        self._vm(vm_cid)
        if disk_cid in self.memory.disks and size >= self._disk(disk_cid).size:
            super().grow_attached_disk(vm_cid, disk_cid, size)
