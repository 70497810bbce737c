"""The picture of a move: what it tells, where it stands, and the document."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpi.contract.encoding import from_plain
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.units import MiB
from cpi.migration.picture import picture, words
from cpi.migration.picture.layout import laid_out
from cpi.migration.picture.panel import tick_words, ticks
from cpi.migration.picture.shapes import Box, Drawing, Text
from cpi.migration.picture.timeline import Ending, Kind, Row, down, ending, rows, swapped_at
from cpi.migration.report import Event, EventKind, Pass, Report, StepTime, Strategy
from cpi.migration.steps import STEPS

_RECORDED = Path(__file__).parents[3] / "fixtures" / "moves"
_SVG = "{http://www.w3.org/2000/svg}"


def _recorded(name: str) -> Report:
    return from_plain(json.loads((_RECORDED / f"{name}.json").read_text(encoding="utf-8")), Report)


def _made(**more: Any) -> Report:
    told: dict[str, Any] = {
        "move_id": "m1",
        "strategy": Strategy.COPY,
        "reason": "asked for",
        "vm_cid": VmCid("vm-1"),
        "old_disk_cid": DiskCid("disk-1"),
        "disk_cid": DiskCid("disk-1"),
        "size": MiB(64),
        "began_at": "2026-01-02T03:04:05.678+00:00",
        "seconds": 10.0,
        "jobs_down_seconds": 0.0,
    }
    return Report(**told | more)


def _labels(report: Report, kind: Kind) -> list[str]:
    return [row.label for row in rows(report) if row.kind is kind]


def test_a_live_move_tells_its_passes_within_their_steps() -> None:
    """And what was compared before them; nothing sticks out of the move."""
    report = _recorded("live")
    told = {row.label: row for row in rows(report)}
    copying = told["copy the data while the jobs run"]
    assert _labels(report, Kind.PASS)[:2] == ["pass 1: everything", "pass 2: what had changed"]
    assert copying.began <= told["pass 1: everything"].began <= told["pass 2: what had changed"].ended <= copying.ended + 0.01
    assert told["everything read and compared"].ended == pytest.approx(told["pass 3: what had changed"].began)
    assert "files" in told["copy what changed last"].detail
    assert all(0 <= row.began <= row.ended <= report.seconds + 0.01 for row in rows(report))
    assert ending(report) is Ending.MOVED


def test_the_jobs_are_down_from_stop_to_start() -> None:
    """As the report's own figure says; the swap lies between."""
    report = _recorded("live")
    span, swapped = down(report), swapped_at(report)
    assert span is not None
    assert swapped is not None
    assert span[1] - span[0] == pytest.approx(report.jobs_down_seconds)
    assert span[0] < swapped < span[1] <= report.seconds + 0.01


def test_a_failed_move_tells_what_failed_and_what_was_undone() -> None:
    """The step in red, its words in the head, the undoing after it."""
    report = _recorded("failed")
    assert ending(report) is Ending.UNDONE
    assert _labels(report, Kind.FAILED) == ["copy what changed last"]
    assert _labels(report, Kind.UNDOING) == [
        "undo: start the jobs on the old disk", "undo: detach the new disk", "undo: delete the new disk",
    ]  # fmt: skip
    words_of_it = " ".join(text.text for text in _texts(laid_out(report)))
    assert 'write failed on "/var/vcap/store_migration_target/<db>&.ibd"' in words_of_it
    assert "still the one in use" in words_of_it


def test_the_time_without_a_process_is_told() -> None:
    """Of a move that another process went on with."""
    report = _recorded("resumed")
    (gap,) = (row for row in rows(report) if row.kind is Kind.GAP)
    assert gap.seconds > 7
    assert ending(report) is Ending.MOVED


def test_a_change_in_place_is_no_swap() -> None:
    """One disk, two sizes."""
    texts = [text.text for text in _texts(laid_out(_recorded("resize")))]
    assert any(text.startswith("changed at") for text in texts)
    assert any("800 MiB, now 1000 MiB" in text for text in texts)


def test_how_a_move_ended_is_told_from_its_steps() -> None:
    """Whatever the report does not say in so many words."""
    stop, create = StepTime("stop_jobs", 1, 1), StepTime("create_disk", 2, 1, fault="no room")
    undo = StepTime("stop_jobs", 3, 1, undone=True)
    assert ending(_made(strategy=Strategy.NOTHING)) is Ending.NOTHING
    assert ending(_made(steps=(stop, create, undo))) is Ending.UNDONE
    assert ending(_made(steps=(stop, create, StepTime("stop_jobs", 3, 1, undone=True, fault="dead")))) is Ending.NOT_UNDONE
    swap = StepTime("copy_data", 2, 1)
    started, not_started = StepTime("start_jobs", 3, 1), StepTime("start_jobs", 3, 1, fault="dead")
    assert ending(_made(steps=(stop, swap, not_started))) is Ending.UNFINISHED
    assert ending(_made(steps=(stop, swap, not_started, started))) is Ending.MOVED
    refused, fell_back = StepTime("resize_disk", 2, 1, fault="no"), Event(EventKind.FELL_BACK, "", "copy", 3)
    assert ending(_made(steps=(stop, refused, swap, started), events=(fell_back,))) is Ending.MOVED


def test_jobs_that_were_stopped_before_are_not_shown_as_running() -> None:
    """Nor as down for the move's sake."""
    steps = (StepTime("stop_jobs", 0, 1), StepTime("copy_data", 1, 8), StepTime("start_jobs", 9, 1))
    report = _made(steps=steps, jobs_run=False, jobs_down_seconds=10.0)
    assert down(report) is None
    assert "left so" in " ".join(text.text for text in _texts(laid_out(report)))


