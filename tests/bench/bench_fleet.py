"""A fleet of small disks on PostgreSQL: one worker, then two, then two of which one is killed and replaced.

    python -m tests.bench.bench_fleet [MOVES] [one|two|killed ...]

Each job takes a row every second, and ten seconds to drain: a worker waits for most of the time, as it does for a real
cloud, so two workers are quicker as long as the machine's cores, which all the VMs share, are not busy. No canaries: they go
one after the other.
"""

import json
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psutil

from cpi.demo import client
from cpi.durable.database import database
from cpi.kit.waiting import wait_until
from cpi.migration.durable.records import MoveRecord, Standing
from cpi.migration.durable.workflow import open_book
from cpi.migration.fleet import FleetReport
from fixtures.local_cloud import local_config, local_config_file
from fixtures.postgresql import postgresql
from tests.bench.measuring import show
from tests.migration.database_vm import DatabaseVm, database_vms

_CPI = str(Path(sys.executable).with_name("cpi"))
_SECONDS = 1800.0
_BETWEEN_ROWS_SECONDS = 1.0
_DRAIN = {"command": ["sh", "-c", "echo 10"]}
_AT_ONCE = 16
_ROUNDS = {
    "one": ("1 worker", 1, 96, False),
    "two": ("2 workers", 2, 128, False),
    "killed": ("2 workers, one killed and replaced", 2, 160, True),
}


def main(words: list[str]) -> None:
    """Print the seconds of each round, or of those that are named."""
    moves = next((int(word) for word in words if word.isdigit()), 100)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was made is removed
    client._BETWEEN_ROWS_SECONDS = _BETWEEN_ROWS_SECONDS
    with ExitStack() as made:
        folder = Path(made.enter_context(tempfile.TemporaryDirectory()))
        url = made.enter_context(postgresql())
        local_config_file(folder)
        make = made.enter_context(database_vms(folder, local_config(folder)))
        pool = made.enter_context(ThreadPoolExecutor(_AT_ONCE))
        vms = list(pool.map(lambda _: _drained(make(64, 1)), range(moves)))
        rows = []
        for name, workers, size, killed in [_ROUNDS[word] for word in words if word in _ROUNDS] or _ROUNDS.values():
            seconds, busy = _round(folder, vms, url, workers, size, killed=killed)
            cores = f"{busy / seconds:.1f} of {psutil.cpu_count()}"
            rows.append((name, f"{seconds:.1f}", f"{moves / seconds:.2f}", cores))
            sys.stderr.write(f"{rows[-1]}\n")
            list(pool.map(DatabaseVm.assert_well, vms))
    title = f"{moves} moves of 64 MiB disks, 8 in flight: every acknowledged row is there"
    show(title, ("", "seconds", "moves a second", "cores busy"), rows)


def _drained(vm: DatabaseVm) -> DatabaseVm:
    (job,) = vm.spec["jobs"]
    vm.agent.apply({"jobs": [{**job, "drain": _DRAIN}]})
    return vm


def _busy_seconds() -> float:
    """Of all cores, whoever used them."""
    times = psutil.cpu_times()
    return times.user + times.nice + times.system


def _round(folder: Path, vms: list[DatabaseVm], url: str, workers: int, size: int, *, killed: bool) -> tuple[float, float]:
    """The seconds it took, and those that the cores were busy."""
    entries = [{"vm": str(vm.vm_cid), "disk": str(vm.disk_cid)} for vm in vms]
    defaults = {"config": str(folder / "cpi.json"), "size": size, "strategy": "copy"}
    (folder / "fleet.yml").write_text(json.dumps({"defaults": defaults, "moves": entries}))
    order = [_CPI, "migrate", "--fleet", str(folder / "fleet.yml"), "--database", url, "--queue-only"]
    order += ["--max-in-flight", "8", "--canaries", "0"]
    fleet_id = json.loads(subprocess.run(order, check=True, capture_output=True).stdout)["fleet_id"]
    book = open_book(database(url))
    with ExitStack() as running:
        running.callback(book.close)
        began, busy = time.monotonic(), _busy_seconds()
        started = [_start(url, running) for _ in range(workers)]
        if killed:
            half = len(vms) // 2
            wait_until(lambda: _moved(book.moves(), fleet_id) >= half, "half of the fleet", deadline_seconds=_SECONDS)
            started.pop(0).kill()
            started.append(_start(url, running))

        def ended() -> FleetReport | None:
            if any(worker.poll() for worker in started):
                raise RuntimeError("a worker died")
            return book.fleet_report(fleet_id)

        report = wait_until(ended, "the fleet", deadline_seconds=_SECONDS)
        seconds, busy = time.monotonic() - began, _busy_seconds() - busy
        if report.moved != len(vms):
            raise RuntimeError(f"not all were moved: {report}")
        mine = [record for record in book.moves() if record.fleet_id == fleet_id]
        new = {one.entry.vm: one.outcome.report.disk_cid for one in mine if one.outcome and one.outcome.report}
    for vm in vms:
        vm.disk_cid = new[vm.vm_cid]
    return seconds, busy


def _moved(records: list[MoveRecord], fleet_id: str) -> int:
    return sum(record.fleet_id == fleet_id and record.standing is Standing.MOVED for record in records)


def _start(url: str, running: ExitStack) -> "subprocess.Popen[bytes]":
    command = [_CPI, "worker", "--database", url]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    running.callback(process.wait)
    running.callback(process.kill)
    return process


if __name__ == "__main__":
    main(sys.argv[1:])
