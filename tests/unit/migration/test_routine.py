"""The whole move on a cloud and a VM in memory: what it does, and what is left when any one call fails."""

import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from cpi.agent.protocol import Agent
from cpi.contract import errors
from cpi.contract.capability import Capability
from cpi.contract.ids import DiskCid
from cpi.contract.units import MiB
from cpi.migration import Event, EventKind, MoveFailed, MoveRefused, Report, Strategy, migrate_disk
from tests.unit.migration.world import OLD, VM, Faults, MemoryAgent, MemoryCloud, World, parts


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)


_WISHES: dict[str, dict[str, Any]] = {
    "copy": {"size": 200, "strategy": "copy"},
    "native_resize": {"size": 200, "old_size": 100, "old_cloud_properties": {}},
    "native_update": {"size": 200, "old_size": 100, "old_cloud_properties": {}, "cloud_properties": {"type": "fast"}},
    "refused resize": {"size": 200, "old_size": 100, "old_cloud_properties": {}, "strategy": "native_resize"},
}


def _move(world: World, wish: str, faults: Faults | None = None, **more: Any) -> Report:
    world.refuses = wish.startswith("refused")
    cloud, agent = parts(world, faults)
    wished = {**_WISHES[wish], **more}
    return migrate_disk(cloud, agent, VM, OLD, MiB(wished.pop("size")), wished.pop("cloud_properties", {}), **wished)


def test_a_copy_moves_every_row_and_keeps_the_old_disk_as_an_orphan() -> None:
    """The jobs run on the new disk; the old one is loose, tagged with what replaced it."""
    world = World.with_disk()
    report = _move(world, "copy", metadata={"deployment": "d"})
    world.assert_well(report.disk_cid)
    assert report.strategy is Strategy.COPY
    assert set(world.disks) == {OLD, report.disk_cid}
    assert world.disks[report.disk_cid].tags == {"deployment": "d", "move_id": report.move_id}
    orphan = world.disks[OLD]
    assert (orphan.rows, orphan.tags["replaced_by"]) == (list(range(len(orphan.rows))), report.disk_cid)
    assert orphan.tags["orphaned_at"] == report.orphaned_at


def test_a_native_resize_keeps_the_disk() -> None:
    """The same CID, larger, with the same rows, and no orphan."""
    world = World.with_disk()
    report = _move(world, "native_resize")
    world.assert_well(OLD)
    assert (report.strategy, report.disk_cid, report.orphaned_at) == (Strategy.NATIVE_RESIZE, OLD, None)
    assert world.disks[OLD].size == 200


def test_a_native_update_follows_the_disk_to_its_new_cid() -> None:
    """The cloud replaced the disk: the jobs run on what it answered."""
    world = World.with_disk()
    report = _move(world, "native_update")
    assert report.strategy is Strategy.NATIVE_UPDATE
    world.assert_well(report.disk_cid)
    assert world.disks[report.disk_cid].properties == {"type": "fast"}


def test_a_refused_resize_falls_back_to_a_copy_and_says_so() -> None:
    """As a director does: the old disk is attached again, then its data is copied."""
    world = World.with_disk()
    events: list[Event] = []
    report = _move(world, "refused resize", on_event=events.append)
    world.assert_well(report.disk_cid)
    assert report.strategy is Strategy.COPY
    assert "refused" in report.reason
    assert [event.kind for event in events].count(EventKind.FELL_BACK) == 1
    assert set(world.disks) == {OLD, report.disk_cid}


def test_nothing_is_done_when_the_disk_is_right() -> None:
    """No job is stopped, no disk is touched."""
    world = World.with_disk()
    report = _move(world, "copy", size=100, strategy="auto", old_size=100, old_cloud_properties={})
    assert (report.strategy, report.steps, report.jobs_down_seconds) == (Strategy.NOTHING, (), 0.0)
    world.assert_well(OLD)


