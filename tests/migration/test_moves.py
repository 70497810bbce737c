"""Disk moves on the local cloud, with a real job that writes while they go on."""

import functools
from collections.abc import Callable

import pytest

from cpi.migration import MoveFailed, MoveRefused, Strategy
from tests.migration.failing import assert_no_row_is_lost, calls_of
from tests.migration.place import Place

Make = Callable[[int, int], Place]


def test_a_disk_grows_in_place(place: Make) -> None:
    """The same disk, larger, and no other."""
    there = place(64, 8)
    disk_cid = there.disk_cid
    report = there.move(192, old_size=64, old_cloud_properties={})
    assert (report.strategy, report.disk_cid) == (Strategy.NATIVE_RESIZE, disk_cid)
    there.assert_well()
    assert there.disks() == {disk_cid}


def test_a_disk_changes_its_properties_in_place(place: Make) -> None:
    """The cloud updates it; a second disk is never there."""
    there = place(64, 8)
    report = there.move(96, cloud_properties={"name": "other"}, old_size=64, old_cloud_properties={})
    assert report.strategy is Strategy.NATIVE_UPDATE
    there.assert_well()
    assert there.disks() == {report.disk_cid}


def test_a_disk_grows_by_copying(place: Make) -> None:
    """The old disk stays as an orphan with all that was on it."""
    there = place(64, 8)
    old = there.disk_cid
    report = there.move(128, strategy="copy")
    there.assert_well()
    assert there.disks() == {old, report.disk_cid}
    assert report.orphaned_at
    assert 0 < report.jobs_down_seconds <= report.seconds


def test_a_disk_shrinks_by_copying(place: Make) -> None:
    """What fits is taken along."""
    there = place(256, 16)
    report = there.move(96, old_size=256, old_cloud_properties={})
    assert report.strategy is Strategy.COPY
    there.assert_well()


def test_a_disk_too_small_for_the_data_is_refused_while_the_job_runs(place: Make) -> None:
    """The agent's figures are enough: nothing is made, nothing is stopped."""
    there = place(128, 96)
    disk_cid = there.disk_cid
    with pytest.raises(MoveRefused, match=r"does not fit: at least \d+ MiB are used"):
        there.move(48, old_size=128, old_cloud_properties={})
    there.assert_well()
    assert there.disks() == {disk_cid}


def test_a_copy_that_finds_no_room_is_undone(place: Make) -> None:
    """Without the old disk's size nobody can tell beforehand: a real "no space left", and all is as before."""
    there = place(128, 96)
    disk_cid = there.disk_cid
    with pytest.raises(MoveFailed, match="No space left on device") as failed:
        there.move(64)
    assert (failed.value.left, failed.value.swapped) == ((), False)
    there.assert_well()
    assert there.disks() == {disk_cid}


_SHARES = 10


@pytest.mark.slow
@pytest.mark.parametrize("share", range(_SHARES))
def test_whichever_call_fails_the_job_runs_and_no_row_is_lost(place: Make, backing: str, share: int) -> None:
    """Before the swap the move is undone with no disk left over; after it the move gets to its end.

    On loop devices each call acts and its answer is lost, on folders it does not act.
    """
    there = place(96, 4)
    move = functools.partial(there.move, 96, strategy="copy")
    assert_no_row_is_lost(there, move, range(share, calls_of(move), _SHARES), acts=backing == "loop")
