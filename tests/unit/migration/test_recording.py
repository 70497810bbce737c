"""A move's parts, kept: what a wish to give it up stops, and what it does not."""

from collections.abc import Callable
from typing import Any

import pytest

from cpi.contract import errors
from cpi.durable.engine import NotKept
from cpi.migration.durable import recording
from cpi.migration.durable.faults import MoveCancelled
from cpi.migration.durable.recording import Recorder
from cpi.migration.report import Event, EventKind

_PLAN = {"course": {"before": ["copy"], "fallback": {"before": ["copy_again"]}}}


class _Gone(BaseException):
    """As the engine's word for a move that another process has now."""


def _recorder(keep: Callable[[str, Callable[[], Any]], Any], *, cancelled: bool) -> Recorder:
    recorder = Recorder(keep, lambda: None, lambda: False, lambda: cancelled, lambda _: None)
    recorder.perform("plan", dict, lambda: _PLAN)
    return recorder


def _here(_name: str, call: Callable[[], Any]) -> Any:
    return call()


@pytest.mark.parametrize("part", ["copy", "copy_again"])
def test_a_part_at_work_before_the_swap_is_stopped_when_it_tells_of_its_progress(part: str) -> None:
    """So a copy of hours does not have to end first."""
    recorder = _recorder(_here, cancelled=True)
    with pytest.raises(MoveCancelled):
        recorder.perform(part, type(None), lambda: recorder.tell(_event(part)))
    assert recorder.cancelled


def test_a_part_after_the_swap_is_not_stopped() -> None:
    """Only forward from there on."""
    recorder = _recorder(_here, cancelled=True)
    recorder.perform("start_jobs", type(None), lambda: recorder.tell(_event("start_jobs")))
    assert not recorder.cancelled


def test_once_the_move_is_another_process_s_nothing_more_is_done() -> None:
    """Not even undone."""
    done: list[str] = []

    def keep(name: str, call: Callable[[], Any]) -> Any:
        if name == "copy":
            raise _Gone
        return call()

    recorder = _recorder(keep, cancelled=False)
    for part in ("copy", "undo copy"):
        with pytest.raises(_Gone):
            recorder.perform(part, type(None), lambda: done.append("!"))
    assert done == []


def test_what_is_undone_or_finished_is_done_though_it_cannot_be_written_down() -> None:
    """The first part that is not kept stops the move; of those after it nobody is told that they were left."""

    def keep(name: str, call: Callable[[], Any]) -> Any:
        answer = call()
        if name != "plan":
            raise NotKept("database or disk is full")
        return answer

    recorder, done = _recorder(keep, cancelled=False), list[str]()
    with pytest.raises(NotKept):
        recorder.perform("copy", type(None), lambda: done.append("copied"))
    recorder.perform("undo copy", type(None), lambda: done.append("undone"))
    recorder.perform("start_jobs", type(None), lambda: done.append("started"))
    assert done == ["copied", "undone", "started"]


def test_a_move_that_has_begun_waits_for_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its configuration it could neither go on nor undo; before it has begun, that is a fault."""
    lacking = [errors.CpiError("no such file")] * 2

    def ready() -> None:
        if lacking:
            raise lacking.pop()

    monkeypatch.setattr(recording, "_PAUSE_SECONDS", 0)
    recorder = Recorder(_here, ready, lambda: False, lambda: False, lambda _: None)
    with pytest.raises(errors.CpiError, match="no such file"):
        recorder.perform("plan", dict, lambda: _PLAN)
    lacking *= 2
    assert recorder.perform("copy", int, lambda: 7).answer == 7


def test_a_fault_is_told_from_the_records_as_it_was() -> None:
    """Its kind, its words, and whether the director may try again."""

    def fail() -> None:
        raise errors.NoDiskSpace("full", ok_to_retry=True)

    with pytest.raises(errors.NoDiskSpace, match="full") as raised:
        _recorder(_here, cancelled=False).perform("copy", type(None), fail)
    assert raised.value.ok_to_retry


def _event(step: str) -> Event:
    return Event(EventKind.PROGRESS, step, "", 0.0)
