"""Where everything stands: the head with the facts, the figures that count, the whole move, the time without jobs, notes."""

from collections.abc import Iterator, Sequence
from typing import Final

from cpi.migration.picture import timeline, words
from cpi.migration.picture.panel import MARGIN, WIDTH, Stretch, panel
from cpi.migration.picture.shapes import Box, Drawing, Shape, Text, Tone
from cpi.migration.picture.timeline import Ending, Row
from cpi.migration.report import EventKind, Report

_FACT_LEFT: Final = MARGIN + 104
_LINE: Final = 18.0
_LETTER: Final = 12.5
_MOST_LINES: Final = 6
_GAP: Final = 12.0
_TILE_HEIGHT: Final = 78.0
_MOST_TILES: Final = 4
_ZOOM_BELOW: Final = 1 / 3
_LEAST_OVERLAP: Final = 0.002
_FAULTS: Final = {EventKind.FAILED: "failed at", EventKind.NOT_UNDONE: "not undone"}
_MOST_FAULTS: Final = 5
_TONES: Final = {
    Ending.MOVED: Tone.UP, Ending.NOTHING: Tone.UP, Ending.UNDONE: Tone.UNDOING, Ending.NOT_UNDONE: Tone.FAILED,
    Ending.UNFINISHED: Tone.FAILED,
}  # fmt: skip


def laid_out(report: Report) -> Drawing:
    """The picture of a report."""
    shapes, y = _head(report)
    tiles, y = _tiles(_figures(report), y + 6)
    shapes += tiles
    for stretch in _stretches(report):
        more, y = panel(stretch, y + 16)
        shapes += more
    notes, y = _facts([("note" if number == 0 else "", note) for number, note in enumerate(_notes(report))], y + 8)
    height = y + 16
    paper = Box(0, 0, WIDTH, height, Tone.PAPER, radius=8)
    title = f"disk move {words.clean(report.move_id)}: {timeline.ending(report).value}"
    return Drawing(WIDTH, height, title, _description(report), (paper, *shapes, *notes))


def _description(report: Report) -> str:
    return words.clean(
        f"{report.strategy.value} of {report.old_disk_cid} of {report.vm_cid}, begun {report.began_at}:"
        f" {words.seconds(report.seconds)} in all, jobs down for {words.seconds(report.jobs_down_seconds)}"
    )


def _head(report: Report) -> tuple[list[Shape], float]:
    ending = timeline.ending(report)
    width = words.width(ending.value, 13, bold=True) + 28
    left = WIDTH - MARGIN - width
    (title, *_) = words.wrapped(f"Disk move {report.move_id}", (left - 2 * MARGIN) / words.BOLD, 20, 1)
    shapes: list[Shape] = [
        Text(MARGIN, MARGIN + 18, title, height=20, bold=True),
        Box(left, MARGIN - 1, width, 26, _TONES[ending], radius=13),
        Text(left + width / 2, MARGIN + 17, ending.value, Tone.ON_COLOUR, 13, "middle", bold=True),
    ]
    facts, y = _facts([*_disks(report, ending), *_way(report)], MARGIN + 44)
    return [*shapes, *facts], y


def _facts(facts: Sequence[tuple[str, str]], y: float) -> tuple[list[Shape], float]:
    """Names and what belongs to them, line by line."""
    shapes: list[Shape] = []
    for name, value in facts:
        tone = Tone.FAILED if name in _FAULTS.values() else Tone.INK
        shapes.append(Text(MARGIN, y + 13, name, Tone.FAINT, _LETTER))
        lines = words.wrapped(value, WIDTH - MARGIN - _FACT_LEFT, _LETTER, _MOST_LINES) or [""]
        shapes += [Text(_FACT_LEFT, y + 13 + number * _LINE, line, tone, _LETTER) for number, line in enumerate(lines)]
        y += len(lines) * _LINE
    return shapes, y


def _disks(report: Report, ending: Ending) -> Iterator[tuple[str, str]]:
    yield "VM", report.vm_cid
    old = f", {report.old_size} MiB" if report.old_size is not None else ""
    if report.disk_cid != report.old_disk_cid:
        kept = f", kept as an orphan since {report.orphaned_at}" if report.orphaned_at else ""
        yield "old disk", f"{report.old_disk_cid}{old}{kept}"
        yield "new disk", f"{report.disk_cid}, {report.size} MiB"
    elif ending is Ending.MOVED:
        yield "disk", f"{report.disk_cid}{f'{old}, now {report.size} MiB' if old else f', now {report.size} MiB'}"
    else:
        yield "disk", f"{report.old_disk_cid}{old}: still the one in use"
        yield "wished for", f"{report.size} MiB"


