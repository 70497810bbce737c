"""Creating, attaching, detaching and deleting a disk of the local cloud, each call a process of its own."""

import statistics
import tarfile
from pathlib import Path

from tests.bench.measuring import bare_python_seconds, called, local_cloud, seconds, show

_ROUNDS = 12
_REACH_MS = 100


def main() -> None:
    """Measure on a folder disk, beside a bare Python."""
    with local_cloud(disk_backing="folder") as config:
        vm_cid = _make_vm(config)
        try:
            times = [_round(config, vm_cid) for _ in range(_ROUNDS)]
        finally:
            called(config, "delete_vm", vm_cid)
    bare = bare_python_seconds()
    rows = [("python -I -c pass", f"{bare * 1000:.0f}", "", "1.0")]
    for name in times[0]:
        measured = [one[name] for one in times]
        middle = statistics.median(measured)
        rows.append((name, f"{middle * 1000:.0f}", f"{max(measured) * 1000:.0f}", f"{middle / bare:.1f}"))
    show(f"local disk through the executable (reach: under {_REACH_MS} ms each)", ("call", "ms", "slowest", "x bare"), rows)


def _make_vm(config: Path) -> str:
    image = config.with_name("stemcell.tgz")
    with tarfile.open(image, "w:gz") as archive:
        archive.add(config, "etc/some-file")
    stemcell_cid = called(config, "create_stemcell", str(image), {}, {"tags": {}})
    vm_cid, _ = called(config, "create_vm", "agent", stemcell_cid, {}, {"default": {"type": "dynamic"}}, [], {})
    return str(vm_cid)


def _round(config: Path, vm_cid: str) -> dict[str, float]:
    made: list[str] = []
    times = {"create_disk": seconds(lambda: made.append(called(config, "create_disk", 64, {}, vm_cid)))}
    times["attach_disk"] = seconds(lambda: called(config, "attach_disk", vm_cid, made[0]))
    times["detach_disk"] = seconds(lambda: called(config, "detach_disk", vm_cid, made[0]))
    times["delete_disk"] = seconds(lambda: called(config, "delete_disk", made[0]))
    return times


if __name__ == "__main__":
    main()
