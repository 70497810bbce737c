"""Moves that outlive their processes: who takes what up, and what nobody may do."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from dbos import error
from dbos._sys_db import SystemDatabase
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from cpi.contract import errors
from cpi.contract.encoding import from_plain, to_plain
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.operator import ShowsAgentSettings
from cpi.contract.units import MiB
from cpi.durable import engine as durable
from cpi.durable.database import Database, database
from cpi.durable.locks import executor_lock
from cpi.durable.works import Works
from cpi.kit.redaction import secrets_in
from cpi.kit.waiting import wait_until
from cpi.migration import plan as planning
from cpi.migration.durable import workflow
from cpi.migration.durable.entry import Entry
from cpi.migration.durable.records import MoveRecord, Outcome, Standing
from cpi.migration.report import EventKind, Strategy
from tests.dying_processes import DIED, DyingProcesses, dying_processes
from tests.migration.database_vm import DatabaseVm, MakeVm

_SECONDS = 90.0
"""Until something hangs for sure: on a machine that does much else, all of it takes long."""


@pytest.fixture(scope="module")
def processes() -> Iterator[DyingProcesses]:
    """Other processes."""
    with dying_processes("tests.crash.dying_mover") as made:
        yield made


@pytest.fixture
def kept(tmp_path: Path) -> Database:
    """A database of its own."""
    return database(f"sqlite:///{tmp_path}/state/moves.sqlite")


def _entry(config: Path, vm: DatabaseVm, size: int = 96, **more: Any) -> Entry:
    return Entry(str(config), vm.vm_cid, vm.disk_cid, MiB(size), strategy=Strategy.COPY, **more)


@contextlib.contextmanager
def _engine(kept: Database) -> Iterator[workflow.Engine]:
    with workflow.Engine(kept, pytest.fail) as engine:
        yield engine


def _ended(engine: workflow.Engine, move_id: str) -> Outcome:
    wait_until(lambda: engine.book.move(move_id).standing.is_over and engine.is_idle, move_id, deadline_seconds=_SECONDS)
    outcome = engine.book.move(move_id).outcome
    assert outcome is not None
    return outcome


def _left_by_another(processes: DyingProcesses, kept: Database, config: Path, vm: DatabaseVm, at: str = "create_disk") -> str:
    move_id = uuid.uuid4().hex[:12]
    entry = to_plain(_entry(config, vm))
    died = processes.run(
        folder=str(config.parent), database=kept.url, move_id=move_id, entry=entry, at=at, when="between", hurt="process"
    )
    assert died["status"] == DIED
    return move_id


def test_a_move_is_made_and_kept_with_its_events(make_vm: MakeVm, config: Path, kept: Database) -> None:
    """The disk is moved, the row of the database tells how; an older or newer program knows it by the same names."""
    vm = make_vm(64, 1)
    with _engine(kept) as engine:
        move_id = engine.start(_entry(config, vm))
        outcome = _ended(engine, move_id)
        record = engine.book.move(move_id)
    assert outcome.standing is Standing.MOVED
    assert outcome.report is not None
    vm.disk_cid = outcome.report.disk_cid
    vm.assert_well()
    assert record.events[-1]["kind"] == EventKind.DONE.value
    assert record.events[-1]["step"] == "start_jobs"
    before, after = planning._STEPS[Strategy.COPY]
    assert _names_in(kept)[:2] == ("move", "moves-1")
    assert _names_in(kept)[2:][: 2 + len(before + after)] == ("claim", "plan", *before, *after)


def _names_in(kept: Database) -> tuple[str, ...]:
    """Of the one move, its format and its steps, as the database has them."""
    assert kept.path is not None
    with contextlib.closing(sqlite3.connect(kept.path)) as connection:
        (move,) = connection.execute("SELECT name, application_version FROM workflow_status").fetchall()
        steps = connection.execute("SELECT function_name FROM operation_outputs ORDER BY function_id").fetchall()
    return (*move, *(name for (name,) in steps))


def test_nothing_secret_is_kept(make_vm: MakeVm, config: Path, kept: Database) -> None:
    """Not one secret of the agent's settings is in any file of the state folder, and nobody else may read those."""
    vm = make_vm(64, 1)
    assert isinstance(vm.cloud, ShowsAgentSettings)
    secrets = secrets_in(vm.cloud.agent_settings(vm.vm_cid))
    assert secrets
    with _engine(kept) as engine:
        outcome = _ended(engine, engine.start(_entry(config, vm)))
    assert outcome.report is not None
    vm.disk_cid = outcome.report.disk_cid
    assert kept.path is not None
    files = [path for path in kept.path.parent.rglob("*") if path.is_file()]
    assert all(secret.encode() not in path.read_bytes() for path in files for secret in secrets)
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}
    assert oct(kept.path.parent.stat().st_mode & 0o777) == "0o700"


