"""Disks copied while a real job writes to them."""

import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from cpi.agent.shell import Output
from cpi.contract import errors
from cpi.contract.units import MiB
from cpi.migration import Event, EventKind, MoveFailed, MoveRefused, Report, Strategy, copying, measuring
from cpi.migration.disks import Site
from cpi.migration.forecast import dry_run
from cpi.migration.plan import Order
from cpi.migration.stopping import Limits
from fixtures.local_cloud import local_config
from tests.migration.call_faults import assert_no_row_is_lost, calls_of
from tests.migration.conftest import on_folders, on_loop
from tests.migration.database_vm import DatabaseVm, MakeVm, database_vms
from tests.unit.migration.world import Faults


def test_a_disk_is_copied_while_the_job_runs(make_vm: MakeVm) -> None:
    """Every acknowledged row is on the new disk, which was compared with the old one; the job was down for the end of it only."""
    vm = make_vm(128, 32)
    old = vm.disk_cid
    events: list[Event] = []
    report = vm.move(192, shell=vm.shell(), on_event=events.append)
    vm.assert_well()
    assert report.strategy is Strategy.LIVE_COPY
    assert vm.disks() == {old, report.disk_cid}
    assert [made.jobs_down for made in report.passes] == [False] * (len(report.passes) - 1) + [True]
    assert report.verified_bytes is not None
    assert report.verified_bytes >= 32 << 20
    assert report.expected_down_seconds is not None
    assert report.jobs_down_seconds < report.seconds / 2
    assert [event for event in events if event.kind is EventKind.PROGRESS and event.progress and event.progress.number == 2]


def test_a_disk_shrinks_while_the_job_runs(make_vm: MakeVm) -> None:
    """What is used is measured in the guest, and fits. A snapshot of the old disk is taken first, if that is asked, and kept."""
    vm = make_vm(256, 16)
    report = vm.move(96, old_size=256, old_cloud_properties={}, shell=vm.shell(), snapshot=True)
    assert report.strategy is Strategy.LIVE_COPY
    vm.assert_well()
    assert report.steps[0].name == "snapshot_disk"
    assert report.snapshot_cid
    vm.cloud.delete_snapshot(report.snapshot_cid)


@pytest.mark.root
def test_a_disk_with_xfs_is_copied_while_the_job_runs(tmp_path: Path) -> None:
    """The VM's environment says which filesystem its disks get."""
    with database_vms(tmp_path, local_config(tmp_path, "loop"), {"persistent_disk_fs": "xfs"}) as make:
        vm = make(320, 32)
        report = vm.move(384, shell=vm.shell())
        vm.assert_well()
        assert report.strategy is Strategy.LIVE_COPY
        kind = vm.shell().run(["stat", "-f", "-c", "%T", f"{vm.shell().root}/var/vcap/store"], deadline_seconds=9)
        assert kind.stdout == b"xfs\n"


def test_too_small_a_disk_is_refused_by_what_the_guest_says(make_vm: MakeVm) -> None:
    """To the byte, with nothing known of the old disk, and before anything is made or stopped."""
    vm = make_vm(160, 80)
    with pytest.raises(MoveRefused, match=r"does not fit: at least 8\d MiB are used"):
        vm.move(72, shell=vm.shell())
    vm.assert_well()
    assert vm.disks() == {vm.disk_cid}


@on_loop
def test_a_filesystem_that_is_too_small_for_the_data_is_found_before_a_job_is_stopped(make_vm: MakeVm) -> None:
    """A disk just large enough has no room left when its filesystem is made."""
    vm = make_vm(160, 80)
    with pytest.raises(MoveFailed, match=r"does not fit: \d+ bytes are used, and the new disk has room for \d+") as failed:
        vm.move(84, shell=vm.shell())
    assert failed.value.report.jobs_down_seconds == 0
    _assert_undone(vm, failed.value)