def test_the_order_of_calls_of_a_copy_is_a_directors() -> None:
    """Scripts, drain and stop first; the new disk mounted beside; copied; the old one unmounted, forgotten, detached."""
    world = World.with_disk()
    transport = MemoryAgent(world)
    migrate_disk(MemoryCloud(world), Agent(transport), VM, OLD, MiB(200), strategy="copy")
    acts = [call for call in transport.calls if call not in {"ping", "get_state", "list_disk"}]
    assert acts == [
        "run_script", "drain", "stop", "run_script",
        "add_persistent_disk", "mount_disk", "migrate_disk",
        "remove_persistent_disk",
        "run_script", "start", "run_script",
    ]  # fmt: skip


def test_jobs_that_were_stopped_stay_stopped() -> None:
    """The move gives back what it found, unless it is told otherwise."""
    world = World.with_disk()
    world.running = False
    report = _move(world, "copy")
    assert (world.running, world.store) == (False, report.disk_cid)
    assert not report.jobs_run


def test_a_repeat_that_finds_the_jobs_stopped_says_that_they_are_left_so() -> None:
    """An earlier try may have stopped them; nobody can be asked. Told by the director's record, it starts them."""
    world = World.with_disk()
    world.running = False
    report = _move(world, "copy", move_id="m")
    assert "retry with start_jobs=True" in report.notes[0]
    assert not world.running
    world = World.with_disk()
    world.running = False
    report = _move(world, "copy", move_id="m", start_jobs=True)
    assert not [note for note in report.notes if "start_jobs" in note]
    assert (report.jobs_run, world.running) == (True, True)


def test_a_disk_too_small_for_the_data_is_refused_before_anything_is_made() -> None:
    """The figures are in the message; the job was never stopped."""
    world = World.with_disk(size=100, rows=80)
    with pytest.raises(
        MoveRefused, match=r"does not fit: at least \d\d MiB are used on disk-old, and the new disk would have 30"
    ):
        _move(world, "copy", size=30, old_size=100)
    assert set(world.disks) == {OLD}
    world.assert_well(OLD)


def test_data_that_turns_out_too_big_is_left_where_it_is() -> None:
    """Without a size to measure by, the copy itself finds out: no space, everything undone, the reason told."""
    world = World.with_disk(size=100, rows=80)
    with pytest.raises(MoveFailed, match="No space left on device") as failed:
        _move(world, "copy", size=30)
    assert failed.value.undone == ("detach the new disk", "delete the new disk", "start the jobs on the old disk")
    assert (failed.value.left, failed.value.swapped, failed.value.report.disk_cid) == ((), False, OLD)
    assert set(world.disks) == {OLD}
    world.assert_well(OLD)


def _calls_of(wish: str) -> int:
    faults = Faults()
    _move(World.with_disk(), wish, faults)
    return faults.count


def _outcome(act: Callable[[], Report]) -> Report | MoveFailed | errors.Error:
    try:
        return act()
    except errors.Error as error:
        return error


@pytest.mark.parametrize("acts", [False, True], ids=["fails", "answer lost"])
@pytest.mark.parametrize("wish", _WISHES)
def test_whichever_call_fails_once_the_jobs_run_and_no_row_is_lost(wish: str, acts: bool) -> None:  # noqa: FBT001 - a case
    """Before the swap all is undone and the jobs run on the old disk; after it the move gets to its end."""
    for turn in range(_calls_of(wish)):
        world = World.with_disk()
        outcome = _outcome(partial(_move, world, wish, Faults(turn, acts=acts)))
        if isinstance(outcome, Report):
            world.assert_well(outcome.disk_cid)
            assert set(world.disks) <= {OLD, outcome.disk_cid}
        else:
            assert "made to fail" in outcome.message
            assert not isinstance(outcome, MoveFailed) or (outcome.left, outcome.swapped) == ((), False)
            world.assert_well(OLD)
            assert set(world.disks) == {OLD}, f"turn {turn}"


@pytest.mark.parametrize("wish", _WISHES)
def test_when_all_fails_from_some_call_on_the_message_tells_what_is_left(wish: str) -> None:
    """Nothing can be undone then: the truth is told, no row is lost, and the jobs never run without their store."""
    for turn in range(_calls_of(wish)):
        world = World.with_disk()
        outcome = _outcome(partial(_move, world, wish, Faults(turn, lasting=True)))
        assert isinstance(outcome, errors.Error), f"turn {turn}"
        if isinstance(outcome, MoveFailed):
            assert outcome.left, f"turn {turn}"
            assert all(what in outcome.message for what in outcome.left)
        holders = [disk for disk in world.disks.values() if disk.rows == list(range(world.written))]
        assert holders, f"turn {turn}: no disk holds every row"


