"""ExternalCloud and executables that do not end: they are stopped at the deadline."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from cpi.contract import errors
from cpi.contract.ids import VmCid
from cpi.contract.units import MiB
from cpi.kit.waiting import wait_until
from cpi.rpc import child
from cpi.rpc.client import ExternalCloud
from tests.rpc.conftest import Script
from tests.rpc.executable import Executable

VM = VmCid("vm-1")


@pytest.fixture
def hour_passes(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """An hour passes for the caller each time that one of these files is made; it looks at the clock when a byte comes."""

    def once_made(*files: Path) -> None:
        clock = SimpleNamespace(monotonic=lambda: time.monotonic() + 3600 * sum(file.exists() for file in files))
        monkeypatch.setattr(child, "time", clock)

    return once_made


def test_an_executable_that_hangs_is_stopped_with_all_it_started(
    script: Script, tmp_path: Path, hour_passes: Callable[..., None]
) -> None:
    """At the deadline, whether it heeds SIGTERM or not."""
    body = f"""
import signal, subprocess
def stay(*_):
    time.sleep(1)  # its caller has to note the time before the hour passes; else it waits out the grace
    open({str(tmp_path / "told")!r}, "w").close()
    os.write(1, b" ")
signal.signal(signal.SIGTERM, stay)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open({str(tmp_path / "draft")!r}, "w").write(f"{{os.getpid()}} {{child.pid}}")
os.rename({str(tmp_path / "draft")!r}, {str(tmp_path / "pids")!r})
os.write(1, b" ")
while True:
    time.sleep(1)
    os.write(1, b" ")
"""
    hour_passes(tmp_path / "pids", tmp_path / "told")
    with pytest.raises(errors.CloudError, match="did not end has_vm and close its output within 3000 s, so it was stopped"):
        ExternalCloud([script(body)], deadline_seconds=3000, grace_seconds=60).has_vm(VM)
    assert (tmp_path / "told").exists()
    for pid in map(int, (tmp_path / "pids").read_text().split()):
        wait_until(lambda pid=pid: _is_dead(pid), f"the end of {pid}", deadline_seconds=60)  # type: ignore[misc]  # the default binds pid


def _is_dead(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_an_executable_that_heeds_sigterm_has_time_to_undo(executable: Executable, hour_passes: Callable[..., None]) -> None:
    """It is asked to stop before it is killed."""
    executable.configure(misbehave={"create_disk": "wait"})
    hour_passes(executable.folder / "waiting")
    with pytest.raises(errors.CloudError, match=r"so it was stopped: .*interrupted by SIGTERM"):
        ExternalCloud(executable.command, deadline_seconds=3000, grace_seconds=60).create_disk(MiB(1), {})
    assert (executable.folder / "waiting").exists()
    assert not (executable.folder / "thing").exists()


def test_a_process_left_behind_that_keeps_the_pipe_is_late(
    script: Script, tmp_path: Path, hour_passes: Callable[..., None]
) -> None:
    """The director would wait for it for ever; it is not ours to kill when it went into a session of its own."""
    body = f"""
import subprocess
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
open({str(tmp_path / "pid")!r}, "w").write(str(child.pid))
answer(True)
"""
    hour_passes(tmp_path / "pid")
    try:
        with pytest.raises(errors.CloudError, match="close its output within 3000 s"):
            ExternalCloud([script(body)], deadline_seconds=3000, grace_seconds=5).has_vm(VM)
    finally:
        os.kill(int((tmp_path / "pid").read_text()), 9)
