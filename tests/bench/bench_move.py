"""A disk moved in five ways while its job keeps writing: for how long the job is down, and how fast the data goes.

    python -m tests.bench.bench_move [small|large|many|sparse] [live|beside|copy|tar|cp|rsync ...]

CPI_BENCH_SCALE is the share of the whole: at 1, 20,000 small files and 1 GB, 10 GB in few files, 100,000 tiny files, and a
file of 20 GB of which a 64th is data. CPI_BENCH_KEEP=1 keeps the figures in docs/benchmarks. Each way moves what the
one before it has moved; before each the data is synced, and as root thrown out of memory. The job writes and syncs a row
every few milliseconds, which whatever copies while it runs has to bear: `beside` is a plain cp -a that does, and moves nothing.
"""

import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil

from cpi.agent import jobs
from cpi.contract.units import MiB
from cpi.migration.disks import Site
from fixtures.local_cloud import local_config
from tests.bench.keeping import Row, compared, keep, last_kept
from tests.bench.measuring import show
from tests.migration.database_vm import DatabaseVm, database_vms

_SCALE = float(os.environ.get("CPI_BENCH_SCALE", "0.1"))
_SMALL_FILES, _SMALL_BYTES, _MEGA, _SAMPLE_SECONDS = 20_000, 4_000, 1 << 20, 0.05
_TINY_FILES, _TINY_BYTES, _APPARENT, _STRIDE = 100_000, 200, 20_480, 64
_CP = 'cp -a "$0/." "$1/"'
_PIPE = 'tar -C "$0" --xattrs --sparse -cf - . | tar -C "$1" -xpf -'
_NAMES = frozenset({"tar", "cp", "rsync", "find", "sort", "comm", "xargs", "awk"})
_FORGET = Path("/proc/sys/vm/drop_caches")


class Figures(msgspec.Struct):
    """One move."""

    down: float
    total: float
    rate: float
    memory: int = 0


def main(words: list[str]) -> None:
    """Move each kind of data in each way, or those that are named."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was made is removed
    for kind in [word for word in words if word in _KINDS] or _KINDS:
        title, size, fill = _KINDS[kind]
        ways = [word for word in words if word in _WAYS] or list(_WAYS)
        with tempfile.TemporaryDirectory(prefix="cpi-bench-") as folder, database_vms(Path(folder), _cloud(Path(folder))) as make:
            vm = make(size * 5 // 4 + 128, 1)
            copied = fill(Path(f"{vm.seen}/var/vcap/store"))
            _beside(vm, size * 5 // 4 + 128, copied)  # who comes first finds the machine's own disk cold
            _show(kind, title, {way: _measured(vm, size * 5 // 4 + 128, copied, way) for way in ways})


def _show(kind: str, title: str, measured: dict[str, Figures]) -> None:
    pipe, kept = measured["tar"].total if "tar" in measured else None, last_kept("move").get(kind)
    made = {way: Row(msgspec.to_builtins(one), _shares(one, pipe)) for way, one in measured.items()}
    rows = [
        (
            _WAYS[way][0],
            f"{one.down:.1f}",
            compared(made[way].shares["down"], kept, way, "down") if pipe else "?",
            f"{one.total:.1f}",
            compared(made[way].shares["total"], kept, way, "total") if pipe else "?",
            f"{one.rate:.0f}",
            f"{one.memory / _MEGA:.0f}",
        )
        for way, one in measured.items()
    ]
    show(title, ("", "s down", "of the pipe's", "s in all", "of the pipe's", "MiB/s copied", "MiB of memory"), rows)
    if pipe:
        keep("move", kind, title, made)


def _shares(one: Figures, pipe: float | None) -> dict[str, float]:
    """Of what the agent's own pipe of tar takes in the same run."""
    return {"down": round(one.down / pipe, 3), "total": round(one.total / pipe, 3)} if pipe else {}


def _count(whole: int) -> int:
    return max(int(whole * _SCALE), 1)


def _small(store: Path) -> int:
    for number in range(_count(_SMALL_FILES)):
        folder = store / "small" / f"{number % 200}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}").write_bytes(os.urandom(_SMALL_BYTES))
    _write(store / "large", _count(1024))
    return _count(1024)


