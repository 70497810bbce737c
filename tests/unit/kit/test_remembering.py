"""Answers that one process leaves for the next."""

import time
from pathlib import Path

import pytest

from cpi.kit import private_files
from cpi.kit.remembering import Remembered


def test_an_answer_is_asked_for_once_by_many_processes(tmp_path: Path) -> None:
    """Each by its name."""
    assert Remembered(tmp_path / "ids").get("zone", lambda: "z-1") == "z-1"
    assert Remembered(tmp_path / "ids").get("network", lambda: "n-1") == "n-1"
    assert Remembered(tmp_path / "ids").get("zone", lambda: "another") == "z-1"
    assert Remembered(tmp_path / "ids").get("network", lambda: "another") == "n-1"
    assert Remembered(tmp_path / "others").get("zone", lambda: "another") == "another"


@pytest.mark.parametrize("age", [3601, -60], ids=["an hour ago", "by a clock that was wrong"])
def test_what_is_too_old_is_asked_for_anew(tmp_path: Path, age: float) -> None:
    """And remembered in its place."""
    private_files.keep(tmp_path / "ids", {"zone": (time.time() - age, "old")})
    assert Remembered(tmp_path / "ids").get("zone", lambda: "new") == "new"
    assert Remembered(tmp_path / "ids").get("zone", lambda: "newer") == "new"


@pytest.mark.parametrize("content", [["zone"], {"zone": "z-1"}, {"zone": ["long ago", "z-1"]}, {"zone": None}])
def test_what_was_written_otherwise_is_asked_for_anew(tmp_path: Path, content: object) -> None:
    """By another version of the driver, say."""
    private_files.keep(tmp_path / "ids", content)
    assert Remembered(tmp_path / "ids").get("zone", lambda: "new") == "new"
