"""What a bench has measured, kept in docs/benchmarks with the machine's kind and the versions, and compared with what was kept.

Seconds of two machines, or of one machine on two days, are not compared: only the shares of what was measured beside in one run.
"""

import datetime as dt
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from cpi.contract.encoding import from_json

_FOLDER: Final = Path(__file__).resolve().parents[2] / "docs" / "benchmarks"
_PROGRAMS: Final = ("rsync", "tar", "cp")


class Row(msgspec.Struct, frozen=True):
    """One way of doing it."""

    figures: dict[str, float]
    shares: dict[str, float]
    """Of the same figure of what was measured beside it."""


class Table(msgspec.Struct, frozen=True):
    """One run."""

    at: str
    title: str
    machine: dict[str, str | float]
    versions: dict[str, str]
    rows: dict[str, Row]


def last_kept(bench: str) -> dict[str, Table]:
    """By the kind of data; empty if nothing was kept."""
    path = _FOLDER / f"{bench}.json"
    return read(path) if path.exists() else {}


def read(path: Path) -> dict[str, Table]:
    """The tables of a file that was kept."""
    return from_json(path.read_bytes(), dict[str, Table])


def keep(bench: str, kind: str, title: str, rows: Mapping[str, Row]) -> None:
    """In the place of the last run of this kind, if CPI_BENCH_KEEP is set, as `make bench` does."""
    if not os.environ.get("CPI_BENCH_KEEP"):
        return
    now = dt.datetime.now(dt.UTC).isoformat(timespec="minutes")
    tables = {**last_kept(bench), kind: Table(now, title, _machine(), _versions(), dict(rows))}
    _FOLDER.mkdir(parents=True, exist_ok=True)
    document = msgspec.json.format(msgspec.json.encode(tables, order="sorted"), indent=2)
    (_FOLDER / f"{bench}.json").write_bytes(document + b"\n")


def compared(share: float, kept: Table | None, row: str, name: str) -> str:
    """A share, with the one that was kept behind it."""
    then = kept.rows[row].shares.get(name) if kept is not None and row in kept.rows else None
    return f"{share:.0%}" if then is None else f"{share:.0%} (was {then:.0%})"


def _machine() -> dict[str, str | float]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return {
        "processors": os.cpu_count() or 0,
        "model": model[1] if model else platform.machine(),
        "memory_gib": round(memory, 1),
        "load": round(os.getloadavg()[0], 1),
    }


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "linux": platform.release().partition("-")[0]}
    for name in _PROGRAMS:
        said = subprocess.run([name, "--version"], capture_output=True, check=False, text=True).stdout
        number = re.search(r"\d+(?:\.\d+)+", said)
        found[name] = number[0] if number else "unknown"
    return found
