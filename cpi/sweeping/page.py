"""Leftovers as one HTML page. It needs nothing beside it, and no script."""

import datetime as dt
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from cpi.kit.redaction import scrubbed
from cpi.sweeping.known import DEPLOYMENT
from cpi.sweeping.leftovers import Judged, director_of

HEADINGS: Final = ("kind", "id", "name", "age", "director", "deployment", "size", "attached to", "kept because")
_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b1f24; --faint: #56606b; --paper: #fff; --line: #dde1e6; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --faint: #a3adb8; --paper: #14171a; --line: #323940;
  --bad: #f0685d; } }
body { margin: 0 auto; max-width: 1280px; padding: 24px; background: var(--paper); color: var(--ink);
  font: 14px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 22px; margin: 0 0 4px; } p { color: var(--faint); margin: 0 0 16px; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 6px 12px 6px 0; border-bottom: 1px solid var(--line); }
td { overflow-wrap: anywhere; min-width: 5em; } th { color: var(--faint); font-weight: 600; white-space: nowrap; }
tr.left td:first-child { color: var(--bad); font-weight: 600; }
"""
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_FORBIDDEN: Final = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127), "\N{REPLACEMENT CHARACTER}")


def page(title: str, summary: str, found: Iterable[Judged], now: dt.datetime) -> str:
    """The document: a row for each resource that is left over or may be."""
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><title>{_text(title)}</title><style>{_STYLE}</style>'
    )
    headings = "".join(f"<th>{name}</th>" for name in HEADINGS)
    rows = "\n".join(_row(one, now) for one in found)
    table = f'<div class="scroll"><table><thead><tr>{headings}</tr></thead><tbody>\n{rows}\n</tbody></table></div>'
    body = f"<h1>{_text(title)}</h1><p>{_text(summary)}</p>{table}"
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>\n{body}\n</body></html>\n'


def cells(one: Judged, now: dt.datetime) -> Sequence[str]:
    """What is shown of a resource, under HEADINGS."""
    resource = one.resource
    return (
        resource.kind,
        resource.id,
        resource.name,
        age(resource.created, now),
        director_of(resource),
        resource.tags.get(DEPLOYMENT, ""),
        resource.description,
        resource.attached_to,
        one.kept,
    )


def age(created: dt.datetime | None, now: dt.datetime) -> str:
    """In days or hours."""
    if created is None:
        return "unknown"
    hours = max(int((now - created).total_seconds()) // 3600, 0)
    return f"{hours // 24}d" if hours >= 48 else f"{hours}h"  # noqa: PLR2004 - two days


def _row(one: Judged, now: dt.datetime) -> str:
    shown = "".join(f"<td>{_text(cell)}</td>" for cell in cells(one, now))
    return f'<tr class="{"left" if one.is_left_over else "kept"}">{shown}</tr>'


def _text(text: str) -> str:
    return escape(scrubbed(text).translate(_FORBIDDEN))
