"""The pauses between the runs of a job, with shorter times than a VM has."""

import asyncio
import logging
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from cpi_drivers.local.agent import supervised
from cpi_drivers.local.agent.jobs import Job
from cpi_drivers.local.agent.layout import VmFolder
from cpi_drivers.local.agent.supervised import Supervised
from tests.drivers.local_agent.vm import lives


def _keep(vm: VmFolder, script: str, is_enough: Callable[[], bool]) -> None:
    """Keeps the script running until it is enough, then stops it."""

    async def keep() -> None:
        one = Supervised(Job("job", ("sh", "-c", script), stop_grace_seconds=60), vm, {})
        one.keep(dict[str, Supervised]().__getitem__)
        async with asyncio.timeout(60):
            while not is_enough():  # noqa: ASYNC110 - what is waited for lies in files and in the log
                await asyncio.sleep(0.02)
        await one.stop()
        assert one.state == "stopped"

    asyncio.run(keep())


def _pauses(vm: VmFolder, script: str, count: int, caplog: pytest.LogCaptureFixture) -> list[float]:
    """The first pauses of a script that is kept running, as the log tells of them."""

    def told() -> list[float]:
        return [float(text) for text in re.findall(r"started again in (\S+) s", caplog.text)][:count]

    with caplog.at_level(logging.WARNING):
        _keep(vm, script, lambda: len(told()) == count)
    return told()


@pytest.fixture
def folder(tmp_path: Path) -> VmFolder:
    """A VM's folder without a VM."""
    (tmp_path / "root").mkdir()
    vm = VmFolder(tmp_path)
    vm.prepare()
    return vm


def test_a_good_run_makes_the_next_pause_short_again(
    folder: VmFolder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two bad runs, then a good one, by a clock that the script itself moves on."""
    clock = folder.path / "clock"
    clock.write_text("0")
    monkeypatch.setattr(supervised, "time", SimpleNamespace(monotonic=lambda: float(clock.read_text())))
    script = f"echo x >> {folder.path}/runs; [ $(wc -l < {folder.path}/runs) -lt 3 ] || printf 10.5 1<>{clock}"
    assert _pauses(folder, script, 3, caplog) == [0.1, 0.2, 0.1]


def test_the_pauses_have_an_end(folder: VmFolder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it dies, the pause is at most the longest."""
    monkeypatch.setattr(supervised, "LONGEST_PAUSE_SECONDS", 0.15)
    assert _pauses(folder, "exit 1", 4, caplog) == [0.1, 0.15, 0.15, 0.15]


def test_stopping_leaves_no_process(folder: VmFolder) -> None:
    """Also of a job that just starts a child and waits."""
    noted = folder.path / "pid"
    _keep(folder, f"sleep 75 & echo $! > {noted}; wait", lambda: noted.exists() and noted.read_text() != "")
    pid = int((folder.path / "pid").read_text())
    assert not psutil.pid_exists(pid) or not lives(psutil.Process(pid))