class Held(NamedTuple):
    """No move of this process makes a disk until it may; its disk is claimed once it reached that."""

    reached: threading.Event
    may: threading.Event


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    """As it says."""
    held, step = Held(threading.Event(), threading.Event()), durable.step

    def slow(name: str, call: Callable[[], Any], /) -> Any:
        if name == "create_disk":
            held.reached.set()
            assert held.may.wait(_SECONDS)
        return step(name, call)

    monkeypatch.setattr(durable, "step", slow)
    return held


def test_two_moves_of_one_disk_are_not_made_at_once(make_vm: MakeVm, config: Path, kept: Database, held: Held) -> None:
    """The second is refused, and names the first; it changes nothing."""
    vm = make_vm(64, 1)
    with _engine(kept) as engine:
        first = engine.start(_entry(config, vm))
        assert held.reached.wait(_SECONDS)
        second = _ended_alone(engine, engine.start(_entry(config, vm, 128)))
        held.may.set()
        outcome = _ended(engine, first)
    assert second.standing is Standing.REFUSED
    assert f"move {first} is using the disk {vm.disk_cid}" in second.message
    assert outcome.report is not None
    vm.disk_cid = outcome.report.disk_cid
    vm.assert_well()


def _ended_alone(engine: workflow.Engine, move_id: str) -> Outcome:
    wait_until(lambda: engine.book.move(move_id).standing.is_over, move_id, deadline_seconds=_SECONDS)
    outcome = engine.book.move(move_id).outcome
    assert outcome is not None
    return outcome


def test_a_disk_whose_move_was_left_is_not_moved_by_another(
    make_vm: MakeVm, config: Path, kept: Database, processes: DyingProcesses
) -> None:
    """What a dead process left is finished by whoever starts; a second move of that disk is refused meanwhile."""
    vm = make_vm(64, 1)
    left = _left_by_another(processes, kept, config, vm)
    with _engine(kept) as engine:
        second = _ended_alone(engine, engine.start(_entry(config, vm, 128)))
        outcome = _ended(engine, left)
    assert second.standing is Standing.REFUSED
    assert left in second.message
    assert outcome.standing is Standing.MOVED
    assert outcome.report is not None
    vm.disk_cid = outcome.report.disk_cid
    vm.assert_well()


def test_a_living_process_keeps_its_moves(make_vm: MakeVm, config: Path, kept: Database, held: Held) -> None:
    """Another one that starts on the same database takes nothing up: the executors differ, and the first one's lock is held."""
    vm = make_vm(64, 1)
    with _engine(kept) as engine:
        move_id = engine.start(_entry(config, vm))
        assert held.reached.wait(_SECONDS)
        other = _other_process(kept)
        held.may.set()
        outcome = _ended(engine, move_id)
        record = engine.book.move(move_id)
    assert other["recovered"] == []
    assert other["executor_id"] != engine.executor_id
    assert record.executor_id == engine.executor_id
    assert outcome.report is not None
    vm.disk_cid = outcome.report.disk_cid
    vm.assert_well()


_OTHER = """
import json, sys
from cpi.migration import plan as planning
from cpi.migration.durable import workflow
from cpi.durable.database import database
with workflow.Engine(database(sys.argv[1]), print, works=True) as engine:
    print(json.dumps({"executor_id": engine.executor_id, "recovered": engine.recover()}))
"""


