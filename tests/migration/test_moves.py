"""Disk moves on the local cloud, with a real job that writes while they go on."""

import functools

import pytest

from cpi.migration import MoveFailed, MoveRefused, Strategy
from tests.migration.call_faults import assert_no_row_is_lost, calls_of
from tests.migration.database_vm import DatabaseVm, MakeVm


def test_a_disk_grows_in_place(make_vm: MakeVm) -> None:
    """The same disk, larger, and no other."""
    vm = make_vm(64, 8)
    disk_cid = vm.disk_cid
    report = vm.move(192, old_size=64, old_cloud_properties={})
    assert (report.strategy, report.disk_cid) == (Strategy.NATIVE_RESIZE, disk_cid)
    vm.assert_well()
    assert vm.disks() == {disk_cid}


def test_a_disk_changes_its_properties_in_place(make_vm: MakeVm) -> None:
    """The cloud updates it; a second disk is never there."""
    vm = make_vm(64, 8)
    report = vm.move(96, cloud_properties={"name": "other"}, old_size=64, old_cloud_properties={})
    assert report.strategy is Strategy.NATIVE_UPDATE
    vm.assert_well()
    assert vm.disks() == {report.disk_cid}


def test_a_disk_grows_by_copying(make_vm: MakeVm) -> None:
    """The old disk stays as an orphan with all that was on it."""
    vm = make_vm(64, 8)
    old = vm.disk_cid
    report = vm.move(128, strategy="copy")
    vm.assert_well()
    assert vm.disks() == {old, report.disk_cid}
    assert report.orphaned_at
    assert 0 < report.jobs_down_seconds <= report.seconds


def test_a_disk_shrinks_by_copying(make_vm: MakeVm) -> None:
    """What fits is taken along."""
    vm = make_vm(256, 16)
    report = vm.move(96, old_size=256, old_cloud_properties={})
    assert report.strategy is Strategy.COPY
    vm.assert_well()


def test_a_disk_too_small_for_the_data_is_refused_while_the_job_runs(make_vm: MakeVm) -> None:
    """The agent's figures are enough: nothing is made, nothing is stopped."""
    vm = make_vm(128, 96)
    disk_cid = vm.disk_cid
    with pytest.raises(MoveRefused, match=r"does not fit: at least \d+ MiB are used"):
        vm.move(48, old_size=128, old_cloud_properties={})
    vm.assert_well()
    assert vm.disks() == {disk_cid}


def test_a_copy_that_finds_no_room_is_undone(make_vm: MakeVm) -> None:
    """Without the old disk's size nobody can tell beforehand: a real "no space left", and all is as before."""
    vm = make_vm(128, 96)
    disk_cid = vm.disk_cid
    with pytest.raises(MoveFailed, match="No space left on device") as failed:
        vm.move(64)
    assert (failed.value.left, failed.value.swapped) == ((), False)
    vm.assert_well()
    assert vm.disks() == {disk_cid}


_SHARES = 6


_CASES = [
    pytest.param(kind, share, marks=[*marks, *(() if share == turn else [pytest.mark.nightly])])
    for turn, (kind, marks) in enumerate((("folder", ()), ("loop", [pytest.mark.root])))
    for share in range(_SHARES)
]
"""A third of the calls in every run, all in both ways in `make nightly`; on a cloud in memory all, in both ways, in every run."""


@pytest.mark.slow
@pytest.mark.parametrize(("backing", "share"), _CASES, indirect=["backing"])
def test_whichever_call_fails_the_job_runs_and_no_row_is_lost(vm: DatabaseVm, backing: str, share: int) -> None:
    """Before the swap the move is undone with no disk left over; after it the move gets to its end.

    On loop devices each call acts and its answer is lost, on folders it does not act.
    """
    move = functools.partial(vm.move, 96, strategy="copy")
    assert_no_row_is_lost(vm, move, range(share, calls_of("copy", move), _SHARES), acts=backing == "loop")
