"""One stretch of time with a row for each thing that took some of it. Texts stand in columns, so they never meet."""

import math
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from cpi.migration.picture import words
from cpi.migration.picture.shapes import Box, Line, Shape, Text, Tone
from cpi.migration.picture.timeline import Kind, Row

MARGIN: Final = 28.0
WIDTH: Final = 1180.0
_LABEL_WIDTH: Final = 296.0
_PLOT: Final = (MARGIN + 320.0, 840.0)
_SECONDS_RIGHT: Final = 926.0
_DETAIL_LEFT: Final = 942.0
_LETTER: Final = 12.0
_LINE: Final = 16.0
_BAR: Final = 11.0
_PADDING: Final = 8.0
_INDENT: Final = 16.0
_LEAST_BAR: Final = 2.0
_MOST_TICKS: Final = 8
_TICKS: Final = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400,
    28_800,
)  # fmt: skip
_DAY: Final = 86_400
_TONES: Final = {
    Kind.PLANNING: Tone.PLANNING, Kind.STEP: Tone.STEP, Kind.PASS: Tone.PASS, Kind.CHECK: Tone.CHECK,
    Kind.FAILED: Tone.FAILED, Kind.UNDOING: Tone.UNDOING, Kind.GAP: Tone.GAP,
}  # fmt: skip


class Stretch(msgspec.Struct, frozen=True):
    """What a panel shows, in seconds since the move began."""

    title: str
    began: float
    ended: float
    rows: Sequence[Row]
    down: tuple[float, float] | None = None
    swapped_at: float | None = None
    swap: str = "swapped"
    """What is said of that moment."""

    def at(self, moment: float) -> float:
        """Where a moment is on the paper."""
        left, right = _PLOT
        share = (moment - self.began) / max(self.ended - self.began, 1e-9)
        return left + (right - left) * min(max(share, 0), 1)


def panel(stretch: Stretch, top: float) -> tuple[list[Shape], float]:
    """Its shapes, and where the next thing may begin."""
    head = Text(MARGIN, top + 14, stretch.title, height=14, bold=True)
    axis_at = top + 38
    rows: list[Shape] = []
    y = axis_at + 8
    for shapes, height in [_jobs_row(stretch, y)] if stretch.down else []:
        rows += shapes
        y += height
    for row in stretch.rows:
        shapes, height = _row(stretch, row, y)
        rows += shapes
        y += height
    behind = [*_band(stretch, axis_at, y), *_axis(stretch, axis_at, y)]
    mark, below = _swap_mark(stretch, axis_at, y)
    return [head, *behind, *rows, *mark], below


def _band(stretch: Stretch, top: float, bottom: float) -> Iterator[Shape]:
    if stretch.down is None:
        return
    left, right = (stretch.at(moment) for moment in stretch.down)
    yield Box(left, top, max(right - left, _LEAST_BAR), bottom - top, Tone.DOWN_BAND)


def _axis(stretch: Stretch, top: float, bottom: float) -> Iterator[Shape]:
    for moment in ticks(stretch.ended - stretch.began):
        x = stretch.at(stretch.began + moment)
        yield Line(x, top, x, bottom, Tone.GRID)
        yield Text(x, top - 6, tick_words(moment), Tone.FAINT, height=11, anchor="middle")


def ticks(length: float) -> list[float]:
    """Round moments from the beginning to the end, few enough to be told apart."""
    days = _DAY * math.ceil(length / _DAY / _MOST_TICKS)
    step = next((step for step in _TICKS if length / step <= _MOST_TICKS), days)
    return [number * step for number in range(int(length / step + 1e-9) + 1)] if length > 0 else [0]


def tick_words(moment: float) -> str:
    """Short, and exact for round moments."""
    for unit, name in ((_DAY, "d"), (3600, "h"), (60, "min")):
        if moment >= 2 * unit and moment % (unit / 2) == 0:
            return f"{moment / unit:g} {name}"
    return f"{moment:.6g} s"


def _jobs_row(stretch: Stretch, y: float) -> tuple[list[Shape], float]:
    began, ended = stretch.down or (stretch.began, stretch.began)
    left, right = _PLOT
    height = _LINE + _PADDING
    bar = y + (height - _BAR) / 2
    from_x, to_x = stretch.at(began), stretch.at(ended)
    took = words.seconds(ended - began)
    return [
        Text(MARGIN, y + height - _PADDING, "the jobs", bold=True),
        Box(left, bar, max(from_x - left, 0), _BAR, Tone.UP, hint="the jobs run"),
        Box(to_x, bar, max(right - to_x, 0), _BAR, Tone.UP, hint="the jobs run"),
        Box(from_x, bar, max(to_x - from_x, _LEAST_BAR), _BAR, Tone.DOWN, hint=f"the jobs are down for {took}"),
        Text(_SECONDS_RIGHT, y + height - _PADDING, took, Tone.DOWN, anchor="end", bold=True),
        Text(_DETAIL_LEFT, y + height - _PADDING, "down", Tone.DOWN, bold=True),
    ], height


def _row(stretch: Stretch, row: Row, y: float) -> tuple[list[Shape], float]:
    indent = _INDENT if row.part else 0.0
    labels = words.wrapped(row.label, _LABEL_WIDTH - indent, _LETTER, 3)
    details = words.wrapped(row.detail, WIDTH - MARGIN - _DETAIL_LEFT, _LETTER, 3)
    height = max(len(labels), len(details), 1) * _LINE + _PADDING
    tone = Tone.FAILED if row.fault else Tone.FAINT if row.part or row.kind in {Kind.GAP, Kind.PLANNING} else Tone.INK
    first = y + _LINE
    return [
        *_column(MARGIN + indent, first, labels, tone),
        _bar(stretch, row, y + (_LINE + _PADDING - _BAR) / 2),
        Text(_SECONDS_RIGHT, first, words.seconds(row.seconds), anchor="end"),
        *_column(_DETAIL_LEFT, first, details, Tone.FAINT),
    ], height


def _bar(stretch: Stretch, row: Row, y: float) -> Shape:
    left, right = stretch.at(row.began), stretch.at(row.ended)
    left = min(left, _PLOT[1] - _LEAST_BAR)
    hint = f"{words.clean(row.label)}: from {words.seconds(row.began)} to {words.seconds(row.ended)}"
    outlined = row.kind is Kind.GAP
    return Box(left, y, max(right - left, _LEAST_BAR), _BAR, _TONES[row.kind], radius=2, outlined=outlined, hint=hint)


def _column(x: float, y: float, lines: Sequence[str], tone: Tone) -> list[Shape]:
    return [Text(x, y + number * _LINE, line, tone) for number, line in enumerate(lines)]


def _swap_mark(stretch: Stretch, top: float, bottom: float) -> tuple[list[Shape], float]:
    moment = stretch.swapped_at
    if moment is None or not stretch.began <= moment <= stretch.ended:
        return [], bottom + 12
    x = stretch.at(moment)
    mark = Text(x, bottom + 18, stretch.swap, Tone.FAINT, height=11, anchor="middle")
    left, _, right, _ = mark.bounds
    moved = max(MARGIN - left, 0) - max(right - WIDTH + MARGIN, 0)
    mark = msgspec.structs.replace(mark, x=x + moved)
    return [Line(x, top, x, bottom + 5, Tone.INK, dashed=True), mark], bottom + 30
