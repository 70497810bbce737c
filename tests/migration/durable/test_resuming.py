"""What a later process finds of a live copy, and what it makes of it."""

import contextlib
import os
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cpi.contract.encoding import to_plain
from cpi.contract.units import MiB
from cpi.durable.database import Database, database
from cpi.kit.waiting import wait_until
from cpi.migration import MoveFailed, live_steps
from cpi.migration.durable import workflow
from cpi.migration.durable.entry import Entry
from cpi.migration.durable.records import Outcome, Standing
from cpi.migration.report import Strategy
from cpi.migration.stopping import NotWorth
from fixtures.local_cloud import local_config
from tests.dying_processes import DIED, dying_processes
from tests.migration.database_vm import DatabaseVm, MakeVm, database_vms

_SECONDS = 90.0
_DAY = 24 * 3600


@pytest.fixture
def kept(tmp_path: Path) -> Database:
    """A database of its own."""
    return database(f"sqlite:///{tmp_path}/state/moves.sqlite")


@contextlib.contextmanager
def _engine(kept: Database) -> Iterator[workflow.Engine]:
    with workflow.Engine(kept, pytest.fail) as engine:
        yield engine


def _ended(engine: workflow.Engine, move_id: str) -> Outcome:
    wait_until(lambda: engine.book.move(move_id).standing.is_over and engine.is_idle, move_id, deadline_seconds=_SECONDS)
    outcome = engine.book.move(move_id).outcome
    assert outcome is not None
    return outcome


def _a_day_passes(kept: Database, vm: DatabaseVm) -> None:
    """All times that are kept, in the database and in the guest, are a day older."""
    assert kept.path is not None
    with contextlib.closing(sqlite3.connect(kept.path)) as connection, connection:
        columns = [name for _, name, *_ in connection.execute("PRAGMA table_info(workflow_status)")]
        for column in {"created_at", "updated_at", "started_at_epoch_ms"} & set(columns):
            connection.execute(f"UPDATE workflow_status SET {column} = {column} - {_DAY * 1000}")  # noqa: S608 - known names
    for folder, _, names in os.walk(vm.seen / "var/vcap/data"):
        for name in names:
            path = Path(folder, name)
            with contextlib.suppress(FileNotFoundError):
                os.utime(path, (path.stat().st_atime - _DAY, path.stat().st_mtime - _DAY))


def _status(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_ctime_ns, found.st_size


def test_a_move_left_for_a_day_goes_on_from_what_is_copied(make_vm: MakeVm, config: Path, kept: Database) -> None:
    """Its process died when all was copied and nothing of it written down: the same disk, and what did not change stays there."""
    vm = make_vm(96, 24)
    entry = Entry(str(config), vm.vm_cid, vm.disk_cid, MiB(128), strategy=Strategy.LIVE_COPY)
    move_id = uuid.uuid4().hex[:12]
    with dying_processes("tests.crash.dying_mover") as processes:
        died = processes.run(
            folder=str(config.parent),
            database=kept.url,
            move_id=move_id,
            entry=to_plain(entry),
            at="copy_live",
            when="between",
            hurt="process",
        )
    assert died["status"] == DIED, died
    (made,) = vm.disks() - {vm.disk_cid}
    copied = _status(vm.seen / "var/vcap/store_migration_target/old-data")
    _a_day_passes(kept, vm)
    vm.writer.wait_for_more(3)
    with _engine(kept) as engine:
        outcome = _ended(engine, move_id)
    assert outcome.standing is Standing.MOVED, outcome.message
    assert outcome.report is not None
    assert outcome.report.disk_cid == made
    assert _status(vm.seen / "var/vcap/store/old-data") == copied
    vm.disk_cid = outcome.report.disk_cid
    vm.assert_well()


def test_a_live_try_that_becomes_a_plain_copy_is_written_down_as_that(
    make_vm: MakeVm, config: Path, kept: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads the records, and whoever takes the move up, goes the way that it went."""

    def not_worth(*_: Any) -> None:
        raise NotWorth("made to take too long")

    monkeypatch.setattr(live_steps, "check_worth", not_worth)
    vm = make_vm(64, 1)
    with _engine(kept) as engine:
        outcome = _ended(engine, engine.start(Entry(str(config), vm.vm_cid, vm.disk_cid, MiB(96))))
    assert outcome.report is not None, outcome.message
    assert (outcome.standing, outcome.report.strategy) == (Standing.MOVED, Strategy.COPY)
    assert "made to take too long" in outcome.report.notes
    vm.disk_cid = outcome.report.disk_cid
    vm.assert_well()


@pytest.mark.root
def test_another_size_under_the_same_name_is_found_out(tmp_path: Path) -> None:
    """The cloud answers the disk that was made for that move: one that is too small ends the move, a larger one is told of."""
    with database_vms(tmp_path, local_config(tmp_path, "loop")) as make:
        vm = make(96, 2)
        with pytest.raises(MoveFailed, match="256 MiB were requested, but the guest sees a disk of 128 MiB"):
            _again(vm, 128, 256)
        assert vm.disks() == {vm.disk_cid}
        report = _again(vm, 256, 128)
        assert [note for note in report.notes if "128 MiB were requested, but the new disk has 256 MiB" in note]
        vm.assert_well()


def _again(vm: DatabaseVm, first: int, second: int) -> Any:
    vm.cloud.create_disk(MiB(first), {}, vm.vm_cid, "move-again")
    return vm.move(second, strategy="live_copy", shell=vm.shell(), move_id="again")
