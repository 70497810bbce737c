"""What a picture is made of, before it is written down: plain values that can be looked at without a screen."""

from enum import Enum
from typing import Final, Literal

import msgspec

from cpi.migration.picture import words

_ABOVE_BASELINE: Final = 0.8
_BELOW_BASELINE: Final = 0.25


class Tone(Enum):
    """What a shape means; drawing knows its colours."""

    PAPER = "paper"
    CARD = "card"
    INK = "ink"
    FAINT = "faint"
    GRID = "grid"
    STEP = "step"
    PASS = "pass"  # noqa: S105 - a stretch of copying
    CHECK = "check"
    PLANNING = "planning"
    UP = "up"
    DOWN = "down"
    DOWN_BAND = "down-band"
    FAILED = "failed"
    UNDOING = "undoing"
    GAP = "gap"
    ON_COLOUR = "on-colour"


class Box(msgspec.Struct, frozen=True):
    """A filled rectangle, or its dashed outline."""

    x: float
    y: float
    width: float
    height: float
    tone: Tone
    radius: float = 0
    outlined: bool = False
    hint: str = ""
    """What a browser shows when one points at it."""


class Line(msgspec.Struct, frozen=True):
    """From here to there."""

    x: float
    y: float
    to_x: float
    to_y: float
    tone: Tone
    dashed: bool = False


class Text(msgspec.Struct, frozen=True):
    """One line; y is where the letters stand."""

    x: float
    y: float
    text: str
    tone: Tone = Tone.INK
    height: float = 12
    anchor: Literal["start", "middle", "end"] = "start"
    bold: bool = False

    @property
    def width(self) -> float:
        """What it may take."""
        return words.width(self.text, self.height, bold=self.bold)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        left = self.x - {"start": 0.0, "middle": 0.5, "end": 1.0}[self.anchor] * self.width
        return left, self.y - self.height * _ABOVE_BASELINE, left + self.width, self.y + self.height * _BELOW_BASELINE


Shape = Box | Line | Text


class Drawing(msgspec.Struct, frozen=True):
    """The whole picture."""

    width: float
    height: float
    title: str
    description: str
    shapes: tuple[Shape, ...]
