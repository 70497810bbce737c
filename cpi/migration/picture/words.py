"""Figures and texts as they stand in the picture."""

import itertools
import re
import unicodedata
from typing import Final

from cpi.kit.redaction import scrubbed

_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")
_MINUTE: Final = 60
_HOUR: Final = 3600
_STEP: Final = 1024
_WHOLE_FROM: Final = 9.95
_NONE_BELOW: Final = 0.005
_WHOLE_SECONDS_FROM: Final = 99.95
_FORBIDDEN: Final = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NARROW: Final = frozenset("ijlftr.,:;'|!()[]/- \N{NARROW NO-BREAK SPACE}")
_BROAD: Final = frozenset("mwMW%@…→")
BOLD: Final = 1.13
"""How much more bold letters take."""


def seconds(count: float) -> str:
    """0.03 s, 3.4 s, 4 min 10 s, 1 h 12 min."""
    if count < _NONE_BELOW:
        return "0 s"
    if count < _WHOLE_SECONDS_FROM:
        return f"{count:.2f} s" if count < 1 else f"{count:.1f} s"
    whole = round(count)
    if whole < 2 * _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"


def size(count: float) -> str:
    """12 bytes, 3.4 MiB, 600 GiB."""
    unit = 0
    while count >= _STEP and unit < len(_UNITS) - 1:
        count, unit = count / _STEP, unit + 1
    return f"{count:.1f} {_UNITS[unit]}" if unit and count < _WHOLE_FROM else f"{count:.0f} {_UNITS[unit]}"


def rate(count: float, during: float) -> str:
    """So many bytes a second."""
    return f"{size(count / max(during, 0.001))}/s"


def number(count: int, what: str) -> str:
    """1 file, 20 003 files; with spaces that no line is broken at."""
    return f"{count:,} {what}{'' if count == 1 else 's'}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def clean(text: str) -> str:
    """Without secrets, and without what no XML document can hold."""
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", scrubbed(text)).expandtabs()


def width(text: str, height: float, *, bold: bool = False) -> float:
    """What a line may take, in the widest of the usual fonts."""
    return sum(map(_share, text)) * height * (BOLD if bold else 1)


def _share(letter: str) -> float:
    """Of its height."""
    if letter in _NARROW:
        return 0.41
    if letter in _BROAD or unicodedata.east_asian_width(letter) in {"W", "F"}:
        return 1.0
    return 0.72 if letter.isupper() else 0.64


def wrapped(text: str, room: float, height: float, most: int) -> list[str]:
    """The lines of a text in letters of this height; what is beyond the most lines is left out, and that is shown."""
    lines = [part for line in clean(text).splitlines() for part in _broken(line.strip(), room / height)]
    if len(lines) <= most:
        return lines
    last = lines[most - 1]
    return [*lines[: most - 1], f"{last[: _fitting(last, room / height - 2)]} …"]


def _broken(line: str, room: float) -> list[str]:
    """At its spaces; a word that is longer than a line, as a CID may be, where the line ends."""
    lines: list[str] = []
    while (fitting := _fitting(line, room)) < len(line):
        at = line.rfind(" ", 1, fitting + 1)
        at = at if at > 0 else max(fitting, 1)
        lines.append(line[:at])
        line = line[at:].lstrip(" ")
    return [*lines, line] if line else lines


def _fitting(line: str, room: float) -> int:
    """How many letters of it there is room for."""
    return sum(1 for taken in itertools.accumulate(map(_share, line)) if taken <= room)
