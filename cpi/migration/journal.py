"""What happened in a move, in order: told as events while it goes on, and made a report at the end."""

import datetime as dt
import time
from collections.abc import Callable
from typing import Final, TypeVar

from cpi.contract import errors
from cpi.contract.ids import DiskCid
from cpi.migration.moving import Move
from cpi.migration.performing import Done
from cpi.migration.plan import Order, Plan
from cpi.migration.report import Event, EventKind, OnEvent, Progress, Report, StepTime
from cpi.migration.steps import STEPS

T = TypeVar("T")

_STARTING: Final = frozenset({"start_jobs", "start_jobs_there"})


class Journal:
    """One move's story. It may have begun in another process, so it goes by the time of day."""

    def __init__(self, order: Order, on_event: OnEvent | None, began: float, planning_seconds: float) -> None:
        self._order = order
        self._on_event = on_event or _nobody
        self._began = began
        self._planning_seconds = planning_seconds
        self._events: list[Event] = []
        self._times: list[StepTime] = []
        self._numbers: dict[str, int] = {}
        self.undone: list[str] = []
        self.left: list[str] = []

    def planned(self, course: Plan) -> None:
        """The way to go is known."""
        self._count(course)
        self._tell(EventKind.PLANNED, "", f"{course.strategy.value}: {course.reason}")

    def fell_back(self, course: Plan, error: errors.Error) -> None:
        """The cloud refused; another way is taken."""
        self._count(course)
        self._tell(EventKind.FELL_BACK, "", f"{course.strategy.value}: {course.reason}: {error.message}")

    def doing(self, name: str, part: Callable[[], Done[T]]) -> T:
        """The answer of a step, which is done meanwhile."""
        began = self._now()
        self._tell(EventKind.BEGUN, name, STEPS[name].what)
        try:
            done = part()
        except errors.Error as error:
            self._times.append(StepTime(name, began, self._now() - began, fault=error.message))
            self._tell(EventKind.FAILED, name, f"{STEPS[name].what}: {error.message}")
            raise
        self._took(name, done)
        self._tell(EventKind.DONE, name, STEPS[name].what)
        return done.answer

    def undoing(self, name: str, part: Callable[[], Done[None]]) -> None:
        """A step is undone."""
        what, began = STEPS[name].undoing, self._now()
        self._tell(EventKind.UNDOING, name, what)
        self.left.append(what)
        try:
            done = part()
        except errors.Error as error:
            self.left[-1] = f"{what}: {error.message}"
            self._times.append(StepTime(name, began, self._now() - began, undone=True, fault=error.message))
            self._tell(EventKind.NOT_UNDONE, name, self.left[-1])
            raise
        self.left.pop()
        self._took(name, done, undone=True)
        self.undone.append(what)
        self._tell(EventKind.UNDONE, name, what)

    def report(self, course: Plan, move: Move, disk_cid: DiskCid) -> Report:
        """The whole of it."""
        state = move.state
        return Report(
            move_id=self._order.move_id,
            strategy=course.strategy,
            reason=course.reason,
            vm_cid=self._order.vm_cid,
            old_disk_cid=self._order.old_disk_cid,
            disk_cid=disk_cid,
            size=self._order.size,
            began_at=dt.datetime.fromtimestamp(self._began, dt.UTC).isoformat(timespec="milliseconds"),
            seconds=self._now(),
            jobs_down_seconds=jobs_down_seconds(self._times),
            old_size=self._order.old_size,
            planning_seconds=self._planning_seconds,
            jobs_run=move.jobs_shall_run,
            data_bytes=move.facts.used_bytes_at_least,
            orphaned_at=state.orphaned_at,
            passes=state.passes,
            verified_bytes=state.verified_bytes,
            verified_files=state.verified_files,
            listed_paths=state.listed_paths,
            expected_down_seconds=state.expected_down_seconds,
            snapshot_cid=state.snapshot_cid,
            new_vm_cid=None if disk_cid == self._order.old_disk_cid else state.new_vm_cid,
            kept_until=state.kept_until,
            notes=state.notes,
            steps=tuple(self._times),
            events=tuple(self._events),
        )

    def _count(self, course: Plan) -> None:
        self._numbers |= {name: len(self._numbers) + at for at, name in enumerate(course.steps, 1) if name not in self._numbers}

    def _took(self, name: str, done: Done[T], *, undone: bool = False) -> None:
        self._times.append(StepTime(name, done.began - self._began, done.seconds, undone))

    def progressed(self, name: str, progress: Progress) -> None:
        """A step tells how far it is; these are many, and the report does without them."""
        message = f"pass {progress.number}: {progress.copied_bytes} of {progress.of_bytes} bytes"
        self._tell(EventKind.PROGRESS, name, message, progress)

    def _tell(self, kind: EventKind, step: str, message: str, progress: Progress | None = None) -> None:
        event = Event(kind, step, message, self._now(), self._numbers.get(step, 0), len(self._numbers), progress)
        if progress is None:
            self._events.append(event)
        # A listener that raises stops the move, and is not told of its undoing.
        listener, self._on_event = self._on_event, _nobody
        listener(event)
        self._on_event = listener

    def _now(self) -> float:
        return time.time() - self._began


def _nobody(event: Event) -> None:
    """Nobody listens."""


def jobs_down_seconds(times: list[StepTime]) -> float:
    """From the first message that stops the jobs to the last step, or undoing, that started them."""
    stopped = next((step.began for step in times if step.name == "stop_jobs" and not step.undone), None)
    if stopped is None:
        return 0.0
    starts = [step for step in times if step.name in _STARTING or (step.name == "stop_jobs" and step.undone)]
    ends = [step.began + step.seconds for step in starts if not step.fault]
    return max(ends or [step.began + step.seconds for step in times]) - stopped
