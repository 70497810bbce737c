"""The passes of a live copy on real filesystems: after the last one and its comparison both disks hold the same."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cpi.contract import errors
from cpi.kit.waiting import wait_until
from cpi.migration import copying, scripts, verifying
from cpi.migration.guest import Guest, NoRoom
from cpi.migration.report import Pass, Progress, Verify
from cpi.migration.stopping import Limits
from tests.migration import hostile
from tests.migration.checker import judge, picture
from tests.migration.guest_shells import FolderShell
from tests.migration.trees import CHANGES, MEGA, plant, told

_KINDS = [
    pytest.param("folder", marks=pytest.mark.root),
    pytest.param("ext4", marks=pytest.mark.root),
    pytest.param("xfs", marks=pytest.mark.root),
]
_AT_NIGHT = [pytest.param(kind, marks=[pytest.mark.root, pytest.mark.nightly]) for kind in ("folder", "xfs")]
_AT_ANY_KIND = pytest.mark.parametrize("kind", [pytest.param("ext4", marks=pytest.mark.root), *_AT_NIGHT], indirect=True)
"""For what goes by files and not by filesystems: on one of them in every run."""

_OLD_MIB, _NEW_MIB = 320, 384


def _mounted(image: Path, point: Path, kind: str, size: int, made: ExitStack) -> None:
    point.mkdir(parents=True)
    if kind == "folder":
        return
    with image.open("wb") as file:
        file.truncate(size * MEGA)
    subprocess.run([f"mkfs.{kind}", "-q", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(point)], check=True)
    made.callback(subprocess.run, ["umount", str(point)], check=True)


@pytest.fixture(params=_KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """What the disks hold."""
    return str(request.param)


@pytest.fixture
def made() -> Iterator[ExitStack]:
    """What is to be unmounted afterwards."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def guest(tmp_path: Path, kind: str, made: ExitStack) -> Guest:
    """A guest with two disks, the second one empty."""
    guest = Guest(FolderShell(str(tmp_path)), "m")
    _mounted(tmp_path / "old.img", Path(guest.store), kind, _OLD_MIB, made)
    _mounted(tmp_path / "new.img", Path(guest.target), kind, _NEW_MIB, made)
    return guest


def _nobody(progress: Progress) -> None:
    """Nobody listens."""


_LIMITS = Limits()


def _copied(guest: Guest, limits: Limits = _LIMITS) -> Pass:
    _, files, size = copying.skipped(guest)
    return copying.copy_all(guest, limits, files, size, _nobody)


def test_everything_a_file_has_is_kept_and_sockets_are_told_of(guest: Guest) -> None:
    """Owners, modes, ACLs, attributes, hard links, times to the nanosecond, odd names, holes."""
    store, target = Path(guest.store), Path(guest.target)
    plant(store)
    assert copying.skipped(guest)[0] == 1
    _copied(guest)
    assert told(target) == told(store)
    assert (target / "db" / "sparse").stat().st_blocks * 512 < MEGA
    assert not (target / "socket").exists()
    assert (target / "pipe").is_fifo()


def _is_found(guest: Guest, names: Iterable[str], *, live: bool, limit: int) -> None:
    store, target = Path(guest.store), Path(guest.target)
    plant(store)
    _copied(guest, Limits(bandwidth_kib=limit))
    if live:
        for name in names:
            CHANGES[name](store)
        copying.copy_changes(guest, _LIMITS, 2, _nobody)
        assert told(target) == told(store)
    verifying.verify_all(guest)
    if not live:
        for name in names:
            CHANGES[name](store)
    copying.copy_last(guest, 3)
    assert verifying.verify_changes(guest).differing == 0
    assert told(target) == told(store)


_WHEN = pytest.mark.parametrize("live", [False, True], ids=["last pass", "live passes"])


@pytest.mark.parametrize("limit", [0, 500_000], ids=["cp", "rsync"])
@_WHEN
def test_whatever_a_job_does_meanwhile_is_found(guest: Guest, kind: str, live: bool, limit: int) -> None:  # noqa: FBT001 - a case
    """Everything at once, none of it in the same place, on each filesystem, whatever made the first copy."""
    if kind == "folder" and limit:
        return
    _is_found(guest, CHANGES, live=live, limit=limit)


