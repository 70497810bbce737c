"""The tests that need no server, on every Python that is found here, against the wheel."""

import shutil
import sys
from pathlib import Path

import pytest

from fixtures.installed.interpreters import VERSIONS
from tests.house.source import ROOT
from tests.installed.installing import Installed

_OURS = f"{sys.version_info[0]}.{sys.version_info[1]}"  # on which they are run as they stand
_OTHERS = [
    pytest.param(f"newest-{version}", marks=() if version in VERSIONS[-2:] else pytest.mark.nightly)
    for version in VERSIONS
    if version != _OURS
]
"""The newest in every run, and the others in `make nightly`: each module is imported in each of them by test_commands.py."""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("installed", _OTHERS, indirect=True)
def test_the_unit_tests_pass(installed: Installed, tmp_path: Path) -> None:
    """Warnings are errors there, too."""
    for folder in ("fixtures", "tests/unit", "tests/rpc"):  # unit tests start executables as those of rpc do
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    done = installed.run(
        "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path / "tests" / "unit"
    )
    assert done.returncode == 0, done.stdout + done.stderr
