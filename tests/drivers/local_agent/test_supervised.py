"""The pauses between the runs of a job, with shorter times than a VM has."""

import asyncio
import logging
import re
from pathlib import Path

import psutil
import pytest

from drivers.local.agent import supervised
from drivers.local.agent.jobs import Job
from drivers.local.agent.layout import VmFolder
from drivers.local.agent.supervised import Supervised
from tests.drivers.local_agent.vm import lives


def _pauses(vm: VmFolder, script: str, seconds: float, caplog: pytest.LogCaptureFixture) -> list[float]:
    """The pauses the log tells of when the script is kept running for so long."""

    async def keep() -> None:
        one = Supervised(Job("job", ("sh", "-c", script), stop_grace_seconds=1), vm, {})
        one.keep(dict[str, Supervised]().__getitem__)
        await asyncio.sleep(seconds)
        await one.stop()
        assert one.state == "stopped"

    with caplog.at_level(logging.WARNING):
        asyncio.run(keep())
    return [float(text) for text in re.findall(r"started again in (\S+) s", caplog.text)]


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
    """Two bad runs, then good ones: the pause of the first good one is the first pause."""
    monkeypatch.setattr(supervised, "GOOD_RUN_SECONDS", 0.4)
    script = f"echo x >> {folder.path}/runs; [ $(wc -l < {folder.path}/runs) -lt 3 ] || sleep 0.6"
    assert _pauses(folder, script, 4, caplog)[:3] == [0.1, 0.2, 0.1]


def test_the_pauses_have_an_end(folder: VmFolder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it dies, the pause is at most the longest."""
    monkeypatch.setattr(supervised, "LONGEST_PAUSE_SECONDS", 0.15)
    assert set(_pauses(folder, "exit 1", 3, caplog)) == {0.1, 0.15}


def test_stopping_leaves_no_process(folder: VmFolder, caplog: pytest.LogCaptureFixture) -> None:
    """Also of a job that just starts a child and waits."""
    _pauses(folder, f"sleep 75 & echo $! > {folder.path}/pid; wait", 0.6, caplog)
    pid = int((folder.path / "pid").read_text())
    assert not psutil.pid_exists(pid) or not lives(psutil.Process(pid))
