"""Figures of benches are kept, and compared by their shares."""

from pathlib import Path

import pytest

from tests.bench import keeping
from tests.bench.keeping import Row, compared, keep, last_kept

_ROWS = {"live": Row({"total": 4.0}, {"total": 2.0}), "tar": Row({"total": 2.0}, {"total": 1.0})}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "_FOLDER", tmp_path)
    monkeypatch.setenv("CPI_BENCH_KEEP", "1")


def test_a_run_takes_the_place_of_the_last_one_of_its_kind_alone() -> None:
    """With the machine and the versions."""
    for kind, title in (("small", "first"), ("large", "other"), ("small", "second")):
        keep("move", kind, title, _ROWS)
    kept = last_kept("move")
    assert {kind: table.title for kind, table in kept.items()} == {"small": "second", "large": "other"}
    assert kept["small"].rows == _ROWS
    assert kept["small"].machine["processors"]
    assert set(kept["small"].versions) == {"python", "linux", "rsync", "tar", "cp"}


def test_a_share_stands_beside_the_one_that_was_kept() -> None:
    """If there is one."""
    keep("move", "small", "first", _ROWS)
    kept = last_kept("move")["small"]
    assert compared(1.5, kept, "live", "total") == "150% (was 200%)"
    assert compared(1.5, kept, "cp", "total") == compared(1.5, None, "live", "total") == "150%"


def test_nothing_is_kept_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of a bench that is run by hand changes no file."""
    monkeypatch.delenv("CPI_BENCH_KEEP")
    keep("move", "small", "first", _ROWS)
    assert last_kept("move") == {}


def test_what_is_kept_with_the_project_can_be_read() -> None:
    """Every table has the pipe of tar, with which all others are compared."""
    folder = Path(keeping.__file__).resolve().parents[2] / "docs" / "benchmarks"
    tables = [table for path in folder.glob("*.json") for table in keeping.read(path).values()]
    assert tables
    assert all(table.rows["tar"].shares["total"] == 1 for table in tables)
