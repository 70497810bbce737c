"""Disks copied while a real job writes to them."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cpi.contract import errors
from cpi.contract.ids import DiskCid
from cpi.contract.units import MiB
from cpi.migration import Event, EventKind, MoveFailed, MoveRefused, Report, Strategy
from cpi.migration.disks import Site
from cpi.migration.forecast import dry_run
from cpi.migration.plan import Order
from fixtures.local_cloud import local_config
from tests.migration.failing import assert_no_row_is_lost, calls_of
from tests.migration.making import local_place
from tests.migration.place import Place
from tests.unit.migration.world import Faults

Make = Callable[[int, int], Place]


def test_a_disk_is_copied_while_the_job_runs(place: Make) -> None:
    """Every acknowledged row is on the new disk, which was compared with the old one; the job was down for the end of it only."""
    there = place(128, 32)
    old = there.disk_cid
    events: list[Event] = []
    report = there.move(192, shell=there.shell(), on_event=events.append)
    there.assert_well()
    assert report.strategy is Strategy.LIVE_COPY
    assert there.disks() == {old, report.disk_cid}
    assert [made.jobs_down for made in report.passes] == [False] * (len(report.passes) - 1) + [True]
    assert report.verified_bytes is not None
    assert report.verified_bytes > 32 << 20
    assert report.expected_down_seconds is not None
    assert report.jobs_down_seconds < report.seconds / 2
    assert [event for event in events if event.kind is EventKind.PROGRESS and event.progress and event.progress.number == 2]


def test_a_disk_shrinks_while_the_job_runs(place: Make) -> None:
    """What is used is measured in the guest, and fits."""
    there = place(256, 16)
    report = there.move(96, old_size=256, old_cloud_properties={}, shell=there.shell())
    assert report.strategy is Strategy.LIVE_COPY
    there.assert_well()


@pytest.mark.root
def test_a_disk_with_xfs_is_copied_while_the_job_runs(tmp_path: Path) -> None:
    """The VM's environment says which filesystem its disks get."""
    with local_place(tmp_path, local_config(tmp_path, "loop"), {"persistent_disk_fs": "xfs"}) as make:
        there = make(320, 32)
        report = there.move(384, shell=there.shell())
        there.assert_well()
        assert report.strategy is Strategy.LIVE_COPY
        kind = there.shell().run(["stat", "-f", "-c", "%T", f"{there.shell().root}/var/vcap/store"], deadline_seconds=9)
        assert kind.stdout == b"xfs\n"


def test_too_small_a_disk_is_refused_by_what_the_guest_says(place: Make) -> None:
    """To the byte, with nothing known of the old disk, and before anything is made or stopped."""
    there = place(160, 80)
    with pytest.raises(MoveRefused, match=r"does not fit: at least 8\d MiB are used"):
        there.move(72, shell=there.shell())
    there.assert_well()
    assert there.disks() == {there.disk_cid}


@pytest.mark.root
def test_a_filesystem_that_is_too_small_for_the_data_is_found_before_a_job_is_stopped(place: Make, backing: str) -> None:
    """A disk just large enough has no room left when its filesystem is made."""
    if backing == "folder":
        return
    there = place(160, 80)
    with pytest.raises(MoveFailed, match=r"does not fit: \d+ bytes are used, and the new disk has room for \d+") as failed:
        there.move(84, shell=there.shell())
    assert failed.value.report.jobs_down_seconds == 0
    _assert_undone(there, failed.value)


@pytest.mark.root
def test_a_job_that_fills_the_new_disk_meanwhile_undoes_the_move(place: Make, backing: str) -> None:
    """A real "no space left" in a later pass, with the figures; the job was never stopped."""
    if backing == "folder":
        return
    there = place(256, 16)

    def fill(event: Event) -> None:
        if (event.step, event.kind) == ("verify_live", EventKind.BEGUN):
            (there.shell()).run(
                ["sh", "-c", f"head -c 130M /dev/urandom >{there.shell().root}/var/vcap/store/much"], deadline_seconds=20
            )

    with pytest.raises(MoveFailed, match=r"No space left on device: the new disk has \d+ bytes used") as failed:
        there.move(128, shell=there.shell(), on_event=fill)
    assert failed.value.report.jobs_down_seconds == 0
    _assert_undone(there, failed.value)


