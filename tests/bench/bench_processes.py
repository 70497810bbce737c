"""32 callers at once on one local cloud, each call a process of its own; whether an update is lost, or anything locked."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.bench.measuring import called, local_cloud, show

_CALLERS = 32
_DISKS_OF_EACH = 5
_CALLS_FOR_A_DISK = 4


def main() -> None:
    """Let each caller make disks, tag them all with a name of its own, and delete some; then count what is there."""
    with local_cloud(disk_backing="folder") as config:
        began = time.perf_counter()
        with ThreadPoolExecutor(_CALLERS) as callers:
            kept = [cid for cids in callers.map(lambda caller: _work(config, caller), range(_CALLERS)) for cid in cids]
        took = time.perf_counter() - began
        lost = sum(not called(config, "has_disk", cid) for cid in kept)
        folders = len(list((config.parent / "cloud" / "disks").iterdir()))
    calls = _CALLERS * _DISKS_OF_EACH * _CALLS_FOR_A_DISK
    rows = [
        ("calls", str(calls)),
        ("seconds", f"{took:.1f}"),
        ("calls a second", f"{calls / took:.0f}"),
        ("disks that should be there", str(len(kept))),
        ("disks that are not", str(lost)),
        ("disks that should not be there", str(folders - len(kept))),
    ]
    show(f"{_CALLERS} callers at once on one local cloud", ("", ""), rows)
    if lost or folders != len(kept):
        raise SystemExit("an update was lost")


def _work(config: Path, caller: int) -> list[str]:
    """The disks that are kept: each is made twice with one token, tagged, and every other one deleted."""
    kept: list[str] = []
    for number in range(_DISKS_OF_EACH):
        token = f"caller-{caller}-disk-{number}"
        disk_cid = called(config, "create_disk", 16, {}, None, token=token)
        again = called(config, "create_disk", 16, {}, None, token=token)
        if again != disk_cid:
            raise AssertionError(f"{token} made two disks: {disk_cid}, {again}")
        called(config, "set_disk_metadata", disk_cid, {"caller": str(caller)})
        if number % 2:
            called(config, "delete_disk", disk_cid)
        else:
            called(config, "has_disk", disk_cid)
            kept.append(disk_cid)
    return kept


if __name__ == "__main__":
    main()
