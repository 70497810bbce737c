"""A fleet on a real PostgreSQL, with workers that are killed."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from cpi.contract.ids import DiskCid
from cpi.durable.database import database
from cpi.kit.waiting import wait_until
from cpi.migration.durable.book import Book
from cpi.migration.durable.records import MoveRecord, Standing
from cpi.migration.durable.workflow import open_book
from tests.migration.database_vm import DatabaseVm, MakeVm

_CPI = str(Path(sys.executable).with_name("cpi"))
_MOVES = 6
_SECONDS = 120.0
_ORDER = ("--queue-only", "--json", "--max-in-flight", "4", "--canaries", "1", "--stop-when-failed", "0")

pytestmark = pytest.mark.slow


@contextmanager
def _worker(url: str) -> Iterator["subprocess.Popen[bytes]"]:
    command = [_CPI, "worker", "--database", url]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def _book(url: str) -> Iterator[Book]:
    book = open_book(database(url))
    try:
        yield book
    finally:
        book.close()


def _order_fleet(folder: Path, config: Path, vms: list[DatabaseVm], url: str, *more: str) -> str:
    entries = [{"vm": str(vm.vm_cid), "disk": str(vm.disk_cid)} for vm in vms]
    file = folder / "fleet.yml"
    file.write_text(json.dumps({"defaults": {"config": str(config), "size": "96M", "strategy": "copy"}, "moves": entries}))
    command = [_CPI, "migrate", "--fleet", str(file), "--database", url, *_ORDER, *more]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
    return str(json.loads(done.stdout)["fleet_id"])


@pytest.mark.timeout(300)
def test_a_fleet_gets_to_its_end_though_a_worker_is_killed(tmp_path: Path, config: Path, make_vm: MakeVm, postgres: str) -> None:
    """Two workers; one is killed with moves under way, another starts; every disk is moved and every row is there."""
    vms = [make_vm(64, 1) for _ in range(_MOVES)]
    before = [one.disk_cid for one in vms]
    fleet_id = _order_fleet(tmp_path, config, vms, postgres)
    with ExitStack() as workers, _book(postgres) as book:
        two = [workers.enter_context(_worker(postgres)) for _ in range(2)]  # one alone may take every move

        def busy() -> "subprocess.Popen[bytes] | None":
            return next((one for one in two if _is_busy(book, fleet_id, one.pid)), None)

        wait_until(busy, "a worker is busy", deadline_seconds=_SECONDS).kill()
        workers.enter_context(_worker(postgres))
        report = wait_until(lambda: book.fleet_report(fleet_id), "the fleet", deadline_seconds=_SECONDS)
        mine = {record.entry.vm: record for record in book.moves() if record.fleet_id == fleet_id}
    assert (report.moved, report.failed, report.not_begun) == (_MOVES, 0, 0)
    for one, old in zip(vms, before, strict=True):
        one.disk_cid = _new_disk(mine[one.vm_cid])
        assert one.disk_cid != old
        one.assert_well()
    assert vms[0].disks() == {one.disk_cid for one in vms} | set(before)


def _is_busy(book: Book, fleet_id: str, pid: int) -> bool:
    mine = [record for record in book.moves() if record.fleet_id == fleet_id]
    here = [record for record in mine if record.executor_id and f"-{pid}-" in record.executor_id]
    return any(record.standing is Standing.UNDER_WAY and record.events for record in here) and len(mine) > 1


def _new_disk(record: MoveRecord) -> DiskCid:
    assert record.outcome is not None
    assert record.outcome.report is not None
    return record.outcome.report.disk_cid


@pytest.mark.timeout(300)
def test_a_canary_that_fails_stops_the_fleet(tmp_path: Path, config: Path, make_vm: MakeVm, postgres: str) -> None:
    """The other disks are not touched."""
    vms = [make_vm(64, 1) for _ in range(2)]
    vms[0].cloud.delete_vm(vms[0].vm_cid)
    fleet_id = _order_fleet(tmp_path, config, vms, postgres)
    with _worker(postgres), _book(postgres) as book:
        report = wait_until(lambda: book.fleet_report(fleet_id), "the fleet", deadline_seconds=_SECONDS)
    assert (report.moved, report.failed, report.not_begun, report.stopped) == (0, 1, 1, "a canary failed")
    vms[1].assert_well()
