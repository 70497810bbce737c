"""Snapshots: what a disk held at one instant."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cpi.contract import errors
from cpi.contract.ids import DiskCid, SnapshotCid, VmCid
from cpi.kit.waiting import wait_until
from cpi_drivers.local.disks import backings, freezer, freezing
from cpi_drivers.local.host import copying, loop_devices
from tests.drivers.local.place import AGENT, Place

_WRITER = """
import os, subprocess, sys
device, point = sys.argv[1], sys.argv[2]
subprocess.run(["mkfs.ext4", "-q", device], check=True)
os.makedirs(point, exist_ok=True)
subprocess.run(["mount", device, point], check=True)
with open(f"{point}/log", "a") as file:
    number = 0
    while True:
        number += 1
        file.write(f"{number}\\n")
        file.flush()
        os.fsync(file.fileno())
        if number == 1:
            open(sys.argv[3], "w").close()
"""


def test_a_snapshot_is_there_until_it_is_deleted(either: Place) -> None:
    """With its metadata; the disk is untouched; a missing one is fine."""
    disk_cid = either.disk()
    snapshot_cid = either.cloud.snapshot_disk(disk_cid, {"index": 3, "job": "db"})
    row = either.row("snapshots", snapshot_cid)
    assert (row["disk_cid"], row["size"], json.loads(row["metadata"])) == (disk_cid, 64, {"index": "3", "job": "db"})
    assert either.cloud.snapshot_disk(disk_cid, {}) != snapshot_cid
    either.cloud.delete_snapshot(snapshot_cid)
    either.cloud.delete_snapshot(snapshot_cid)
    either.cloud.delete_snapshot(SnapshotCid("../disks"))
    assert not either.layout.snapshot(snapshot_cid).exists()
    assert either.cloud.has_disk(disk_cid)


def test_a_snapshot_outlives_its_disk(place: Place) -> None:
    """A director deletes them in its own order."""
    disk_cid = place.disk()
    (place.layout.disk(disk_cid) / "data" / "file").write_text("content")
    snapshot_cid = place.cloud.snapshot_disk(disk_cid, {})
    place.cloud.delete_disk(disk_cid)
    assert (place.layout.snapshot(snapshot_cid) / "data" / "file").read_text() == "content"


@pytest.mark.root
def test_a_snapshot_of_an_image_keeps_its_holes(loop_place: Place) -> None:
    """It takes what is written in it."""
    disk_cid = loop_place.disk(512)
    with (loop_place.layout.disk(disk_cid) / "image").open("r+b") as image:
        image.seek(100 * 1024 * 1024)
        image.write(b"data")
    copy = loop_place.layout.snapshot(loop_place.cloud.snapshot_disk(disk_cid, {})) / "image"
    assert copy.stat().st_size == 512 * 1024 * 1024
    assert copy.stat().st_blocks * 512 < 1024 * 1024


@pytest.fixture
def written(loop_place: Place) -> tuple[Place, VmCid, DiskCid]:
    """A VM that writes numbers to its disk, each synced, as fast as it can."""
    disk_cid = loop_place.disk(32)
    begun, point = loop_place.folder / "begun", loop_place.folder / "mounted"
    # the disk is on its device before it is attached: the writer runs in place of an agent from the start
    device = loop_devices.connect(loop_place.layout.disk(disk_cid) / "image")
    cloud = loop_place.connect(agent={"command": [sys.executable, "-c", _WRITER, device, str(point), str(begun)]})
    vm_cid = cloud.create_vm(AGENT, loop_place.stemcell(), {}, {}).cid
    assert cloud.attach_disk(vm_cid, disk_cid).path == device
    wait_until(begun.exists, "the first number", deadline_seconds=60)
    return loop_place, vm_cid, disk_cid


@pytest.mark.root
def test_a_snapshot_of_a_disk_in_use_is_of_one_instant(
    written: tuple[Place, VmCid, DiskCid], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is copied nothing is written, however long that takes; its filesystem is whole and needs no journal."""
    place, _, disk_cid = written
    content: list[bytes] = []

    def slowly(source: Path, target: Path) -> None:
        content.append(source.read_bytes())
        until = time.monotonic() + 0.5
        wait_until(lambda: time.monotonic() > until, "half a second", deadline_seconds=5)
        content.append(source.read_bytes())
        copying.copy(source, target)

    monkeypatch.setattr(backings, "copy", slowly)
    snapshot = place.layout.snapshot(place.cloud.snapshot_disk(disk_cid, {})) / "image"
    assert content == [snapshot.read_bytes()] * 2
    checked = subprocess.run(["e2fsck", "-fn", str(snapshot)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    assert "recovering journal" not in checked.stdout


@pytest.mark.root
def test_the_disk_is_written_again_after_the_snapshot(written: tuple[Place, VmCid, DiskCid]) -> None:
    """It thaws."""
    place, vm_cid, disk_cid = written
    place.cloud.snapshot_disk(disk_cid, {})
    _is_written(place, vm_cid)


@pytest.mark.root
def test_a_killed_snapshot_leaves_the_disk_thawed(written: tuple[Place, VmCid, DiskCid]) -> None:
    """And nothing of itself, once another call came."""
    place, vm_cid, disk_cid = written
    program = (
        "import os, signal; from cpi_drivers.local.disks import backings\n"
        "backings.copy = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "cloud.snapshot_disk(sys.argv[2], {})"
    )
    killed = place.python(program, disk_cid)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    _is_written(place, vm_cid)
    assert place.cloud.has_disk(disk_cid)
    assert place.count("snapshots") == 0
    assert list((place.root / "snapshots").iterdir()) == []


@pytest.mark.root
def test_a_snapshot_that_fails_leaves_the_disk_thawed(
    written: tuple[Place, VmCid, DiskCid], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is that of the copy."""
    place, vm_cid, disk_cid = written

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(backings, "copy", fail)
        with pytest.raises(errors.NoDiskSpace):
            place.cloud.snapshot_disk(disk_cid, {})
    _is_written(place, vm_cid)
    assert place.count("snapshots") == 0


@pytest.mark.root
def test_a_copy_that_takes_too_long_is_thawed_and_fails(
    written: tuple[Place, VmCid, DiskCid], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs must not stand still for ever."""
    place, vm_cid, disk_cid = written
    monkeypatch.setattr(freezing, "_LONGEST_SECONDS", 0.2)
    monkeypatch.setattr(backings, "copy", lambda *_: _is_written(place, vm_cid))
    with pytest.raises(errors.CloudError, match=r"could not be held still while it was copied: the copy took more than 0\.2 s"):
        place.cloud.snapshot_disk(disk_cid, {})


def test_the_freezer_says_what_it_cannot_freeze(tmp_path: Path) -> None:
    """With its path."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", freezer.__file__, "1", str(tmp_path / "absent")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == f"{tmp_path}/absent: No such file or directory"


def _is_written(place: Place, vm_cid: VmCid) -> None:
    pid = place.process(vm_cid).pids()[0]
    log = Path(f"/proc/{pid}/root{place.folder}/mounted/log")
    before = log.stat().st_size
    wait_until(lambda: log.stat().st_size > before, "another number", deadline_seconds=60)
