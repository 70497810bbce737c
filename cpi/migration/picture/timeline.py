"""What the picture tells: a row for everything that took time. Pure: from the report alone."""

from collections.abc import Iterator
from enum import Enum
from typing import Final

import msgspec

from cpi.migration.picture import words
from cpi.migration.report import EventKind, Pass, Report, StepTime, Strategy
from cpi.migration.steps import STEPS

_SWAPS: Final = frozenset({"swap_disks", "copy_data", "mount_new_disk", "resize_disk", "update_disk"})
_GIVE_WAY: Final = frozenset({"resize_disk", "update_disk", "copy_live", "verify_live"})
_LONGEST_BREATH_SECONDS: Final = 1.0


class Kind(Enum):
    """What a row shows."""

    PLANNING = "planning"
    STEP = "step"
    PASS = "pass"  # noqa: S105 - a stretch of copying
    CHECK = "check"
    FAILED = "failed"
    UNDOING = "undoing"
    GAP = "gap"


class Row(msgspec.Struct, frozen=True):
    """Something that took time."""

    kind: Kind
    label: str
    began: float
    seconds: float
    detail: str = ""
    fault: str = ""
    part: bool = False
    """Whether it is a part of the row above."""

    @property
    def ended(self) -> float:
        """In seconds since the move began."""
        return self.began + self.seconds


class Ending(Enum):
    """How the move ended, in a word."""

    MOVED = "moved"
    NOTHING = "nothing to do"
    UNDONE = "failed and undone"
    NOT_UNDONE = "failed, not all undone"
    UNFINISHED = "swapped, but not finished"


def rows(report: Report) -> tuple[Row, ...]:
    """All of them, in the order of time; what no record tells of is a row too."""
    found: list[Row] = []
    if report.planning_seconds:
        found.append(Row(Kind.PLANNING, "look and plan", 0, report.planning_seconds))
    last = report.planning_seconds
    for step in report.steps:
        if step.began - last > _LONGEST_BREATH_SECONDS:
            detail = "its process had ended, or waited"
            found.append(Row(Kind.GAP, "nothing under way", last, step.began - last, detail))
        found += [_row(step, report), *_parts(step, report)]
        last = max(last, step.began + step.seconds)
    return tuple(found)


def down(report: Report) -> tuple[float, float] | None:
    """From when to when the jobs were down; None if they never were, or had been stopped before."""
    if not report.jobs_run:
        return None
    began = next((step.began for step in report.steps if step.name == "stop_jobs" and not step.undone), None)
    return None if began is None else (began, began + report.jobs_down_seconds)


def swapped_at(report: Report) -> float | None:
    """Since when the data is on the new disk, or the disk is what was wished for; None if that was not reached."""
    done = [step for step in report.steps if step.name in _SWAPS and not step.fault and not step.undone]
    return done[-1].began + done[-1].seconds if done else None


def ending(report: Report) -> Ending:
    """As the steps tell it."""
    if report.strategy is Strategy.NOTHING and not report.steps:
        return Ending.NOTHING
    if swapped_at(report) is not None:
        return Ending.UNFINISHED if _failed(report) else Ending.MOVED
    not_undone = any(step.undone and step.fault for step in report.steps)
    return Ending.NOT_UNDONE if not_undone else Ending.UNDONE


def _failed(report: Report) -> set[str]:
    """The steps whose last try failed; that a cloud refused a change is none of them, if the data was copied instead."""
    last = {step.name: step.fault for step in report.steps if not step.undone}
    fell_back = any(event.kind is EventKind.FELL_BACK for event in report.events)
    return {name for name, fault in last.items() if fault and not (fell_back and name in _GIVE_WAY)}


def _row(step: StepTime, report: Report) -> Row:
    known = STEPS.get(step.name)
    label = (known.undoing if step.undone else known.what) if known else step.name.replace("_", " ")
    kind = Kind.FAILED if step.fault else Kind.UNDOING if step.undone else Kind.STEP
    label = f"undo: {label}" if step.undone else label
    return Row(kind, label, step.began, step.seconds, _detail(step, report), step.fault)


def _detail(step: StepTime, report: Report) -> str:
    last = next((made for made in report.passes if made.jobs_down and made.step == step.name), None)
    if last is not None and not step.undone:
        return _figures(last, step.seconds)
    if step.name == "copy_data" and not step.fault and not step.undone and report.data_bytes:
        return f"{words.size(report.data_bytes)} or more, {words.rate(report.data_bytes, step.seconds)}"
    return ""


def _parts(step: StepTime, report: Report) -> Iterator[Row]:
    """The passes of a step end with it; before them, everything was compared."""
    if step.undone or step.fault:
        return
    passes = [made for made in report.passes if made.step == step.name and not made.jobs_down]
    began = max(step.began, step.began + step.seconds - sum(made.seconds for made in passes))
    if step.name == "verify_live" and report.verified_bytes is not None:
        detail = f"{words.size(report.verified_bytes)}, {words.number(report.verified_files or 0, 'file')}"
        yield Row(Kind.CHECK, "everything read and compared", step.began, began - step.began, detail, part=True)
    for made in passes:
        what = "everything" if made.number == 1 else "what had changed"
        yield Row(Kind.PASS, f"pass {made.number}: {what}", began, made.seconds, _figures(made, made.seconds), part=True)
        began += made.seconds


def _figures(made: Pass, took: float) -> str:
    if not made.files:
        return "nothing"
    figures = [words.size(made.changed_bytes), words.number(made.files, "file"), words.rate(made.changed_bytes, took)]
    if made.strange:
        figures.append(f"{made.strange} copied again")
    return ", ".join(figures)
