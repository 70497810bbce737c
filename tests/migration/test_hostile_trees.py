"""Trees that are hard to copy, moved with a job beside them; a judge that knows nothing of moves compares before and after."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cpi.contract.errors import Error
from cpi.migration import MoveFailed, MoveRefused
from fixtures.local_cloud import local_config
from tests.migration import hostile
from tests.migration.checker import Picture, judge, picture
from tests.migration.database_vm import DatabaseVm, database_vms

pytestmark = pytest.mark.root

_KINDS = ["ext4", "xfs"]
_COPIES = ["live_copy", "copy"]
_OF_THE_JOB = frozenset({"rows.sqlite", "rows.sqlite-wal", "rows.sqlite-shm", "old-data"})


def _vm(tmp_path: Path, kind: str) -> Iterator[DatabaseVm]:
    with database_vms(tmp_path, local_config(tmp_path, "loop"), {"persistent_disk_fs": kind}) as make:
        yield make(360, 2)


@pytest.fixture(params=_KINDS)
def vm(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DatabaseVm]:
    """A VM with a job on a disk of this kind."""
    yield from _vm(tmp_path, request.param)


@pytest.fixture
def ext4(tmp_path: Path) -> Iterator[DatabaseVm]:
    """A VM with a job on an ext4."""
    yield from _vm(tmp_path, "ext4")


def _store(vm: DatabaseVm) -> Path:
    return vm.seen / "var/vcap/store"


def _picture(vm: DatabaseVm) -> Picture:
    """Without what the job does: it makes and removes files in the root while it runs."""
    found = picture(_store(vm), without=_OF_THE_JOB)
    del found["."]["changed"]
    return found


_OFTEN = {("ext4", "live_copy", 420), ("xfs", "live_copy", 330), ("ext4", "copy", 330)}
_MOVES = [
    pytest.param(*move, id="-".join(map(str, move)), marks=() if move in _OFTEN else pytest.mark.nightly)
    for move in itertools.product(_KINDS, _COPIES, (420, 330))
]
"""A live copy on each filesystem, the agent's copy on one; each by each way of copying, grown and shrunk, in `make nightly`."""


@pytest.mark.parametrize(("vm", "strategy", "size"), _MOVES, indirect=["vm"])
def test_hostile_trees_are_moved_as_they_are(vm: DatabaseVm, strategy: str, size: int) -> None:
    """Names, bytes, kinds, owners, times, links, attributes, flags, devices, holes: all as before."""
    hostile.plant(_store(vm))
    before = _picture(vm)
    vm.move(size, strategy=strategy, shell=vm.shell())
    assert judge(before, _picture(vm)) == []
    vm.assert_well()


_CROSSED = {("ext4", "copy"), ("xfs", "live_copy"), ("extents", "live_copy"), ("inode", "copy")}
"""Each filesystem and each damage once, by another way of copying; the others in `make nightly`."""


def _damaged(vm: DatabaseVm, damage: Callable[[Path, str], None], path: str) -> None:
    """The disk comes back to the job with a file on it that cannot be read."""
    vm.agent.stop()
    vm.agent.unmount_disk(vm.disk_cid)
    damage(vm.root / "disks" / vm.disk_cid / "image", path)
    vm.agent.mount_disk(vm.disk_cid)
    vm.agent.start()


def _assert_refused(vm: DatabaseVm, strategy: str, *words: str) -> Error:
    with pytest.raises((MoveFailed, MoveRefused)) as failed:
        vm.move(420, strategy=strategy, shell=vm.shell())
    for word in words:
        assert word in failed.value.message
    if isinstance(failed.value, MoveFailed):
        assert (failed.value.left, failed.value.swapped) == ((), False)
        assert strategy == "copy" or failed.value.report.jobs_down_seconds == 0
    vm.assert_well()
    assert vm.disks() == {vm.disk_cid}
    return failed.value


@pytest.mark.parametrize(
    ("vm", "strategy"),
    [
        pytest.param(kind, strategy, marks=() if (kind, strategy) in _CROSSED else pytest.mark.nightly)
        for kind, strategy in itertools.product(_KINDS, _COPIES)
    ],
    indirect=["vm"],
)
def test_a_path_too_long_to_copy_fails_the_move(vm: DatabaseVm, strategy: str) -> None:
    """25 folders in each other, whose path no system call takes."""
    hostile.too_long(_store(vm))
    before = _picture(vm)
    _assert_refused(vm, strategy, "File name too long", "x" * 40)
    assert judge(before, _picture(vm)) == []


_DAMAGES = {"extents": hostile.damage_extents, "inode": hostile.damage_inode}


@pytest.mark.parametrize(
    ("damage", "strategy"),
    [
        pytest.param(damage, strategy, marks=() if (damage, strategy) in _CROSSED else pytest.mark.nightly)
        for damage, strategy in itertools.product(_DAMAGES, _COPIES)
    ],
)
def test_what_cannot_be_read_fails_the_move_and_is_named(ext4: DatabaseVm, damage: str, strategy: str) -> None:
    """A file whose list of extents is torn has its length and no content; one whose inode is torn has nothing."""
    (_store(ext4) / "inner").mkdir()
    hostile.fragmented(_store(ext4) / "inner" / "damaged")
    _damaged(ext4, _DAMAGES[damage], "/inner/damaged")
    _assert_refused(ext4, strategy, "inner/damaged", "fsck")
    # now the filesystem knows of its errors
    refused = _assert_refused(ext4, strategy, "fsck")
    assert isinstance(refused, MoveRefused)