def _way(report: Report) -> Iterator[tuple[str, str]]:
    yield "strategy", f"{report.strategy.value.replace('_', ' ')}: {report.reason}"
    yield "began", f"{report.began_at.replace('T', ' ').replace('+00:00', '')} UTC"
    if report.snapshot_cid is not None:
        yield "snapshot", report.snapshot_cid
    faults = {event.message: event for event in report.events if event.kind in _FAULTS}
    for message, event in list(faults.items())[:_MOST_FAULTS]:
        yield _FAULTS[event.kind], f"{message} (after {words.seconds(event.seconds)})"
    if not faults and timeline.ending(report) is Ending.UNDONE:
        yield _FAULTS[EventKind.FAILED], "no step: a listener stopped the move"


def _figures(report: Report) -> Iterator[tuple[str, str, str, Tone]]:
    """Name, figure, what is said below it, tone."""
    expected = report.expected_down_seconds
    below = f"the last pass was expected to take {words.seconds(expected)}" if expected is not None else ""
    down = report.jobs_down_seconds if report.jobs_run else 0
    if report.jobs_run:
        yield "jobs down", words.seconds(down) if down else "never", below, Tone.DOWN if down else Tone.UP
    else:
        yield "jobs", "stopped", "before the move, and left so", Tone.INK
    share = f"jobs down for {down / report.seconds:.0%} of it" if down and report.seconds else ""
    yield "in all", words.seconds(report.seconds), share, Tone.INK
    if report.passes:
        first = report.passes[0]
        told = f"{words.rate(first.changed_bytes, first.seconds)}, {len(report.passes)} passes"
        yield "copied", words.size(first.changed_bytes), told, Tone.INK
    elif report.data_bytes is not None:
        yield "on the disk", f"{words.size(report.data_bytes)} or more", "", Tone.INK
    if report.verified_bytes is not None:
        files = f"{words.number(report.verified_files or 0, 'file')}, from both disks, while the jobs ran"
        yield "compared", words.size(report.verified_bytes), files, Tone.CHECK


def _tiles(figures: Iterator[tuple[str, str, str, Tone]], y: float) -> tuple[list[Shape], float]:
    width = (WIDTH - 2 * MARGIN - (_MOST_TILES - 1) * _GAP) / _MOST_TILES
    shapes: list[Shape] = []
    for number, (name, figure, below, tone) in enumerate(figures):
        x = MARGIN + number * (width + _GAP)
        shapes += [
            Box(x, y, width, _TILE_HEIGHT, Tone.CARD, radius=6),
            Text(x + 12, y + 18, name, Tone.FAINT),
            Text(x + 12, y + 43, figure, tone, 22, bold=True),
        ]
        lines = words.wrapped(below, width - 20, 10, 2)
        shapes += [Text(x + 12, y + 59 + at * 13, line, Tone.FAINT, 10) for at, line in enumerate(lines)]
    return shapes, y + _TILE_HEIGHT


def _stretches(report: Report) -> Iterator[Stretch]:
    rows, down, swapped_at = timeline.rows(report), timeline.down(report), timeline.swapped_at(report)
    if not rows:
        return
    swap = "swapped" if report.disk_cid != report.old_disk_cid else "changed"
    forward = (
        f"{swap} at {words.seconds(swapped_at)}: from here on the move can only be finished" if swapped_at is not None else ""
    )
    yield Stretch("The whole move", 0, report.seconds, rows, down, swapped_at, forward)
    if down is None or not 0 < down[1] - down[0] < report.seconds * _ZOOM_BELOW:
        return
    inside = [row for row in rows if _is_in(row, *down)]
    if len(inside) > 1:
        title = f"While the jobs were down: from {words.seconds(down[0])} to {words.seconds(down[1])}"
        yield Stretch(title, *down, inside, swapped_at=swapped_at, swap=swap)


def _is_in(row: Row, began: float, ended: float) -> bool:
    overlap = min(row.ended, ended) - max(row.began, began)
    return (row.began >= began and row.ended <= ended) or overlap > (ended - began) * _LEAST_OVERLAP


def _notes(report: Report) -> Iterator[str]:
    yield from report.notes
    yield "times are since the move began; the report as JSON has every event"
