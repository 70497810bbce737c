"""What the tests of the commands share: the executable, and a local cloud of the test's own."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.local_cloud import local_config_file

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration of a local cloud on folders."""
    return local_config_file(tmp_path)


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
            timeout=120,
        )

    return run
