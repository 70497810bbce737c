"""The services over time as one SVG document: a row for each, red where it does not answer; the acts above them."""

from collections.abc import Iterator
from typing import Final

from cpi.demo.containers.acts import Outcome, Service
from cpi.migration.picture import words
from cpi.migration.picture.drawing import drawn
from cpi.migration.picture.shapes import Box, Drawing, Line, Shape, Text, Tone

_WIDTH: Final = 1100.0
_LEFT: Final = 130.0
_RIGHT: Final = 24.0
_HEAD: Final = 64.0
_ACT: Final = 20.0
_ROW: Final = 44.0
_BAR: Final = 20.0
_LETTERS: Final = 12.0
_TICKS: Final = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600)
_MOST_TICKS: Final = 12
_LEAST: Final = 1.5


def picture_of(outcome: Outcome) -> str:
    """The document."""
    acts = [scene for scene in outcome.scenes if scene.began >= 0]
    top = _HEAD + _ACT * len(acts) + 12
    bottom = top + _ROW * len(outcome.services)
    shapes: list[Shape] = [
        Box(0, 0, _WIDTH, bottom + 40, Tone.PAPER),
        Text(24, 30, "Containers on two VMs while things die and a disk moves", height=18, bold=True),
        Text(24, 50, f"{words.seconds(outcome.seconds)} in all; {words.number(outcome.rows_lost, 'row')} lost", Tone.FAINT),
    ]
    scale = (_WIDTH - _LEFT - _RIGHT) / max(outcome.seconds, 0.001)
    for number, scene in enumerate(acts):
        x, y = _LEFT + scene.began * scale, _HEAD + _ACT * number
        shapes.append(Line(x, y + 4, x, bottom, Tone.GRID, dashed=True))
        shapes.append(_label(scene.act, x, y + 14))
    shapes += _axis(outcome.seconds, scale, bottom)
    for number, service in enumerate(outcome.services):
        shapes += _row(service, outcome.seconds, scale, top + _ROW * number)
    told = "; ".join(f"{service.name} did not answer for {_down(service)}" for service in outcome.services)
    return drawn(Drawing(_WIDTH, bottom + 40, "cpi demo --containers", told, tuple(shapes)))


def _label(act: str, x: float, y: float) -> Text:
    label = Text(x + 4, y, act, height=_LETTERS)
    return label if label.bounds[2] <= _WIDTH - _RIGHT else Text(x - 4, y, act, height=_LETTERS, anchor="end")


def _axis(seconds: float, scale: float, y: float) -> Iterator[Shape]:
    step = next((tick for tick in _TICKS if seconds / tick <= _MOST_TICKS), _TICKS[-1])
    for tick in range(0, int(seconds) + 1, step):
        x = _LEFT + tick * scale
        yield Line(x, y, x, y + 6, Tone.GRID)
        yield Text(x, y + 20, f"{tick} s", Tone.FAINT, anchor="middle")


def _row(service: Service, seconds: float, scale: float, y: float) -> Iterator[Shape]:
    yield Text(24, y + 15, service.name, height=14, bold=True)
    yield Text(24, y + 31, f"down {_down(service)}", Tone.FAINT)
    yield Box(_LEFT, y, seconds * scale, _BAR, Tone.UP, radius=3)
    for began, ended in service.silences:
        end = min(ended, seconds)
        hint = f"{service.name} did not answer for {words.seconds(ended - began)}"
        yield Box(_LEFT + began * scale, y, max((end - began) * scale, _LEAST), _BAR, Tone.DOWN, hint=hint)


def _down(service: Service) -> str:
    return words.seconds(sum(ended - began for began, ended in service.silences))