def test_a_job_that_does_not_stop_undoes_the_move(place: Make) -> None:
    """Its agent says so; all is as before."""
    there = place(96, 4)
    count = Faults()
    there.move(96, count, strategy="copy")
    before = there.disks()

    class Stuck(Faults):
        def through(self, fault: errors.Error, call: Callable[[], Any]) -> Any:
            if fault.message.startswith("stop:"):
                raise errors.CloudError("stop: the job rows did not stop within 300 s")
            return call()

    with pytest.raises(MoveFailed, match="the job rows did not stop") as failed:
        there.move(128, Stuck(), shell=there.shell())
    _assert_undone(there, failed.value, before)


def test_a_live_copy_without_a_shell_is_refused(place: Make) -> None:
    """It says what is missing; left to choose, the jobs are stopped and the data copied."""
    there = place(96, 4)
    with pytest.raises(MoveRefused, match="live_copy was asked for, and it can not be: no shell in the guest was offered"):
        there.move(128, strategy="live_copy")
    report = there.move(128)
    assert (report.strategy, "no shell" in report.reason) == (Strategy.COPY, True)


def test_a_snapshot_is_taken_first_and_kept(place: Make) -> None:
    """Of the old disk, before anything is made."""
    there = place(96, 4)
    report = there.move(128, shell=there.shell(), snapshot=True)
    there.assert_well()
    assert report.snapshot_cid
    there.cloud.delete_snapshot(report.snapshot_cid)


def _assert_undone(there: Place, failed: MoveFailed, before: set[DiskCid] | None = None) -> None:
    assert (failed.left, failed.swapped, failed.report.disk_cid) == ((), False, there.disk_cid)
    there.assert_well()
    assert there.disks() == (before or {there.disk_cid})


_SHARES = 20


@pytest.mark.slow
@pytest.mark.parametrize("share", range(_SHARES))
def test_whichever_call_fails_in_a_live_copy_the_job_runs_and_no_row_is_lost(place: Make, backing: str, share: int) -> None:
    """Every call to the cloud, the agent and the guest: before the swap the move is undone, after it the move is finished.

    On loop devices each call acts and its answer is lost, on folders it does not act.
    """
    there = place(96, 2)
    move = functools.partial(_live, there)
    assert_no_row_is_lost(there, move, range(share, calls_of(move), _SHARES), acts=backing == "loop")


def _live(there: Place, faults: Faults, **more: Any) -> Report:
    return there.move(96, faults, strategy="live_copy", shell=there.shell(faults), **more)


class _Killed(BaseException):
    """As if the process were gone: nothing more gets through."""


class _Dying(Faults):
    def through(self, fault: errors.Error, call: Callable[[], Any]) -> Any:
        turn, self.count = self.count, self.count + 1
        if turn >= self._fails_at:
            raise _Killed
        return call()


@pytest.mark.slow
@pytest.mark.parametrize("share", range(_SHARES))
def test_a_live_copy_killed_anywhere_is_finished_by_the_same_move_id(place: Make, share: int) -> None:
    """What it had made and copied is found again."""
    there = place(96, 2)
    turns = range(share, calls_of(functools.partial(_live, there)), _SHARES * 2)
    for turn in turns:
        dying = _Dying(turn)
        with pytest.raises(_Killed):
            _live(there, dying, move_id=f"m{turn}")
        before = there.disks()
        report = there.move(96, strategy="live_copy", shell=there.shell(), move_id=f"m{turn}", start_jobs=True)
        there.assert_well()
        assert there.disks() == before | {report.disk_cid}


def test_a_dry_run_tells_the_way_and_the_time_and_changes_nothing(place: Make) -> None:
    """The plan, its reason, and what was measured in the guest."""
    there = place(96, 8)
    order = Order(move_id="dry", vm_cid=there.vm_cid, old_disk_cid=there.disk_cid, size=MiB(128))
    told = dry_run(order, Site(there.cloud, there.agent, there.vm_cid, there.shell()))
    assert told.strategy is Strategy.LIVE_COPY
    assert told.steps[-1] == "mark the old disk as an orphan"
    assert told.sample is not None
    assert told.sample.size > 8 << 20
    assert told.sample.changed_files >= 1
    assert told.expected_down_seconds is not None
    assert told.expected_down_seconds > 0
    there.assert_well()
    assert there.disks() == {there.disk_cid}
