"""A local cloud for the suite, and what can be seen of it from outside: its folders, its database, its loop devices."""

import json
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil

from cpi.contract.ids import DiskCid
from cpi.contract.units import MiB, mib_from_bytes
from cpi.testing import Harness
from cpi.testing.config_variants import with_settings
from cpi.testing.profile import shipped_profile
from cpi.testing.profile_harness import harness_of
from fixtures.local_cloud import local_config

_KINDS = ("stemcells", "vms", "disks", "snapshots")
_TABLES = (*_KINDS, "networks")


@contextmanager
def local_harness(folder: Path, backing: str) -> Iterator[Harness]:
    """The harness of a local cloud under folder; at the end nothing of the cloud may be left running."""
    root = folder / "cloud"
    config = local_config(folder, backing)
    harness = harness_of(config, *shipped_profile("local"), folder)
    try:
        yield msgspec.structs.replace(
            harness,
            unreachable=_damaged(folder / "damaged", config),
            disk_size_of=lambda disk_cid: _disk_size(root, disk_cid),
            tags_of=lambda cid: _tags(root, cid),
            census=lambda: _census(root),
        )
        left = {"processes": _processes(root), "loop devices": _loop_devices(root)}
        assert left == {"processes": [], "loop devices": []}
    finally:
        shutil.rmtree(root)


def _damaged(root: Path, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """A cloud whose state cannot be read: what exists in it cannot be known."""
    root.mkdir()
    (root / "state.sqlite").write_bytes(b"this was a database\n" * 400)
    return with_settings(config, {"root": str(root)})


def _census(root: Path) -> Mapping[str, int]:
    folders = {kind: sum(1 for _ in (root / kind).glob("*")) for kind in _KINDS}
    return {
        **folders,
        "loop devices": len(_loop_devices(root)),
        **{f"{table} on record": _rows(root, table) for table in _TABLES},
    }


def _rows(root: Path, table: str) -> int:
    count: int = _ask(root, f"SELECT count(*) FROM {table}")[0][0]  # noqa: S608 - our own names
    return count


def _ask(root: Path, query: str, *values: str) -> list[Any]:
    if not (root / "state.sqlite").exists():
        return [(0,)]
    with closing(sqlite3.connect(root / "state.sqlite")) as database:
        return database.execute(query, values).fetchall()


def _disk_size(root: Path, disk_cid: DiskCid) -> MiB:
    image = root / "disks" / disk_cid / "image"
    if image.exists():
        return mib_from_bytes(image.stat().st_size)
    return MiB(_ask(root, "SELECT size FROM disks WHERE cid = ?", disk_cid)[0][0])


def _tags(root: Path, cid: str) -> Mapping[str, str]:
    for kind in _KINDS:
        column = "tags" if kind == "stemcells" else "metadata"
        found = _ask(root, f"SELECT {column} FROM {kind} WHERE cid = ?", cid)  # noqa: S608 - our own names
        if found:
            tags: dict[str, str] = json.loads(found[0][0])
            return tags
    return {}


def _loop_devices(root: Path) -> list[str]:
    return [device.parent.parent.name for device in Path("/sys/block").glob("loop*/loop/backing_file") if _is_of(root, device)]


def _is_of(root: Path, device: Path) -> bool:
    try:
        return device.read_text().startswith(str(root))
    except OSError:  # another's, that was let go of at this moment
        return False


def _processes(root: Path) -> list[str]:
    found = ((process.pid, process.info["cmdline"]) for process in psutil.process_iter(["cmdline"]))
    return [f"{pid}: {command}" for pid, command in found if any(str(root) in word for word in command or ())]
