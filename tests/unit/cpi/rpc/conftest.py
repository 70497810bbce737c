"""The executable with a driver from outside the repository, found by a real entry point."""

from pathlib import Path

import pytest

from tests.unit.cpi.rpc.bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """The executable, its configuration and the folder of its driver."""
    return Bench.in_folder(tmp_path)


@pytest.fixture
def installed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The same, with the driver found in this process too."""
    monkeypatch.syspath_prepend(bench.plugins)
    return bench
