"""Shapes written down as SVG: no scripts, no fonts or files from elsewhere, readable on light and on dark."""

from collections.abc import Mapping
from typing import Final
from xml.etree import ElementTree as ET

from cpi.migration.picture.shapes import Box, Drawing, Line, Shape, Text, Tone

_SVG: Final = "http://www.w3.org/2000/svg"
_FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
_COLOURS: Final[Mapping[Tone, tuple[str, str]]] = {
    Tone.PAPER: ("#ffffff", "#14171a"),
    Tone.CARD: ("#f2f4f7", "#20252b"),
    Tone.INK: ("#1b1f24", "#e8eaed"),
    Tone.FAINT: ("#56606b", "#a3adb8"),
    Tone.GRID: ("#dde1e6", "#323940"),
    Tone.STEP: ("#3f74b5", "#6fa4e0"),
    Tone.PASS: ("#86b2e2", "#45719f"),
    Tone.CHECK: ("#2f9385", "#4cb3a4"),
    Tone.PLANNING: ("#8a94a0", "#7d8791"),
    Tone.UP: ("#3f9b53", "#57b46c"),
    Tone.DOWN: ("#c5362c", "#f0685d"),
    Tone.DOWN_BAND: ("#fbe3e1", "#40201f"),
    Tone.FAILED: ("#c5362c", "#f0685d"),
    Tone.UNDOING: ("#c98a16", "#e2a53c"),
    Tone.GAP: ("#8a94a0", "#7d8791"),
    Tone.ON_COLOUR: ("#ffffff", "#14171a"),
}


def drawn(drawing: Drawing) -> str:
    """The document."""
    ET.register_namespace("", _SVG)
    size = {"width": _number(drawing.width), "height": _number(drawing.height)}
    view = f"0 0 {size['width']} {size['height']}"
    top = ET.Element(f"{{{_SVG}}}svg", {**size, "viewBox": view, "role": "img", "font-family": _FONT})
    _child(top, "title", text=drawing.title)
    _child(top, "desc", text=drawing.description)
    _child(top, "style", text=_dark())
    for shape in drawing.shapes:
        _draw(top, shape)
    ET.indent(top, " ")
    return ET.tostring(top, encoding="unicode") + "\n"


def _dark() -> str:
    """The light colours are attributes, so that they hold where styles are taken out of pictures."""
    rules = "".join(f".{tone.value}{{fill:{dark}}}.{tone.value}-line{{stroke:{dark}}}" for tone, (_, dark) in _COLOURS.items())
    return f"@media (prefers-color-scheme: dark){{{rules}}}"


def _draw(top: ET.Element, shape: Shape) -> None:
    if isinstance(shape, Box):
        _draw_box(top, shape)
    elif isinstance(shape, Line):
        ends = {"x1": shape.x, "y1": shape.y, "x2": shape.to_x, "y2": shape.to_y}
        _child(top, "line", {**_numbers(ends), **_stroke(shape.tone, dashed=shape.dashed)})
    else:
        _draw_text(top, shape)


def _draw_box(top: ET.Element, box: Box) -> None:
    place = _numbers({"x": box.x, "y": box.y, "width": box.width, "height": box.height, "rx": box.radius})
    colour = {"fill": "none", **_stroke(box.tone, dashed=True)} if box.outlined else _fill(box.tone)
    made = _child(top, "rect", {**place, **colour})
    if box.hint:
        _child(made, "title", text=box.hint)


def _draw_text(top: ET.Element, text: Text) -> None:
    place = {**_numbers({"x": text.x, "y": text.y}), "font-size": _number(text.height), **_fill(text.tone)}
    if text.anchor != "start":
        place["text-anchor"] = text.anchor
    if text.bold:
        place["font-weight"] = "600"
    _child(top, "text", place, text.text)


def _fill(tone: Tone) -> dict[str, str]:
    return {"class": tone.value, "fill": _COLOURS[tone][0]}


def _stroke(tone: Tone, *, dashed: bool) -> dict[str, str]:
    dashes = {"stroke-dasharray": "4 3"} if dashed else {}
    return {"class": f"{tone.value}-line", "stroke": _COLOURS[tone][0], **dashes}


def _child(parent: ET.Element, tag: str, attributes: Mapping[str, str] | None = None, text: str | None = None) -> ET.Element:
    made = ET.SubElement(parent, f"{{{_SVG}}}{tag}", dict(attributes or {}))
    made.text = text
    return made


def _numbers(values: Mapping[str, float]) -> dict[str, str]:
    return {name: _number(value) for name, value in values.items() if value or name != "rx"}


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
