"""Disks beyond 2 TiB, where labels and block numbers of 32 bits end. Images are sparse, so that they cost little here."""

import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cpi.contract.units import MiB
from cpi.migration import Event, EventKind, MoveFailed, copying, verifying
from cpi.migration.extent import TooShort, check_extent
from cpi.migration.guest import Guest
from cpi.migration.stopping import Limits
from fixtures.local_cloud import local_config
from tests.migration.checker import judge, picture
from tests.migration.database_vm import DatabaseVm, database_vms
from tests.migration.guest_shells import FolderShell

pytestmark = pytest.mark.root

_SMALL, _LARGE = MiB(1 << 20), MiB(3 << 20)
_LINE = 2 << 40
_OF_THE_JOB = frozenset({"rows.sqlite", "rows.sqlite-wal", "rows.sqlite-shm"})
_GPT_COPY = 33 * 512  # at the end of a disk with GPT
_BEYOND = "beyond the line"


def _extents(file: Path) -> Iterator[tuple[int, int]]:
    """Where in the file and where on its device each of its extents begins."""
    told = subprocess.run(["filefrag", "-e", "-b1", str(file)], check=True, capture_output=True, text=True).stdout
    for line in told.splitlines():
        words = line.split(":")
        if words[0].strip().isdigit():
            yield int(words[1].split("..")[0]), int(words[2].split("..")[0])


def _punch(file: Path, begin: int, end: int) -> None:
    subprocess.run(["fallocate", "--punch-hole", "-o", str(begin), "-l", str(end - begin), str(file)], check=True)


def _plant(store: Path) -> None:
    """Data beyond the line in a file; on a disk that reaches so far, data on blocks beyond it."""
    with (store / "sparse").open("wb") as file:
        for place in (0, _LINE - 4096, _LINE, _LINE + (1 << 38)):
            file.seek(place)
            file.write(os.urandom(8192))
    if os.statvfs(store).f_blocks * os.statvfs(store).f_frsize < _LINE:
        return
    path, end = store / _BEYOND, _LINE + (1 << 37)
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, end)
    place, where = max(_extents(path), key=lambda extent: extent[1])
    with path.open("r+b") as file:
        file.seek(place)
        file.write(os.urandom(1 << 20))
    for begin, until in ((0, place), (place + (1 << 20), end)):
        if begin < until:
            _punch(path, begin, until)
    subprocess.run(["sync", "-f", str(store)], check=True)
    assert where > _LINE
    assert path.stat().st_blocks * 512 < 2 << 20


_OFTEN = {("xfs", "live_copy", "grow"), ("ext4", "live_copy", "shrink")}
_MOVES = [
    pytest.param(
        kind, strategy, sizes, id=f"{kind}-{strategy}-{way}", marks=() if (kind, strategy, way) in _OFTEN else pytest.mark.nightly
    )
    for kind in ("ext4", "xfs")
    for strategy in ("live_copy", "copy")
    for way, sizes in {"grow": (_SMALL, _LARGE), "shrink": (_LARGE, _SMALL)}.items()
]


@pytest.mark.parametrize(("kind", "strategy", "sizes"), _MOVES)
def test_a_disk_is_moved_across_two_tebibytes(tmp_path: Path, kind: str, strategy: str, sizes: tuple[MiB, MiB]) -> None:
    """What lies beyond the line of either disk, or of a file, is there afterwards; and the filesystem has the new disk's size."""
    with database_vms(tmp_path, local_config(tmp_path, "loop"), {"persistent_disk_fs": kind}) as make:
        vm = make(sizes[0], 2)
        store = vm.seen / "var/vcap/store"
        _plant(store)
        before = picture(store, without=_OF_THE_JOB)
        vm.move(sizes[1], strategy=strategy, shell=vm.shell())
        after = picture(store, without=_OF_THE_JOB)
        for one in (before, after):
            del one["."]["changed"]
        assert judge(before, after) == []
        assert os.statvfs(store).f_blocks * os.statvfs(store).f_frsize > (sizes[1] << 20) * 0.95
        vm.assert_well()


