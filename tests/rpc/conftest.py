"""The executable with a driver from outside the repository, found by a real entry point."""

from pathlib import Path

import pytest

from tests.rpc.executable import Executable


@pytest.fixture
def executable(tmp_path: Path) -> Executable:
    """The executable, its configuration and the folder of its driver."""
    return Executable.in_folder(tmp_path)


@pytest.fixture
def installed(executable: Executable, monkeypatch: pytest.MonkeyPatch) -> Executable:
    """The same, with the driver found in this process too."""
    monkeypatch.syspath_prepend(executable.plugins)
    return executable
