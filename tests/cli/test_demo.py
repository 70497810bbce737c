"""The demonstration, as people start it."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from cpi.cli.demo_screen import show
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.units import MiB
from cpi.demo.acts import Outcome, Scene
from cpi.kit.waiting import wait_until
from cpi.migration import Report, Strategy
from tests.cli.conftest import Command

_DEMO = [str(Path(sys.executable).with_name("cpi")), "demo", "--json", "--root"]
_SECONDS = 120


def _processes_of(folder: Path) -> list[str]:
    """The command lines that name the folder."""
    found: list[str] = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if str(folder) in line and process.pid != os.getpid():
            found.append(line)
    return found


def _loop_devices_of(folder: Path) -> list[str]:
    found: list[str] = []
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):  # another's, that was let go of at this moment
            found.append(backing.read_text(encoding="utf-8"))
    return [line for line in found if str(folder) in line]


def _nothing_is_left(folder: Path) -> bool:
    return not folder.exists() and not _processes_of(folder) and not _loop_devices_of(folder)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the demonstration lies; cleared whatever the test does."""
    folder = tmp_path / "demo"
    yield folder
    if (folder / "cpi.json").exists():
        subprocess.run([*_DEMO[:2], "--end", folder], check=True, timeout=_SECONDS)


@pytest.mark.slow
def test_no_row_is_lost_and_what_is_kept_can_be_looked_at_and_ended(folder: Path, cpi: Command) -> None:
    """The figures are one document; the disk moved twice; the hints are true."""
    done = subprocess.run([*_DEMO, folder, "--keep"], check=False, capture_output=True, text=True, timeout=_SECONDS)
    assert done.returncode == 0, done.stderr
    _check_figures(json.loads(done.stdout))
    assert f"demo --end {folder}" in done.stderr
    (vm_dir,) = (folder / "cloud" / "vms").iterdir()
    (disk_cid,) = json.loads(cpi("call", "get_disks", vm_dir.name, "--config", folder / "cpi.json").stdout)
    assert (folder / "cloud" / "disks" / disk_cid).exists()
    assert cpi("demo", "--end", folder).returncode == 0
    assert _nothing_is_left(folder)


def _check_figures(figures: dict[str, Any]) -> None:
    assert figures["rows_lost"] == 0
    assert figures["rows_acknowledged"] > 0
    stopped, live = figures["moves"]
    assert (stopped["strategy"], live["strategy"]) == ("copy", "live_copy"), live["reason"]
    assert live["compared_bytes"] >= 256 << 20
    assert live["rows_acknowledged_meanwhile"] > 0
    for move in figures["moves"]:
        assert move["bytes"] >= 256 << 20
        assert 0 < move["jobs_down_seconds"] <= move["seconds"]
        assert move["client_waited_seconds"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_leaves_nothing(folder: Path, number: signal.Signals) -> None:
    """While a disk is being filled, with a VM running."""
    demo = subprocess.Popen([*_DEMO, folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: any((folder / "cloud" / "disks").glob("*")), "a disk", deadline_seconds=_SECONDS)
        demo.send_signal(number)
        out, err = demo.communicate(timeout=_SECONDS)
    finally:
        demo.kill()
    assert (demo.returncode, out) == (130, "")
    assert number.name in err
    assert "Traceback" not in err
    assert _nothing_is_left(folder)


def _scene(strategy: Strategy, reason: str, down: float) -> Scene:
    disk = DiskCid("disk-1")
    report = Report("m", strategy, reason, VmCid("vm"), disk, disk, MiB(64), "2026-01-02T03:04:05Z", 9.0, down)
    return Scene("move it", 9.5, down, 7, 2**20, report)


def test_both_ways_are_shown_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    """How long the job was down with each."""
    scenes = (_scene(Strategy.COPY, "asked for", 8.0), _scene(Strategy.LIVE_COPY, "the guest can", 1.2))
    show(Outcome(scenes, 100, 0))
    shown = capsys.readouterr().out
    assert re.search(r"the two moves +copy +live copy\n", shown)
    assert re.search(r"jobs down +8\.0 s +1\.2 s\n", shown)
    assert "nothing was moved live" not in shown


@pytest.mark.nightly
@pytest.mark.root
def test_the_job_goes_to_a_second_cloud_and_no_row_is_lost(folder: Path) -> None:
    """The figures are one document, and nothing is left on either cloud."""
    done = subprocess.run([*_DEMO, folder, "--between-clouds"], check=False, capture_output=True, text=True, timeout=_SECONDS)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    (move,) = figures["moves"]
    assert (figures["rows_lost"], move["strategy"]) == (0, "between_clouds")
    assert move["new_vm"]
    assert move["compared_bytes"] >= 256 << 20
    assert move["rows_acknowledged_meanwhile"] > 0
    assert _nothing_is_left(folder)


def test_a_move_to_another_cloud_is_shown_with_the_way_back(capsys: pytest.CaptureFixture[str]) -> None:
    """Both VMs, both disks, and until when the old ones are kept."""
    scene = _scene(Strategy.BETWEEN_CLOUDS, "to another cloud", 2.0)
    assert scene.report is not None
    scene.report = msgspec.structs.replace(
        scene.report, new_vm_cid=VmCid("vm-new"), disk_cid=DiskCid("disk-new"), kept_until="2026-01-09T03:04:05+00:00"
    )
    show(Outcome((scene,), 100, 0))
    shown = capsys.readouterr().out
    assert re.search(r"the move +between clouds\n", shown)
    for words in ("from vm with disk-1, both kept until 2026-01-09", "to vm-new with disk-new"):
        assert words in shown
    assert "no live move" not in shown


def test_where_nothing_can_be_moved_live_the_reason_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """As where rsync is missing."""
    scenes = (_scene(Strategy.COPY, "asked for", 8.0), _scene(Strategy.COPY, "not known; the guest lacks rsync", 7.0))
    show(Outcome(scenes, 100, 0))
    assert "no live move: not known; the guest lacks rsync" in capsys.readouterr().out


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path, cpi: Command) -> None:
    """It might be somebody's."""
    precious = tmp_path / "somebodys" / "file"
    precious.parent.mkdir()
    precious.touch()
    done = cpi("demo", "--root", precious.parent)
    assert done.returncode == 1
    assert "is not empty" in done.stderr
    assert precious.exists()


def test_only_a_demonstration_can_be_ended(tmp_path: Path, cpi: Command) -> None:
    """Any other folder is refused, and nothing is made there."""
    done = cpi("demo", "--end", tmp_path / "elsewhere")
    assert done.returncode == 1
    assert "holds no demonstration" in done.stderr
    assert not (tmp_path / "elsewhere").exists()
