"""The session and the program in the README run, and show what the README says; so does the director of docs/director.md."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.house.source import ROOT

_README = (ROOT / "README.md").read_text(encoding="utf-8")


def _blocks(language: str, text: str = _README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def _run(command: list[str], folder: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(command, cwd=folder, env={**os.environ, "PATH": path}, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _pattern(shown: str) -> re.Pattern[str]:
    """What is shown, with … for anything."""
    return re.compile(".*".join(map(re.escape, shown.split("…"))), re.DOTALL)


def test_the_session_runs_as_shown(tmp_path: Path) -> None:
    """Every command succeeds and prints what stands under it; then the program runs on the same cloud."""
    (session,) = _blocks("console")
    commands = re.findall(r"^\$ (.*)$", session, re.MULTILINE)
    shown = re.sub(r"^\$ .*\n", "", session, flags=re.MULTILINE)
    (tmp_path / "session").write_text("set -e\n" + "\n".join(commands), encoding="utf-8")
    printed = _run(["bash", "session"], tmp_path)
    assert _pattern(shown.strip()).fullmatch(printed.strip()), printed
    (program,) = _blocks("python")
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    assert "can" in _run([sys.executable, "program.py"], tmp_path)


def test_the_small_director_runs_as_shown(tmp_path: Path) -> None:
    """It makes an instance, grows its disk, loses its VM, makes another, and removes all."""
    page = (ROOT / "docs/director.md").read_text(encoding="utf-8")
    program = _blocks("python", page)[0]
    assert len([line for line in program.splitlines() if line.strip()]) <= 60
    (tmp_path / "director.py").write_text(program, encoding="utf-8")
    printed = _run([sys.executable, "director.py"], tmp_path)
    shown = "the disk has 96 MiB; the job was down for … s\nthe VM is another one, with the same disk: True"
    assert _pattern(shown).fullmatch(printed.strip()), printed