@pytest.mark.parametrize("acts", [False, True], ids=["before", "after"])
def test_a_move_killed_anywhere_is_finished_by_the_same_move_id(acts: bool) -> None:  # noqa: FBT001 - a case
    """A process that dies undoes nothing: the repeat finds its disk by the token and gets to the end."""
    for turn in range(_calls_of("copy")):
        world = World.with_disk()
        with pytest.raises(_Killed):
            _killed_at(turn, world, acts=acts)
        report = _move(world, "copy", move_id="m", start_jobs=True)
        world.assert_well(report.disk_cid)
        assert set(world.disks) == {OLD, report.disk_cid}, f"turn {turn}"


class _Killed(BaseException):
    """As if the process were gone: nothing more gets through."""


class _Dying(Faults):
    def through(self, fault: errors.Error, call: Callable[[], Any]) -> Any:
        turn, self.count = self.count, self.count + 1
        if turn < self._fails_at:
            return call()
        if turn == self._fails_at and self._acts:
            call()
        raise _Killed


def _killed_at(turn: int, world: World, *, acts: bool) -> None:
    _move(world, "copy", _Dying(turn, acts=acts), move_id="m")


def test_a_listener_that_raises_before_the_swap_stops_the_move() -> None:
    """That is how a caller gives a move up; all is undone though it is not told of it."""

    def gives_up(event: Event) -> None:
        if event.step == "copy_data":
            raise KeyboardInterrupt

    world = World.with_disk()
    with pytest.raises(KeyboardInterrupt):
        _move(world, "copy", on_event=gives_up)
    world.assert_well(OLD)
    assert set(world.disks) == {OLD}


def test_a_listener_that_raises_after_the_swap_does_not_keep_the_jobs_down() -> None:
    """What is left to do is done, then its exception passes on."""

    def gives_up(event: Event) -> None:
        if event.step == "remove_old_disk":
            raise KeyboardInterrupt

    world = World.with_disk()
    with pytest.raises(KeyboardInterrupt):
        _move(world, "copy", on_event=gives_up)
    world.assert_well(DiskCid(next(cid for cid in world.disks if cid != OLD)))


def test_a_foreign_disk_is_left_alone() -> None:
    """The agent has a disk mounted that nobody ordered: a person has to look."""
    world = World.with_disk()
    world.store = DiskCid("disk-strange")
    world.disks[DiskCid("disk-strange")] = world.disks[OLD]
    with pytest.raises(MoveRefused, match="disk-strange mounted, and not disk-old"):
        _move(world, "copy", move_id="m")
    assert set(world.disks) == {OLD, "disk-strange"}


class _PlainCloud(MemoryCloud):
    capabilities = frozenset({Capability.DISK_METADATA})


def test_a_cloud_without_the_power_copies() -> None:
    """What is not declared is not tried."""
    world = World.with_disk()
    report = migrate_disk(
        _PlainCloud(world), Agent(MemoryAgent(world)), VM, OLD, MiB(200), old_size=MiB(100), old_cloud_properties={}
    )
    assert report.strategy is Strategy.COPY


def test_an_unknown_strategy_is_refused_with_those_there_are() -> None:
    """Spelling mistakes do not start a move."""
    with pytest.raises(MoveRefused, match="unknown strategy 'cpy'; known strategies: auto, nothing, native_resize"):
        _move(World.with_disk(), "copy", strategy="cpy")


def test_the_report_is_one_json_document_with_every_step() -> None:
    """As it is kept, or shown elsewhere."""
    report = _move(World.with_disk(), "copy", old_size=100)
    told = json.loads(report.to_json())
    assert told["strategy"] == "copy"
    assert [step["name"] for step in told["steps"]] == [
        "stop_jobs", "attach_old_disk", "create_disk", "attach_new_disk", "copy_data",
        "remove_old_disk", "orphan_old_disk", "start_jobs",
    ]  # fmt: skip
    assert 0 < told["jobs_down_seconds"] <= told["seconds"]
    assert told["data_bytes"] > 0