@on_loop
def test_a_job_that_fills_the_new_disk_meanwhile_undoes_the_move(make_vm: MakeVm) -> None:
    """A real "no space left" in a later pass, with the figures; the job was never stopped."""
    vm = make_vm(256, 16)

    def fill(event: Event) -> None:
        if (event.step, event.kind) == ("verify_live", EventKind.BEGUN):
            (vm.shell()).run(
                ["sh", "-c", f"head -c 130M /dev/urandom >{vm.shell().root}/var/vcap/store/much"], deadline_seconds=20
            )

    with pytest.raises(MoveFailed, match=r"No space left on device: the new disk has \d+ bytes used") as failed:
        vm.move(128, shell=vm.shell(), on_event=fill)
    assert failed.value.report.jobs_down_seconds == 0
    _assert_undone(vm, failed.value)


@on_folders
def test_a_job_that_does_not_stop_undoes_the_move(vm: DatabaseVm) -> None:
    """Its agent says so; all is as before."""

    class Stuck(Faults):
        def through(self, fault: errors.Error, call: Callable[[], Any]) -> Any:
            if fault.message.startswith("stop:"):
                raise errors.CloudError("stop: the job rows did not stop within 300 s")
            return call()

    with pytest.raises(MoveFailed, match="the job rows did not stop") as failed:
        vm.move(128, Stuck(), shell=vm.shell())
    _assert_undone(vm, failed.value)


@on_folders
def test_a_live_copy_without_a_shell_is_refused(vm: DatabaseVm) -> None:
    """It says what is missing; left to choose, the jobs are stopped and the data copied."""
    with pytest.raises(MoveRefused, match="live_copy was requested, but it is not possible: no shell in the guest was provided"):
        vm.move(128, strategy="live_copy")
    report = vm.move(128)
    assert (report.strategy, "no shell" in report.reason) == (Strategy.COPY, True)


def _assert_undone(vm: DatabaseVm, failed: MoveFailed) -> None:
    assert (failed.left, failed.swapped, failed.report.disk_cid) == ((), False, vm.disk_cid)
    vm.assert_well()
    assert vm.disks() == {vm.disk_cid}


_SHARES = 11
"""The calls of a move are shared out over so many tests."""


def _shares(often: int) -> pytest.MarkDecorator:
    """One share of often in every run, another one on each backing; all of them in `make nightly`.

    The crash suite kills at every boundary in every run.
    """
    cases = [
        pytest.param(kind, share, marks=[*marks, *(() if share % often == turn else [pytest.mark.nightly])])
        for turn, (kind, marks) in enumerate((("folder", ()), ("loop", [pytest.mark.root])))
        for share in range(_SHARES)
    ]
    return pytest.mark.parametrize(("backing", "share"), cases, indirect=["backing"])


@pytest.mark.slow
@_shares(5)
def test_whichever_call_fails_in_a_live_copy_the_job_runs_and_no_row_is_lost(vm: DatabaseVm, backing: str, share: int) -> None:
    """Every call to the cloud, the agent and the guest: before the swap the move is undone, after it the move is finished.

    On loop devices each call acts and its answer is lost, on folders it does not act.
    """
    move = functools.partial(_live, vm)
    assert_no_row_is_lost(vm, move, range(share, calls_of("live_copy", move), _SHARES), acts=backing == "loop")


def _live(vm: DatabaseVm, faults: Faults, **more: Any) -> Report:
    return vm.move(96, faults, strategy="live_copy", shell=vm.shell(faults), **more)


class _Killed(BaseException):
    """As if the process were gone: nothing more gets through."""


class _Dying(Faults):
    def through(self, fault: errors.Error, call: Callable[[], Any]) -> Any:
        turn, self.count = self.count, self.count + 1
        if turn >= self._fails_at:
            raise _Killed
        return call()


