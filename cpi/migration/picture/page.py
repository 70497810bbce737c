"""A fleet as one HTML page: a table, and a timeline of each disk. It needs nothing beside it, and no script."""

import base64
import datetime as dt
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from cpi.migration.fleet_table import FleetRow
from cpi.migration.picture import picture, words
from cpi.migration.picture.timeline import down
from cpi.migration.report import Report

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b1f24; --faint: #56606b; --paper: #fff; --card: #f2f4f7; --line: #dde1e6;
  --up: #3f9b53; --down: #c5362c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --faint: #a3adb8; --paper: #14171a; --card: #20252b;
  --line: #323940; --up: #57b46c; --down: #f0685d; } }
body { margin: 0 auto; max-width: 1280px; padding: 24px; background: var(--paper); color: var(--ink);
  font: 14px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 22px; margin: 0 0 4px; } h2 { font-size: 16px; margin: 28px 0 8px; } p { color: var(--faint); margin: 0 0 16px; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 6px 12px 6px 0; overflow-wrap: anywhere; }
th, td { border-bottom: 1px solid var(--line); }
th { color: var(--faint); font-weight: 600; white-space: nowrap; } td.figure { white-space: nowrap; }
td ul { margin: 0; padding-left: 1em; }
.bad { color: var(--down); font-weight: 600; }
.time { display: grid; grid-template-columns: minmax(90px, 240px) 1fr; gap: 4px 12px; align-items: center; }
.time span { overflow-wrap: anywhere; } .plot { position: relative; height: 12px; background: var(--card); border-radius: 3px; }
.plot i { position: absolute; top: 0; height: 12px; min-width: 2px; border-radius: 3px; background: var(--up); }
.plot i.down { background: var(--down); }
details { border-bottom: 1px solid var(--line); padding: 6px 0; } summary { cursor: pointer; overflow-wrap: anywhere; }
img { max-width: 100%; height: auto; }
"""
_HEADINGS: Final = ("disk", "size", "VM", "end", "jobs down", "in all", "compared", "notes")


def page(title: str, summary: str, rows: Sequence[FleetRow]) -> str:
    """The document."""
    body = [
        f"<h1>{_text(title)}</h1><p>{_text(summary)}</p>",
        f'<div class="scroll"><table><thead><tr>{"".join(f"<th>{name}</th>" for name in _HEADINGS)}</tr></thead><tbody>',
        *map(_row, rows),
        "</tbody></table></div>",
        *_timelines(rows),
        *_pictures(rows),
    ]
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"><title>{_text(title)}</title><style>{_STYLE}</style>'
    )
    lines = "\n".join(body)
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>\n{lines}\n</body></html>\n'


def _row(row: FleetRow) -> str:
    end = _text(row.standing if row.strategy is None else f"{row.standing} ({row.strategy.replace('_', ' ')})")
    marked = end if row.standing == "moved" else f'<span class="bad">{end}</span>'
    notes = "".join(f"<li>{_text(note)}</li>" for note in row.told)
    cells = [_text(row.disks), _text(row.sizes), _text(row.vm), marked]
    figures = [_seconds(row.jobs_down_seconds), _seconds(row.seconds)]
    told = [*(f"<td>{cell}</td>" for cell in cells), *(f'<td class="figure">{cell}</td>' for cell in figures)]
    last = f"<ul>{notes}</ul>" if notes else ""
    return f"<tr>{''.join(told)}<td>{_text(row.verified)}</td><td>{last}</td></tr>"


def _seconds(count: float | None) -> str:
    return "" if count is None else words.seconds(count)


def _timelines(rows: Sequence[FleetRow]) -> Iterator[str]:
    reports = [(row, row.report) for row in rows if row.report is not None]
    if not reports:
        return
    first = min(_began(report) for _, report in reports)
    length = max(max(_began(report) + report.seconds for _, report in reports) - first, 0.001)
    yield f'<h2>All of them in {words.seconds(length)}; red: the jobs were down</h2><div class="time">'
    for row, report in reports:
        began = _began(report) - first
        bars = _bar("", began, report.seconds, length, words.seconds(report.seconds))
        stretch = down(report)
        if stretch is not None:
            took = stretch[1] - stretch[0]
            bars += _bar("down", began + stretch[0], took, length, f"jobs down for {words.seconds(took)}")
        yield f'<span>{_text(row.disk)}</span><div class="plot">{bars}</div>'
    yield "</div>"


def _bar(kind: str, began: float, took: float, length: float, hint: str) -> str:
    place = f"left:{began / length * 100:.2f}%;width:{took / length * 100:.2f}%"
    return f'<i class="{kind}" style="{place}" title="{_text(hint)}"></i>'


def _began(report: Report) -> float:
    return dt.datetime.fromisoformat(report.began_at).timestamp()


def _pictures(rows: Sequence[FleetRow]) -> Iterator[str]:
    """Each is a document of its own, so that the styles of one are not those of another."""
    drawn = [(row, row.report) for row in rows if row.report is not None]
    if drawn:
        yield "<h2>Each of them</h2>"
    for row, report in drawn:
        data = base64.b64encode(picture(report).encode()).decode()
        image = f'<img alt="the move of {_text(row.disk)}" src="data:image/svg+xml;base64,{data}">'
        yield f"<details><summary>{_text(row.disks)}</summary>{image}</details>"


def _text(text: str) -> str:
    return escape(words.clean(text))