@_AT_ANY_KIND
@pytest.mark.parametrize("change", CHANGES)
@_WHEN
def test_a_single_change_is_found(guest: Guest, change: str, live: bool) -> None:  # noqa: FBT001 - a case
    """A pass looks only at what changed: here nothing else does beside it that would lead there."""
    _is_found(guest, [change], live=live, limit=0)


_RSYNC = """#!/bin/sh
for word; do
  if [ "$word" = --delete-missing-args ]; then echo "invalid file mode 00 for gone [Receiver]" >&2; exit 2; fi
done
exec {} "$@"
"""


@_AT_ANY_KIND
def test_an_rsync_that_cannot_delete_what_is_missing_is_enough(
    guest: Guest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As 3.4.3, where a name that is no more follows one that is there."""
    (tmp_path / "bin").mkdir()
    rsync = tmp_path / "bin" / "rsync"
    rsync.write_text(_RSYNC.format(shutil.which("rsync")))
    rsync.chmod(0o755)
    monkeypatch.setenv("PATH", f"{rsync.parent}:{os.environ['PATH']}")
    _is_found(guest, CHANGES, live=True, limit=0)


@_AT_ANY_KIND
def test_what_lies_behind_a_link_on_the_new_disk_is_not_removed(guest: Guest, tmp_path: Path) -> None:
    """A folder that became a link to one outside: names of the folder are not looked for there."""
    (Path(guest.store) / "folder").mkdir()
    (Path(guest.store) / "folder" / "kept").write_text("of the disk")
    _copied(guest)
    shutil.rmtree(Path(guest.target) / "folder")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").write_text("of another")
    (Path(guest.target) / "folder").symlink_to(tmp_path / "outside")
    (Path(guest.store) / "folder" / "kept").unlink()
    (tmp_path / "var/vcap/data/cpi-move-m/more").write_bytes(b"./folder/kept\0")
    copying.copy_changes(guest, _LIMITS, 2, _nobody)
    assert (tmp_path / "outside" / "kept").read_text() == "of another"
    assert told(Path(guest.target)) == told(Path(guest.store))


def test_what_came_and_went_while_a_pass_looked_at_it_is_no_fault(guest: Guest) -> None:
    """A name that is made and removed all the time may be copied though no listing has it: the last pass takes it away."""
    store, target = Path(guest.store), Path(guest.target)
    plant(store)
    _copied(guest)
    verifying.verify_all(guest)
    copying.copy_changes(guest, _LIMITS, 2, _nobody)
    times = {folder: (folder.stat().st_atime_ns, folder.stat().st_mtime_ns) for folder in (target, target / "db")}
    (target / "db" / "MANIFEST.part").write_text("was there for a moment")
    (target / "of a moment" / "inner").mkdir(parents=True)
    (target / "of a moment" / "inner" / "file").write_text("so was this")
    for folder, when in times.items():
        os.utime(folder, ns=when)
    verifying.check_lasting(guest)
    copying.copy_last(guest, 3)
    assert verifying.verify_changes(guest).differing == 0
    assert told(target) == told(store)


@pytest.mark.parametrize("limit", [0, 500_000], ids=["cp", "rsync"])
def test_holes_are_no_work(guest: Guest, kind: str, limit: int) -> None:
    """A file of a TiB with a few bytes in it: to read it takes longer than a test may. A pass counts what is allocated."""
    if kind == "folder":
        return
    store, target = Path(guest.store), Path(guest.target)
    hostile.TREES["sparse"](store)
    os.link(store / "apparent0", store / "apparent too")
    _, files, size = copying.skipped(guest)
    assert (files, size < 16 * MEGA) == (6, True)
    copying.copy_all(guest, Limits(bandwidth_kib=limit), files, size, _nobody)
    for name, at in (("more than can be read", 1 << 38), ("apparent0", 7)):
        with (store / name).open("r+b") as file:
            file.seek(at)
            file.write(os.urandom(5000))
    (store / "new").mkdir()
    hostile.TREES["sparse"](store / "new")
    changed = copying.copy_changes(guest, _LIMITS, 2, _nobody)
    assert changed.changed_bytes < 16 * MEGA
    assert verifying.verify_all(guest).size < 16 * MEGA
    with (store / "apparent0").open("r+b") as file:
        file.truncate(700 * MEGA)
    copying.copy_last(guest, 3)
    assert verifying.verify_changes(guest).differing == 0
    assert judge(picture(store), picture(target)) == []


def test_what_differs_though_nobody_changed_it_is_found_and_copied_again(guest: Guest) -> None:
    """A disk that gives back other bytes than were written: the comparison while the job runs tells, and mends it."""
    store, target = Path(guest.store), Path(guest.target)
    plant(store)
    _copied(guest)
    before = (target / "db" / "big").stat()
    with (target / "db" / "big").open("r+b") as file:
        file.write(b"other")
    os.utime(target / "db" / "big", ns=(before.st_atime_ns, before.st_mtime_ns))
    (target / "not of the job").write_text("left by somebody")
    os.removexattr(target / "private", "user.colour")
    assert verifying.verify_all(guest).differing >= 3
    copying.copy_changes(guest, _LIMITS, 2, _nobody)
    assert told(target) == told(store)


def test_what_differs_after_the_last_pass_is_copied_again_or_stops_the_move(guest: Guest) -> None:
    """With the jobs down there is one more try."""
    store, target = Path(guest.store), Path(guest.target)
    plant(store)
    _copied(guest)
    (store / "db" / "same-size").write_bytes(b"c" * 5000)
    copying.copy_last(guest, 2)
    (target / "db" / "same-size").write_bytes(b"d" * 5000)
    assert verifying.verify_changes(guest).differing == 1
    assert told(target) == told(store)


def _rotten(path: Path, at: int) -> None:
    """Other bytes, and nothing that tells of it."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"rotten")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@_AT_ANY_KIND
def test_a_full_comparison_reads_every_byte(guest: Guest) -> None:
    """What the new disk gives back otherwise than it was written is found with the jobs down, though nothing had changed."""
    store, target = Path(guest.store), Path(guest.target)
    plant(store)
    _copied(guest)
    old = time.time() + 3
    wait_until(lambda: time.time() > old or None, "files that count as old", deadline_seconds=60)
    copying.copy_changes(guest, _LIMITS, 2, _nobody)
    verifying.verify_doubtful(guest)
    copying.copy_last(guest, 3)
    _rotten(target / "db" / "big", 2 * MEGA)
    assert verifying.verify_changes(guest).differing == 0
    found = verifying.verify_changes(guest, Verify.FULL)
    assert found.differing == 1
    assert found.size > 3 * MEGA
    assert told(target) == told(store)


@pytest.mark.parametrize(("name", "at"), [("big", 100), ("sparse", 8 * MEGA), ("sparse", 3 * MEGA)])
def test_a_full_comparison_of_an_agents_copy_is_by_checksums(guest: Guest, kind: str, name: str, at: int) -> None:
    """They are noted before it and compared after it, holes passed over; here the copy is the same disk with other bytes."""
    if kind == "folder":
        return
    store = Path(guest.store)
    plant(store)
    hostile.TREES["sparse"](store)
    verifying.list_before(guest, Verify.FULL)
    assert (verifying.check_after(guest) or 0) > 20
    _rotten(store / "db" / name, at)
    with pytest.raises(errors.CloudError, match=f"differs from the old one: db/{name}$"):
        verifying.check_after(guest)


def test_a_disk_that_is_too_small_is_told_with_the_figures(guest: Guest, kind: str) -> None:
    """Before anything is copied; and while it is, if more comes than was there."""
    if kind == "folder":
        return
    store = Path(guest.store)
    filler = Path(guest.target) / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 290 * MEGA)
    (store / "much").write_bytes(os.urandom(100 * MEGA))
    with pytest.raises(NoRoom, match=r"No space left on device: the new disk has \d+ bytes used, \d+ bytes.* free"):
        guest.run('cp "$S/much" "$T/"')
    filler.unlink()
    with pytest.raises(errors.CloudError, match="exit status"):
        guest.run("exit 3")


def test_a_copy_that_a_killed_process_left_running_is_ended(guest: Guest, kind: str) -> None:
    """Two copies never write to one disk at once."""
    if kind != "folder":
        return
    left = subprocess.Popen(scripts.guarded("sleep 500", f"{guest.store}/../data/cpi-move-m", guest.store, guest.target))
    while not (Path(guest.store).parent / "data" / "cpi-move-m" / "group").exists():
        assert left.poll() is None
    guest.run("true")
    assert left.wait(10) != 0
    guest.end_leftovers()
    assert not (Path(guest.store).parent / "data" / "cpi-move-m").exists()