def _texts(drawing: Drawing) -> list[Text]:
    return [shape for shape in drawing.shapes if isinstance(shape, Text)]


def _overlapping(texts: list[Text]) -> Iterator[tuple[str, str]]:
    for number, one in enumerate(texts):
        left, top, right, bottom = one.bounds
        for other in texts[number + 1 :]:
            its_left, its_top, its_right, its_bottom = other.bounds
            if left < its_right and its_left < right and top < its_bottom and its_top < bottom:
                yield one.text, other.text


_moments = st.floats(0, 1e6, allow_nan=False) | st.floats(0, 1e-3)
_names = st.sampled_from([*STEPS, "a_step_of_tomorrow"])
_words = st.text(max_size=300)


@st.composite
def _reports(draw: st.DrawFn) -> Report:
    steps: list[StepTime] = []
    moment = draw(_moments)
    for _ in range(draw(st.integers(0, 6))):
        took = draw(_moments)
        steps.append(StepTime(draw(_names), moment, took, draw(st.booleans()), draw(st.just("") | _words)))
        moment += took + draw(st.just(0.0) | _moments)
    passes = [
        Pass(n, draw(_moments), draw(st.integers(0, 2**50)), 9, step="copy_live") for n in range(1, draw(st.integers(1, 9)))
    ]
    events = [Event(draw(st.sampled_from(EventKind)), "", draw(_words), draw(_moments)) for _ in range(draw(st.integers(0, 3)))]
    return _made(
        strategy=draw(st.sampled_from(Strategy)),
        move_id=draw(_words),
        vm_cid=draw(_words),
        disk_cid=draw(_words),
        reason=draw(_words),
        seconds=moment,
        jobs_down_seconds=draw(_moments),
        steps=tuple(steps),
        passes=tuple(passes),
        events=tuple(events),
        notes=tuple(draw(st.lists(_words, max_size=3))),
        jobs_run=draw(st.booleans()),
        planning_seconds=draw(_moments),
        expected_down_seconds=draw(st.none() | _moments),
        verified_bytes=draw(st.none() | st.integers(0, 2**60)),
    )


@settings(deadline=None, max_examples=60)
@given(_reports())
def test_no_two_texts_meet_and_nothing_leaves_the_paper(report: Report) -> None:
    """However short or long the steps, and whatever the words; the document is XML that says the same."""
    drawing = laid_out(report)
    assert list(_overlapping(_texts(drawing))) == []
    for shape in drawing.shapes:
        bounds = shape.bounds if isinstance(shape, Text) else _corners(shape)
        assert 0 <= bounds[0] <= bounds[2] <= drawing.width + 0.01
        assert 0 <= bounds[1] <= bounds[3] <= drawing.height + 0.01
    top = ET.fromstring(picture(report))  # noqa: S314 - our own document
    assert [element.text or "" for element in top.iter(f"{_SVG}text")] == [text.text for text in _texts(drawing)]


def _corners(shape: Any) -> tuple[float, float, float, float]:
    if isinstance(shape, Box):
        return shape.x, shape.y, shape.x + shape.width, shape.y + shape.height
    return shape.x, shape.y, shape.to_x, shape.to_y


@pytest.mark.parametrize("name", ["live", "copy", "resize", "failed", "resumed"])
def test_the_document_needs_nothing_beside_it(name: str) -> None:
    """Shapes, words and one style; no script, no link, no font, nothing that is fetched."""
    document = picture(_recorded(name))
    top = ET.fromstring(document)  # noqa: S314 - our own document
    assert {element.tag.removeprefix(_SVG) for element in top.iter()} == {"svg", "title", "desc", "style", "rect", "line", "text"}
    assert not re.search(r"href|url\(|@import|@font-face|<script|\bon\w+=", document)
    assert document.count("http") == 1


def test_texts_from_elsewhere_are_escaped_and_keep_their_secrets() -> None:
    """Nor does a letter that XML does not know break the document."""
    hostile = "</text><script>alert(1)</script>\x1b[31m https://user:hunter-2222@host/ ]]>"
    document = picture(_made(reason=hostile, notes=(hostile,), move_id=hostile))
    top = ET.fromstring(document)  # noqa: S314 - our own document
    assert not list(top.iter(f"{_SVG}script"))
    assert "hunter-2222" not in document


@pytest.mark.parametrize(
    ("count", "told"),
    [(0, "0 s"), (0.034, "0.03 s"), (3.42, "3.4 s"), (62.5, "62.5 s"), (119, "119 s"), (250, "4 min 10 s"), (4320, "1 h 12 min")],
)
def test_seconds_are_told_as_people_say_them(count: float, told: str) -> None:
    """Finer the fewer they are."""
    assert words.seconds(count) == told


@pytest.mark.parametrize("length", [0, 1e-6, 0.0004, 0.7, 3, 59, 61, 3599, 100_000, 5e6, 1e9])
def test_ticks_are_few_and_different(length: float) -> None:
    """Each within the stretch, and none told like another."""
    told = ticks(length)
    assert 1 <= len(told) <= 9
    assert all(0 <= moment <= length * 1.001 for moment in told)
    assert len({tick_words(moment) for moment in told}) == len(told)


def test_long_words_are_broken_and_long_texts_cut() -> None:
    """And one sees that they are."""
    lines = words.wrapped("x" * 500, 100, 12, 2)
    assert len(lines) == 2
    assert lines[-1].endswith("…")
    assert all(words.width(line, 12) <= 100 for line in lines)


def test_a_row_knows_its_end() -> None:
    """Which is what bars are drawn from."""
    assert Row(Kind.STEP, "x", 1, 2).ended == 3
