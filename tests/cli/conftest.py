"""What the tests of the commands share: the executable, and a local cloud of the test's own."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration of a local cloud on folders."""
    path = tmp_path / "cpi.json"
    local = {"root": str(tmp_path / "cloud"), "disk_backing": "folder"}
    path.write_text(json.dumps({"cloud": {"plugin": "local", "properties": {"local": local}}}), encoding="utf-8")
    return path


@pytest.fixture
def cpi(tmp_path: Path) -> Command:
    """Runs the executable with arguments, away from any terminal and any configuration."""

    def run(*arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
        command = [str(Path(sys.executable).with_name("cpi")), *map(str, arguments)]
        variables = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(tmp_path), "COLUMNS": "200", **environment}
        return subprocess.run(
            command,
            env=variables,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            check=False,
            capture_output=True,
            text=True,
            timeout=25,
        )

    return run