def _short(vm: DatabaseVm, step: str) -> str:
    """What a move says whose agent makes a filesystem of 2 TiB on a larger disk; it is undone."""

    def remake(event: Event) -> None:
        if (event.step, event.kind) == (step, EventKind.DONE):
            target = f"{vm.shell().root}/var/vcap/store_migration_target"
            script = 'D=$(findmnt -no SOURCE "$1") && umount "$1" && mkfs.ext4 -qF "$D" 2T && mount "$D" "$1"'
            done = vm.shell().run(["sh", "-c", script, "sh", target], deadline_seconds=60)
            assert done.status == 0, done.complaint

    strategy = "live_copy" if step == "attach_beside" else "copy"
    with pytest.raises(MoveFailed) as failed:
        vm.move(_LARGE, strategy=strategy, shell=vm.shell(), on_event=remake)
    assert (failed.value.left, failed.value.swapped) == ((), False)
    vm.assert_well()
    assert vm.disks() == {vm.disk_cid}
    return failed.value.message


@pytest.mark.parametrize("step", ["attach_beside", pytest.param("attach_new_disk", marks=pytest.mark.nightly)])
def test_a_filesystem_far_smaller_than_its_disk_ends_the_move(tmp_path: Path, step: str) -> None:
    """Both ways of copying tell the figures, and nothing is copied; the job runs on its old disk."""
    with database_vms(tmp_path, local_config(tmp_path, "loop")) as make:
        vm = make(96, 2)
        assert "the device has 3145728 MiB, its filesystem 20" in _short(vm, step)


@pytest.fixture
def made() -> Iterator[ExitStack]:
    """What is to be unmounted afterwards."""
    with ExitStack() as stack:
        yield stack


def _mounted(image: Path, point: Path, size: MiB, end: int, kind: str, made: ExitStack) -> None:
    """A disk with one partition up to `end`, made as a label would: not every kernel reads labels."""
    point.mkdir(parents=True)
    with image.open("wb") as file:
        file.truncate(size << 20)
    losetup = ["losetup", "--find", "--show", "--partscan", str(image)]
    device = subprocess.run(losetup, check=True, capture_output=True, text=True).stdout.strip()
    made.callback(subprocess.run, ["losetup", "--detach", device], check=True)
    subprocess.run(["addpart", device, "1", "2048", str(end // 512 - 2048)], check=True)
    numbers = Path(f"/sys/class/block/{Path(device).name}p1/dev").read_text().strip().split(":")
    partition = image.with_suffix(".device")  # who makes nodes in /dev may be late, or not there
    os.mknod(partition, stat.S_IFBLK | 0o600, os.makedev(*map(int, numbers)))
    subprocess.run([f"mkfs.{kind}", "-q", str(partition)], check=True)
    subprocess.run(["mount", str(partition), str(point)], check=True)
    made.callback(subprocess.run, ["umount", str(point)], check=True)


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_all_of_a_disk_with_gpt_is_used_and_copied(tmp_path: Path, kind: str, made: ExitStack) -> None:
    """A BOSH agent labels disks: the passes and comparisons go by the partition, its health is looked up by its number."""
    guest = Guest(FolderShell(str(tmp_path)), "m")
    _mounted(tmp_path / "old.img", Path(guest.store), _LARGE, (_LARGE << 20) - _GPT_COPY, kind, made)
    _mounted(tmp_path / "new.img", Path(guest.target), MiB(4 << 20), (4 << 40) - _GPT_COPY, kind, made)
    _plant(Path(guest.store))
    check_extent(guest, guest.target, MiB(4 << 20))
    assert guest.faults() == ""
    _, files, size = copying.skipped(guest)
    copying.copy_all(guest, Limits(), files, size, lambda _: None)
    verifying.verify_all(guest)
    copying.copy_last(guest, 2)
    assert verifying.verify_changes(guest).differing == 0
    assert judge(picture(Path(guest.store)), picture(Path(guest.target))) == []


def test_a_label_that_ends_at_two_tebibytes_is_named(tmp_path: Path, made: ExitStack) -> None:
    """With what the disk has and what the partition has."""
    guest = Guest(FolderShell(str(tmp_path)), "m")
    _mounted(tmp_path / "new.img", Path(guest.target), _LARGE, _LINE, "ext4", made)
    with pytest.raises(TooShort, match=r"disk has 3145728 MiB, its partition 20971\d\d MiB: an MBR label ends at 2 TiB"):
        check_extent(guest, guest.target, _LARGE)