def _other_process(kept: Database) -> dict[str, Any]:
    environment = {**os.environ, "DBOS__VMID": "local", "DBOS__APPVERSION": "another"}
    done = subprocess.run([sys.executable, "-c", _OTHER, kept.url], env=environment, check=True, capture_output=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_a_newer_program_finishes_an_older_ones_move(
    make_vm: MakeVm, config: Path, kept: Database, processes: DyingProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever DBOS would call this program, and though it would plan the move in another way: the kept plan is finished."""
    vm = make_vm(64, 1)
    left = _left_by_another(processes, kept, config, vm, at="attach_new_disk")
    before, after = planning._STEPS[Strategy.COPY]
    monkeypatch.setitem(planning._STEPS, Strategy.COPY, (before[:1], after[:1]))
    monkeypatch.setenv("DBOS__APPVERSION", "9.9")
    with _engine(kept) as engine:
        outcome = _ended(engine, left)
    assert outcome.standing is Standing.MOVED
    assert outcome.report is not None
    assert [step.name for step in outcome.report.steps] == [*before, *after]
    vm.disk_cid = outcome.report.disk_cid
    vm.assert_well()


def test_a_move_is_cancelled_before_the_swap(make_vm: MakeVm, config: Path, kept: Database, processes: DyingProcesses) -> None:
    """Left by a dead process, cancelled, taken up: it is undone, and the job runs on the old disk."""
    vm = make_vm(64, 1)
    left = _left_by_another(processes, kept, config, vm, at="attach_new_disk")
    book = workflow.open_book(kept)
    assert book.move(left).standing is Standing.LEFT
    book.cancel(left)
    book.close()
    with _engine(kept) as engine:
        outcome = _ended(engine, left)
    assert outcome.standing is Standing.CANCELLED
    assert outcome.left == ()
    vm.assert_well()
    assert vm.disks() == {vm.disk_cid}


def test_who_tells_of_moves_is_not_broken_by_the_engines_end(kept: Database) -> None:
    """A thread may be about to write, or to ask, when the database is let go of."""
    with _engine(kept) as engine:
        assert engine.teller._ask("m") is False
    assert engine.teller._ask("m") is None
    engine.teller._write("m", {"events": []})


def test_a_move_may_be_taken_as_soon_as_the_database_is_open(kept: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Queues are listened to from that moment on, so the engine is whole before."""
    launch, parts = durable._launch, list[Any]()

    def launched(*told: Any, **more: Any) -> None:
        engine, _ = workflow._running()
        parts.extend([engine.book, engine.teller, engine.locks, engine.leaving])
        launch(*told, **more)

    monkeypatch.setattr(durable, "_launch", launched)
    monkeypatch.setattr(durable, "work_id", lambda: "m")
    with workflow.Engine(kept, pytest.fail, works=True) as engine:
        assert parts == [engine.book, engine.teller, engine.locks, False]


def test_what_is_still_under_way_when_the_engine_is_closed_is_nobody_elses(
    make_vm: MakeVm, config: Path, kept: Database, held: Held
) -> None:
    """A step cannot be stopped: until the process is dead nobody may take it for dead, and no step follows."""
    vm = make_vm(64, 1)
    with _engine(kept) as engine:
        move_id = engine.start(_entry(config, vm))
        assert held.reached.wait(_SECONDS)
    try:
        others = kept.locks(pytest.fail)
        assert not others.is_free(executor_lock(engine.executor_id))
        held.may.set()
        wait_until(lambda: engine.is_idle, "its last step has ended", deadline_seconds=_SECONDS)
        assert vm.disks() == {vm.disk_cid}
    finally:
        engine.locks.close()
    assert others.is_free(executor_lock(engine.executor_id))
    with _engine(kept) as engine:
        outcome = _ended(engine, move_id)
    assert outcome.report is not None
    vm.disk_cid = outcome.report.disk_cid
    vm.assert_well()


def test_who_watches_for_the_dead_is_not_stopped_by_a_fault(kept: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that is too slow once is asked again."""
    monkeypatch.setattr(durable, "_WATCH_SECONDS", 0.01)
    asked = list[int]()

    def recover(_: durable.Executor) -> list[str]:
        asked.append(1)
        if len(asked) in (2, 3):
            raise (error.DBOSException if len(asked) == 2 else SQLAlchemyError)("too slow")
        return []

    monkeypatch.setattr(durable.Executor, "recover", recover)
    with workflow.Engine(kept, pytest.fail, works=True):
        wait_until(lambda: len(asked) > 4, "it goes on", deadline_seconds=_SECONDS)


def test_a_database_that_goes_away_between_two_questions_is_told(kept: Database) -> None:
    """Whoever follows moves is told in a sentence."""

    def lost(**_: object) -> None:
        raise SQLAlchemyError("the server closed the connection")

    works = Works(durable._Asked(kept, SimpleNamespace(list_workflows=lost)))  # type: ignore[arg-type]  # all that is asked
    with pytest.raises(errors.CpiError, match=r"moves\.sqlite cannot be used: the server closed the connection"):
        works.rows()


def test_a_vm_that_is_not_there_fails_with_nothing_changed(make_vm: MakeVm, config: Path, kept: Database) -> None:
    """Told as it is, and a move with a configuration that is not there is refused."""
    vm = make_vm(64, 1)
    with _engine(kept) as engine:
        entry = _entry(config, vm)
        failed = _ended(engine, engine.start(Entry(entry.config, VmCid("vm-0"), entry.disk, entry.size)))
        refused = _ended(engine, engine.start(Entry(f"{entry.config}.not", entry.vm, entry.disk, entry.size)))
    assert (failed.standing, refused.standing) == (Standing.FAILED, Standing.REFUSED)
    assert "nothing was changed" in failed.message
    assert "does not exist" in refused.message


def test_records_survive_json() -> None:
    """A record is plain values."""
    entry = Entry("/c", VmCid("vm"), DiskCid("disk"), MiB(1))
    record = MoveRecord("m", Standing.LEFT, entry, 1.0, outcome=Outcome(Standing.FAILED, "why", left=("this",)))
    assert from_plain(to_plain(record), MoveRecord) == record


_WITHOUT = """
import sys
sys.modules["dbos"] = None
import cpi.migration
import cpi.migration.durable.entry, cpi.migration.durable.records, cpi.migration.fleet
from cpi.contract import errors
try:
    import cpi.migration.durable.workflow
except errors.CpiError as error:
    print(error.message)
"""


def test_without_dbos_the_plain_move_is_there_and_the_durable_one_says_what_to_install() -> None:
    """`import cpi.migration` needs no engine."""
    done = subprocess.run([sys.executable, "-c", _WITHOUT], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "durable work needs DBOS; install it with: pip install 'multicpi[durable]'"


@pytest.mark.parametrize("at", ["claim", "attach_new_disk", "start_jobs"])
def test_who_cannot_write_a_move_down_any_more_ends_with_a_word(
    make_vm: MakeVm, config: Path, kept: Database, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """The state folder is full: the jobs run, on the old disk or on the new one, and a resume finds what is true."""
    vm, told, full = make_vm(64, 1), list[str](), list[str]()
    record = SystemDatabase._record_operation_result_txn

    def kept_until_it_is_full(self: SystemDatabase, result: Any, *told: Any, **more: Any) -> None:
        if full or result["function_name"] == at:
            full.append(at)
            raise OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full"))
        record(self, result, *told, **more)

    monkeypatch.setattr(SystemDatabase, "_record_operation_result_txn", kept_until_it_is_full)
    with workflow.Engine(kept, told.append) as engine:
        move_id = engine.start(_entry(config, vm))
        wait_until(lambda: bool(told) and engine.is_idle, "it is told", deadline_seconds=_SECONDS)
    assert "database or disk is full" in told[0]
    monkeypatch.setattr(SystemDatabase, "_record_operation_result_txn", record)
    with _engine(kept) as engine:
        left = engine.book.move(move_id)
        if left.standing.is_over:
            move_id = engine.start_again(left)
        outcome = _ended(engine, move_id)
    assert outcome.standing is Standing.MOVED, outcome.message
    assert outcome.report is not None
    vm.disk_cid = outcome.report.disk_cid
    vm.assert_well()
