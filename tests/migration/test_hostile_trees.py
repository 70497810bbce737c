"""Trees that are hard to copy, moved with a job beside them; a judge that knows nothing of moves compares before and after."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cpi.contract.errors import Error
from cpi.migration import MoveFailed, MoveRefused
from fixtures.local_cloud import local_config
from tests.migration import hostile
from tests.migration.checker import Picture, judge, picture
from tests.migration.making import local_place
from tests.migration.place import Place

pytestmark = pytest.mark.root

_KINDS = ["ext4", "xfs"]
_COPIES = ["live_copy", "copy"]
_OF_THE_JOB = frozenset({"rows.sqlite", "rows.sqlite-wal", "rows.sqlite-shm", "old-data"})


def _place(tmp_path: Path, kind: str) -> Iterator[Place]:
    with local_place(tmp_path, local_config(tmp_path, "loop"), {"persistent_disk_fs": kind}) as make:
        yield make(360, 2)


@pytest.fixture(params=_KINDS)
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A VM with a job on a disk of this kind."""
    yield from _place(tmp_path, request.param)


@pytest.fixture
def ext4(tmp_path: Path) -> Iterator[Place]:
    """A VM with a job on an ext4."""
    yield from _place(tmp_path, "ext4")


def _store(there: Place) -> Path:
    return there.seen / "var/vcap/store"


def _picture(there: Place) -> Picture:
    """Without what the job does: it makes and removes files in the root while it runs."""
    found = picture(_store(there), without=_OF_THE_JOB)
    del found["."]["changed"]
    return found


@pytest.mark.parametrize("strategy", _COPIES)
def test_hostile_trees_grow_and_shrink_as_they_are(there: Place, strategy: str) -> None:
    """Names, bytes, kinds, owners, times, links, attributes, flags, devices, holes: all as before, twice."""
    hostile.plant(_store(there))
    before = _picture(there)
    for size in (420, 330):
        there.move(size, strategy=strategy, shell=there.shell())
        assert judge(before, _picture(there)) == []
    there.assert_well()


def _damaged(there: Place, damage: Callable[[Path, str], None], path: str) -> None:
    """The disk comes back to the job with a file on it that cannot be read."""
    there.agent.stop()
    there.agent.unmount_disk(there.disk_cid)
    damage(there.root / "disks" / there.disk_cid / "image", path)
    there.agent.mount_disk(there.disk_cid)
    there.agent.start()


def _assert_refused(there: Place, strategy: str, *words: str) -> Error:
    with pytest.raises((MoveFailed, MoveRefused)) as failed:
        there.move(420, strategy=strategy, shell=there.shell())
    for word in words:
        assert word in failed.value.message
    if isinstance(failed.value, MoveFailed):
        assert (failed.value.left, failed.value.swapped) == ((), False)
        assert strategy == "copy" or failed.value.report.jobs_down_seconds == 0
    there.assert_well()
    assert there.disks() == {there.disk_cid}
    return failed.value


@pytest.mark.parametrize("strategy", _COPIES)
def test_a_path_too_long_to_copy_fails_the_move(there: Place, strategy: str) -> None:
    """25 folders in each other, whose path no system call takes."""
    hostile.too_long(_store(there))
    before = _picture(there)
    _assert_refused(there, strategy, "File name too long", "x" * 40)
    assert judge(before, _picture(there)) == []


_DAMAGES = {"extents": hostile.damage_extents, "inode": hostile.damage_inode}


@pytest.mark.parametrize("strategy", _COPIES)
@pytest.mark.parametrize("damage", _DAMAGES)
def test_what_cannot_be_read_fails_the_move_and_is_named(ext4: Place, damage: str, strategy: str) -> None:
    """A file whose list of extents is torn has its length and no content; one whose inode is torn has nothing."""
    (_store(ext4) / "inner").mkdir()
    hostile.fragmented(_store(ext4) / "inner" / "damaged")
    _damaged(ext4, _DAMAGES[damage], "/inner/damaged")
    _assert_refused(ext4, strategy, "inner/damaged", "fsck")
    # now the filesystem knows of its errors
    refused = _assert_refused(ext4, strategy, "fsck")
    assert isinstance(refused, MoveRefused)