def _large(store: Path) -> int:
    for number in range(4):
        _write(store / f"large-{number}", _count(10_240) // 4)
    return _count(10_240)


def _many(store: Path) -> int:
    count = _count(_TINY_FILES)
    for number in range(count):
        folder = store / "many" / f"{number % 300}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}").write_bytes(os.urandom(_TINY_BYTES))
    return max(count * _TINY_BYTES // _MEGA, 1)


def _sparse(store: Path) -> int:
    megas = _count(_APPARENT)
    with (store / "sparse").open("wb") as file:
        for at in range(0, megas, _STRIDE):
            file.seek(at * _MEGA)
            file.write(os.urandom(_MEGA))
        file.truncate(megas * _MEGA)
    return -(-megas // _STRIDE)


def _write(path: Path, size: int) -> None:
    rest = os.urandom(_MEGA - 16)
    with path.open("wb") as file:
        for _ in range(size):
            file.write(os.urandom(16) + rest)


def _measured(vm: DatabaseVm, size: int, copied: int, way: str) -> Figures:
    vm.shell().run(["sync"], deadline_seconds=600)
    if os.geteuid() == 0:
        _FORGET.write_text("3")
    with _memory(vm) as most:
        figures = _WAYS[way][1](vm, size, copied)
    figures.memory = most[0]
    sys.stderr.write(f"{way}: {figures}\n")
    vm.assert_well()
    for disk_cid in vm.disks() - {vm.disk_cid}:
        vm.cloud.delete_disk(disk_cid)
    return figures


def _cloud(folder: Path) -> dict[str, Any]:
    backing = "loop" if os.geteuid() == 0 else "folder"
    return local_config(folder, backing)


def _moved(strategy: str) -> Callable[[DatabaseVm, int, int], Figures]:
    def move(vm: DatabaseVm, size: int, copied: int) -> Figures:
        report = vm.move(size, strategy=strategy, shell=vm.shell())
        took = report.passes[0].seconds if report.passes else next(s.seconds for s in report.steps if s.name == "copy_data")
        return Figures(report.jobs_down_seconds, report.seconds, copied / took)

    return move


def _copied(script: str) -> Callable[[DatabaseVm, int, int], Figures]:
    """As a director would by hand: the job stopped, everything copied and synced, the disks swapped, the job started."""

    def move(vm: DatabaseVm, size: int, copied: int) -> Figures:
        site, old = Site(vm.cloud, vm.agent, vm.vm_cid), vm.disk_cid
        began = time.monotonic()
        jobs.stop(vm.agent)
        vm.disk_cid = vm.cloud.create_disk(MiB(size), {}, vm.vm_cid)
        site.attach(vm.disk_cid, {})
        took = _run(vm, script)
        vm.agent.unmount_disk(vm.disk_cid)
        site.detach(old)
        vm.agent.mount_disk(vm.disk_cid)
        jobs.start(vm.agent)
        total = time.monotonic() - began
        return Figures(total, total, copied / took)

    return move


def _beside(vm: DatabaseVm, size: int, copied: int) -> Figures:
    """The rate of cp -a while the job writes. The copy is no good, and is thrown away."""
    site, began = Site(vm.cloud, vm.agent, vm.vm_cid), time.monotonic()
    new = vm.cloud.create_disk(MiB(size), {}, vm.vm_cid)
    site.attach(new, {})
    took = _run(vm, _CP)
    site.detach(new)
    vm.cloud.delete_disk(new)
    return Figures(0, time.monotonic() - began, copied / took)


def _run(vm: DatabaseVm, script: str) -> float:
    """The seconds that a copy from the one disk to the other takes, until it is on the disk."""
    shell, began = vm.shell(), time.monotonic()
    folders = [f"{shell.root}/var/vcap/{name}" for name in ("store", "store_migration_target")]
    done = shell.run(["sh", "-c", f'{script} && sync -f "$1"', *folders], deadline_seconds=3600)
    if done.status:
        raise SystemExit(done.complaint)
    return time.monotonic() - began


@contextmanager
def _memory(vm: DatabaseVm) -> Iterator[list[int]]:
    most, over = [0], threading.Event()

    def sample() -> None:
        while not over.wait(_SAMPLE_SECONDS):
            most[0] = max(most[0], sum(map(_resident, (psutil.Process(), psutil.Process(vm.group)))))

    watching = threading.Thread(target=sample)
    watching.start()
    try:
        yield most
    finally:
        over.set()
        watching.join()


def _resident(process: psutil.Process) -> int:
    total = 0
    for child in process.children(recursive=True):
        try:
            total += child.memory_info().rss if child.name() in _NAMES else 0
        except psutil.Error:
            continue
    return total


_KINDS: dict[str, tuple[str, int, Callable[[Path], int]]] = {
    "small": (f"{_count(_SMALL_FILES)} small files and {_count(1024)} MiB", _count(1024) + 200, _small),
    "large": (f"{_count(10_240)} MiB in few files", _count(10_240), _large),
    "many": (f"{_count(_TINY_FILES)} tiny files", _count(2048) + 100, _many),
    "sparse": (
        f"a file of {_count(_APPARENT)} MiB with {-(-_count(_APPARENT) // _STRIDE)} MiB of data",
        _count(512) + 100,
        _sparse,
    ),
}
_WAYS: dict[str, tuple[str, Callable[[DatabaseVm, int, int], Figures]]] = {
    "live": ("live copy", _moved("live_copy")),
    "beside": ("cp -a while the job writes", _beside),
    "copy": ("copy", _moved("copy")),
    "tar": ("the agent's pipe of tar", _copied(_PIPE)),
    "cp": ("cp -a", _copied(_CP)),
    "rsync": ("rsync -aHAXS", _copied('rsync -aHAXS --numeric-ids "$0/" "$1/"')),
}

if __name__ == "__main__":
    main(sys.argv[1:])
