"""A root folder that is full, read-only, forbidden or damaged."""

import contextlib
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cpi.contract import errors
from cpi.contract.ids import DiskCid, StemcellCid
from cpi.contract.units import MiB
from tests.drivers.local.place import AGENT, Place

_AS_NOBODY = """
import os, sys, json
from cpi.connecting import connect
from cpi.contract import errors
document = json.loads(sys.argv[1])
cloud = connect(document)
# everything is imported while it can be
document["cloud"]["properties"]["local"]["root"] = sys.argv[2]
other = connect(document)
other.delete_disk(other.create_disk(1, {}))
os.setgid(65534)
os.setuid(65534)
try:
    cloud.create_disk(1, {})
except errors.Error as error:
    print(f"{error.wire_name}: {error}")
"""


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Place]:
    """A cloud on a filesystem of two megabytes."""
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(mount)], check=True)
    made = Place(mount)
    try:
        yield made
    finally:
        made.clear()
        subprocess.run(["umount", str(mount)], check=True)


def _fill(place: Place) -> Path:
    full = place.folder / "full"
    with full.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return full


_CALLS: list[Callable[[Place], object]] = [
    lambda place: place.cloud.create_disk(MiB(1), {}),
    lambda place: place.cloud.create_vm(AGENT, StemcellCid(_only(place, "stemcells")), {}, {}),
    lambda place: place.cloud.create_stemcell(str(place.folder / "image"), {}, {}),
    lambda place: place.cloud.snapshot_disk(DiskCid(_only(place, "disks")), {}),
]


def _only(place: Place, table: str) -> str:
    (found,) = (place.root / table).iterdir()
    return found.name


@pytest.mark.root
@pytest.mark.parametrize("call", _CALLS)
def test_a_full_root_folder_is_no_disk_space_and_leaves_nothing(small: Place, call: Callable[[Place], object]) -> None:
    """Whatever was to be made; once there is space it is made."""
    disk_cid = small.disk()
    (small.layout.disk(disk_cid) / "data" / "file").write_bytes(b"x" * 20000)
    small.stemcell()
    before = small.leftovers()
    full = _fill(small)
    with pytest.raises(errors.NoDiskSpace, match=f"no space left for the local cloud in {small.root}"):
        call(small)
    full.unlink()
    assert small.leftovers() == before
    call(small)


@pytest.mark.root
def test_a_full_root_folder_can_be_looked_at_and_emptied(small: Place) -> None:
    """An operator frees it by deleting disks."""
    disk_cid = small.disk()
    (small.layout.disk(disk_cid) / "data" / "file").write_bytes(b"x" * 500_000)
    _fill(small)
    assert small.cloud.has_disk(disk_cid)
    small.cloud.delete_disk(disk_cid)
    assert small.disk()


@pytest.mark.root
def test_a_root_folder_that_fills_up_before_anything_was_made(small: Place) -> None:
    """Not even the state has room."""
    full = _fill(small)
    with pytest.raises(errors.NoDiskSpace):
        small.disk()
    full.unlink()
    small.cloud.delete_disk(small.disk())
    assert small.leftovers() == []


@pytest.mark.root
def test_a_read_only_root_folder_is_said(small: Place) -> None:
    """It is a matter of configuration."""
    disk_cid = small.disk()
    subprocess.run(["mount", "-o", "remount,ro", str(small.folder)], check=True)
    try:
        with pytest.raises(errors.CpiError, match=f"{small.root} cannot be written"):
            small.disk()
        with pytest.raises(errors.CpiError, match=f"{small.root} cannot be written"):
            small.cloud.delete_disk(disk_cid)
        assert small.cloud.has_disk(disk_cid)
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(small.folder)], check=True)
    assert small.cloud.has_disk(disk_cid)


@pytest.mark.root
@pytest.mark.parametrize("exists", [True, False])
def test_a_root_folder_of_somebody_else_is_said(exists: bool) -> None:  # noqa: FBT001 - a parameter
    """With the user that was refused."""
    folder = Path("/var/tmp") / f"multicpi-{os.getpid()}-{exists}"  # noqa: S108 - a folder that another user may look into
    folder.mkdir(mode=0o755)
    try:
        place = Place(folder)
        if exists:
            place.disk()
        done = subprocess.run(
            [sys.executable, "-c", _AS_NOBODY, json.dumps(place.document()), str(folder / "other")],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        shutil.rmtree(folder)
    assert done.stdout.startswith(f"Bosh::Clouds::CpiError: the root folder {place.root} cannot be written by user id 65534"), (
        done.stderr
    )


def test_a_damaged_state_is_said(place: Place) -> None:
    """It is not made anew over what is there."""
    place.disk()
    place.layout.database.write_bytes(b"not a database" * 1000)
    with pytest.raises(errors.CloudError, match=r"is damaged: .*; restore it from a backup"):
        place.disk()


def test_the_state_of_a_newer_version_is_left_alone(place: Place) -> None:
    """Its tables may mean something else."""
    place.disk()
    database = sqlite3.connect(place.layout.database)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(errors.CpiError, match="was made by a newer version"):
        place.disk()


def test_a_root_folder_that_is_a_file_is_said(place: Place) -> None:
    """As what it is."""
    place.root.write_text("")
    with pytest.raises(errors.CpiError, match=r"the root folder cannot be made: .*/cloud is no folder"):
        place.disk()


@pytest.mark.parametrize("spoil", [lambda path: path.write_bytes(b""), lambda path: path.unlink()], ids=["emptied", "removed"])
def test_a_state_without_its_record_is_refused_not_begun_anew(place: Place, spoil: Callable[[Path], object]) -> None:
    """A disk with data lies there: "it does not exist" would be untrue."""
    disk_cid = place.cloud.create_disk(MiB(16), {})
    spoil(place.layout.database)
    with pytest.raises(errors.CpiError, match=f"disks/{disk_cid}"):
        place.cloud.has_disk(disk_cid)
    with pytest.raises(errors.CpiError, match="backup"):
        place.cloud.create_disk(MiB(16), {})
    assert place.layout.disk(disk_cid).is_dir()


def test_the_record_is_for_its_owner_alone(place: Place) -> None:
    """Whatever the umask is."""
    before = os.umask(0)
    try:
        place.cloud.create_disk(MiB(16), {})
    finally:
        os.umask(before)
    assert stat.S_IMODE(place.layout.database.stat().st_mode) == 0o600