@pytest.mark.slow
@_shares(_SHARES)
def test_a_live_copy_killed_anywhere_is_finished_by_the_same_move_id(vm: DatabaseVm, backing: str, share: int) -> None:
    """What it had made and copied is found again: after every second call on folders, after the others on loop devices."""
    turns = range(share, calls_of("live_copy", functools.partial(_live, vm)), _SHARES)
    for turn in turns[backing == "loop" :: 2]:
        move_id = f"{vm.disk_cid}-{turn}"
        with pytest.raises(_Killed):
            _live(vm, _Dying(turn), move_id=move_id)
        before = vm.disks()
        report = vm.move(96, strategy="live_copy", shell=vm.shell(), move_id=move_id, start_jobs=True)
        vm.assert_well()
        assert vm.disks() == before | {report.disk_cid}


class _Slower:
    """A guest that seems slowed down from the second pass on: by the clock that passes are timed with, each takes an hour."""

    def __init__(self, vm: DatabaseVm, monkeypatch: pytest.MonkeyPatch) -> None:
        self._real = vm.shell()
        self.root = self._real.root
        self._ahead = 0.0
        monkeypatch.setattr(copying, "time", self)

    def monotonic(self) -> float:
        """As time has it."""
        return time.monotonic() + self._ahead

    def run(self, command: Sequence[str], **more: Any) -> Output:
        """As a Shell does."""
        if any('mv "$W/now" "$W/base"' in word for word in command):
            self._ahead += 3600
        return self._real.run(command, **more)


_ONE_PASS = Limits(down_seconds=0.5, most_passes=2)


@pytest.mark.root
def test_a_pass_longer_than_copying_everything_ends_the_try_while_the_job_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asked for a live copy gets it or nothing: the jobs are not stopped for what takes longer than a plain copy."""
    with database_vms(tmp_path, local_config(tmp_path, "loop")) as make:
        vm = make(96, 2)
        with pytest.raises(MoveFailed, match=r"longer than a plain one, so they were not stopped; use --strategy copy") as failed:
            vm.move(128, strategy="live_copy", shell=_Slower(vm, monkeypatch), limits=_ONE_PASS)
        assert failed.value.report.jobs_down_seconds == 0
        _assert_undone(vm, failed.value)


def test_a_live_try_that_takes_too_long_becomes_a_plain_copy(make_vm: MakeVm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Left to choose, the move goes on with the jobs down, and says so; nothing of the try is left on the new disk."""
    vm = make_vm(96, 2)
    store = vm.seen / "var/vcap/store"
    (store / "gone").write_text("before the jobs are stopped")
    (store / "kept").write_text("kept")

    def remove(event: Event) -> None:
        if event.kind is EventKind.FELL_BACK:
            (store / "gone").unlink()

    report = vm.move(128, shell=_Slower(vm, monkeypatch), limits=_ONE_PASS, on_event=remove)
    assert (report.strategy, report.passes) == (Strategy.COPY, ())
    assert "a live copy was tried" in report.reason
    assert [note for note in report.notes if "a live copy would keep the jobs down for longer than a plain one" in note]
    assert ((store / "gone").exists(), (store / "kept").read_text()) == (False, "kept")
    vm.assert_well()


@on_loop
def test_a_dry_run_tells_the_way_and_the_time_and_changes_nothing(vm: DatabaseVm, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan, its reason, and what was measured in the guest for as long as people's moves do it."""
    monkeypatch.setattr(measuring, "_SAMPLED_SECONDS", 3)
    order = Order(move_id="dry", vm_cid=vm.vm_cid, old_disk_cid=vm.disk_cid, size=MiB(128))
    told = dry_run(order, Site(vm.cloud, vm.agent, vm.vm_cid, vm.shell()))
    assert told.strategy is Strategy.LIVE_COPY
    assert told.steps[-1] == "mark the old disk as an orphan"
    assert told.sample is not None
    assert told.sample.size > 4 << 20
    assert told.sample.changed_files >= 1
    assert told.expected_down_seconds is not None
    assert told.expected_seconds is not None
    assert 0 < told.expected_down_seconds <= told.expected_seconds
    vm.assert_well()
    assert vm.disks() == {vm.disk_cid}
