"""Moves as durable works: what keeps, claims and makes each of them, and a fleet of them."""

import contextlib
import threading
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import msgspec

from cpi import config as configuration
from cpi.agent.protocol import Deadlines
from cpi.contract import errors
from cpi.contract.encoding import from_plain, to_plain
from cpi.durable import engine as durable
from cpi.durable.database import Database
from cpi.durable.succession import disk_lock
from cpi.kit.redaction import scrubbed
from cpi.kit.waiting import wait_until
from cpi.migration.durable.book import FLEET, MOVE, Book
from cpi.migration.durable.entry import Entry
from cpi.migration.durable.faults import MoveCancelled
from cpi.migration.durable.faults import from_plain as error_from_plain
from cpi.migration.durable.faults import to_plain as error_to_plain
from cpi.migration.durable.reaching import EntrySite
from cpi.migration.durable.recording import Recorder
from cpi.migration.durable.records import MoveRecord, Outcome, Standing
from cpi.migration.durable.telling import Teller
from cpi.migration.fleet import Fleet, FleetReport, Tally, room, why_stopped
from cpi.migration.moving import State
from cpi.migration.performing import UNDO, Done, Perform
from cpi.migration.report import MoveFailed, MoveRefused
from cpi.migration.routine import carry_out

T = TypeVar("T")

FORMAT: Final = "moves-1"
"""The version of what is kept: another one only if an older program's moves could not be finished any more."""

_QUEUES: Final = ("moves", "fleets")
_CLAIM_SECONDS: Final = 60.0
_FOR_EVER: Final = float("inf")


def open_book(kept: Database, on_lost: Callable[[str], None] = lambda _: None) -> Book:
    """The moves of a database, to look at. Raises CpiError if it cannot be read. on_lost is told when it answers no more."""
    if not kept.exists():
        raise errors.CpiError(f"{kept.path} does not exist: no move was ever made with it")
    with contextlib.ExitStack() as made:
        locks = kept.locks(on_lost)
        made.callback(locks.close)
        book = Book(durable.works_of(kept), locks)
        made.pop_all()
    return book


class Engine:
    """Makes moves in this process, and takes up those that dead processes left. One in a process at a time."""

    def __init__(
        self,
        kept: Database,
        on_lost: Callable[[str], None],
        *,
        works: bool = False,
        deadlines: Deadlines | None = None,
    ) -> None:
        """works takes queued moves too. on_lost is told that others take this process for dead: it has to end at once."""
        global _engine  # noqa: PLW0603 - the engine finds works by their names, so they find this one here
        self._executor = durable.Executor(kept, FORMAT, on_lost, queues=_QUEUES, works=works)
        self.executor_id = self._executor.executor_id
        self.deadlines = deadlines
        self.locks = self._executor.locks
        self.book = Book(self._executor.works, self.locks)
        self.teller = Teller(durable.unless_closed(self._executor.works.mark), durable.unless_closed(self.book.is_cancelled))
        self.leaving = False
        self._active: set[str] = set()
        self._guard = threading.Lock()
        _engine = self
        with contextlib.ExitStack() as made:
            made.callback(self.close)
            self._executor.launch()
            (self._executor.watch if works else self.recover)()
            made.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def start(self, entry: Entry, move_id: str | None = None) -> str:
        """Begin a move here, at once. Its id."""
        move_id = move_id or uuid.uuid4().hex[:12]
        self._executor.begin(_move, move_id, to_plain(entry))
        return move_id

    def start_again(self, record: MoveRecord) -> str:
        """Try a move that has ended once more: what it has made is found and used. Its new id."""
        base, _, number = record.move_id.partition(".")
        # The jobs may be stopped only because the try before stopped them.
        swapped = record.outcome is not None and record.outcome.swapped
        entry = msgspec.structs.replace(
            record.entry,
            start_jobs=record.entry.start_jobs is not False,
            finish=record.entry.to is not None and (record.entry.finish or swapped),
        )
        return self.start(entry, f"{base}.{int(number or 1) + 1}")

    def start_fleet(self, fleet: Fleet) -> str:
        """Queue a fleet for whoever works. Its id."""
        fleet_id = f"fleet-{uuid.uuid4().hex[:8]}"
        self._executor.enqueue("fleets", _fleet, fleet_id, to_plain(fleet))
        return fleet_id

    def start_of_fleet(self, fleet_id: str, move_id: str, entry: Entry) -> None:
        """Queue a move of a fleet for whoever works."""
        self._executor.enqueue("moves", _move, move_id, to_plain(entry), {"fleet": fleet_id})

    def recover(self) -> list[str]:
        """Take up what dead processes left. The ids of the moves."""
        return self._executor.recover()

    def claim(self, move_id: str, lock: str) -> None:
        """Mark a move as the one that has a disk in hand."""
        self._executor.works.mark(move_id, {"claims": lock})

    @property
    def is_idle(self) -> bool:
        """Whether no move is under way in this process."""
        with self._guard:
            return not self._active

    def close(self, patience_seconds: int = 0) -> None:
        """Take no more, give the moves under way so long to end, and leave the rest to be taken up by others."""
        global _engine  # noqa: PLW0603 - as above
        self.leaving = True
        self._executor.close(lambda: self.is_idle, patience_seconds)
        self.teller.close()
        _engine = None

    def begin(self, workflow_id: str) -> None:
        """A workflow runs here."""
        with self._guard:
            self._active.add(workflow_id)
        self.teller.begin(workflow_id)

    def end(self, workflow_id: str) -> None:
        """It has ended, though its last events may not be written down."""
        try:
            self.teller.end(workflow_id)
        finally:
            with self._guard:
                self._active.discard(workflow_id)


_engine: Engine | None = None


@durable.work(MOVE)
def _move(kept: dict[str, Any]) -> dict[str, Any]:
    """One move; what it returns is an Outcome."""
    engine, move_id = _running()
    entry = from_plain(kept, Entry)
    engine.begin(move_id)
    try:
        with EntrySite(entry, engine.deadlines, move_id) as site:
            outcome = _claimed(engine, move_id, entry, site)
    finally:
        engine.end(move_id)
    plain: dict[str, Any] = to_plain(outcome)
    return plain


def _claimed(engine: Engine, move_id: str, entry: Entry, site: EntrySite) -> Outcome:
    mine: list[str] = []
    try:
        claim = durable.step("claim", partial(_claim, engine, move_id, entry, mine))
        if "fault" in claim:
            return Outcome(Standing.REFUSED, message=error_from_plain(claim["fault"]).message)
        if not mine:
            # The claim was made before this process took the move up: whoever has the lock is only about to be refused.
            wait_until(lambda: engine.locks.hold(claim["lock"]), "the disk's lock", deadline_seconds=_FOR_EVER)
            mine.append(claim["lock"])
        site.is_ours = True
        return _moved(engine, move_id, entry, site)
    finally:
        for lock in mine:
            engine.locks.release(lock)


def _claim(engine: Engine, move_id: str, entry: Entry, mine: list[str]) -> dict[str, Any]:
    try:
        lock = disk_lock(configuration.plugin_of(configuration.read_document(entry.config)), entry.disk)
        other = _holder(engine, move_id, lock, mine)
        if other is not None:
            raise MoveRefused(_taken(entry.disk, other))
    except errors.Error as error:
        return {"fault": error_to_plain(error)}
    engine.claim(move_id, lock)
    return {"lock": lock}


def _holder(engine: Engine, move_id: str, lock: str, mine: list[str]) -> str | None:
    """Who has the disk; None if it is ours now. A lock without a move is one that is just beginning, or has just ended."""

    def settled() -> bool:
        if not mine and engine.locks.hold(lock):
            mine.append(lock)
        return bool(mine) or engine.book.claimant(lock, move_id) is not None

    wait_until(settled, f"the {lock}, which another process has in hand, to be free", deadline_seconds=_CLAIM_SECONDS)
    return engine.book.claimant(lock, move_id)


def _taken(disk_cid: str, other: str) -> str:
    return (
        f"move {other} is using the disk {disk_cid}: follow it with `cpi migrations --follow`,"
        f" finish it with `cpi migrate --resume {other}`, or cancel it with `cpi migrations cancel {other}`"
    )


def _moved(engine: Engine, move_id: str, entry: Entry, site: EntrySite) -> Outcome:
    recorder = Recorder(
        keep=durable.step,
        ready=site.open,
        is_cancelled=partial(engine.book.is_cancelled, move_id),
        was_cancelled=partial(engine.teller.is_cancelled, move_id),
        on_event=partial(engine.teller.tell, move_id),
    )
    perform = partial(_remembering_the_disk, engine, move_id, recorder.perform)
    try:
        report = carry_out(entry.order(move_id), site, recorder.tell, again=True, perform=perform)
    except MoveFailed as failed:
        standing = Standing.CANCELLED if recorder.cancelled and not failed.left else Standing.FAILED
        message = scrubbed(failed.message)
        lost = isinstance(failed.__cause__, errors.DiskNotFound)
        return Outcome(standing, message, failed.report, failed.swapped, failed.undone, failed.left, disk_lost=lost)
    except MoveRefused as refused:
        return Outcome(Standing.REFUSED, scrubbed(refused.message))
    except MoveCancelled as cancelled:
        return Outcome(Standing.CANCELLED, cancelled.message)
    except errors.Error as error:
        return _not_begun(engine, move_id, site, error)
    return Outcome(Standing.MOVED, report=report, swapped=True)


def _remembering_the_disk(
    engine: Engine, move_id: str, perform: Perform, name: str, kind: type[T], call: Callable[[], T], /
) -> Done[T]:
    """As perform. A disk that was made is known until it is removed, whatever becomes of the VM and of this process."""

    def remembered() -> T:
        answer = call()
        if name == "create_disk" and isinstance(answer, State):
            engine.book.keep_made(move_id, answer.disk_cid)
        elif name == f"{UNDO}create_disk":
            with contextlib.suppress(durable.NotKept):  # who lists disks asks the cloud whether there is one
                engine.book.keep_made(move_id, None)
        return answer

    return perform(name, kind, remembered)


def _not_begun(engine: Engine, move_id: str, site: EntrySite, error: errors.Error) -> Outcome:
    """Nothing can be done in a VM that is gone, but what an earlier try has made for it can be removed."""
    freed = durable.step("free", partial(_freed, engine, move_id, site))
    if not freed["gone"]:
        return Outcome(Standing.FAILED, f"nothing was changed: {scrubbed(error.message)}")
    unchanged = "" if freed["freed"] else "nothing was changed: "
    lines = [f"{unchanged}the VM {site.vm_cid} is gone", *freed["freed"]]
    return Outcome(Standing.FAILED, "\n  ".join(lines), left=tuple(freed["left"]))


def _freed(engine: Engine, move_id: str, site: EntrySite) -> dict[str, Any]:
    freed, left = list[str](), list[str]()
    try:
        if not site.is_gone():
            return {"gone": False}
        for record in engine.book.half_made(move_id):
            if record.made is not None:
                site.cloud.delete_disk(record.made)
                engine.book.keep_made(record.move_id, None)
                freed.append(f"the disk {record.made}, which was made for it, is deleted")
    except errors.Error as error:
        left.append(f"delete the disk that was made for it: {scrubbed(error.message)}")
    return {"gone": True, "freed": freed, "left": left}


@durable.work(FLEET)
def _fleet(kept: dict[str, Any]) -> dict[str, Any]:
    """A fleet: begins moves as the rules admit them; what it returns is a FleetReport."""
    engine, fleet_id = _running()
    engine.begin(fleet_id)
    try:
        return _fleet_moved(engine, fleet_id, from_plain(kept, Fleet))
    finally:
        engine.end(fleet_id)


def _fleet_moved(engine: Engine, fleet_id: str, fleet: Fleet) -> dict[str, Any]:
    tally, cancelled = Tally(), False
    running: list[str] = []
    while True:
        cancelled = cancelled or durable.step("cancelled?", partial(engine.book.is_cancelled, fleet_id))
        for _ in range(0 if cancelled else room(fleet, tally)):
            move_id = f"{fleet_id}-{tally.begun + 1:04}"
            engine.start_of_fleet(fleet_id, move_id, fleet.entries[tally.begun])
            running.append(move_id)
            tally = Tally(tally.begun + 1, tally.succeeded)
        if not running:
            break
        ended, succeeded = durable.step("ended", partial(_first_ended, engine, fleet_id, tuple(running)))
        running.remove(ended)
        tally = Tally(tally.begun, (*tally.succeeded, succeeded))
    plain: dict[str, Any] = to_plain(_fleet_report(fleet_id, fleet, tally, cancelled=cancelled))
    return plain


def _fleet_report(fleet_id: str, fleet: Fleet, tally: Tally, *, cancelled: bool) -> FleetReport:
    not_begun = len(fleet.entries) - tally.begun
    stopped = ("it was cancelled" if cancelled else why_stopped(fleet, tally)) if not_begun else None
    return FleetReport(fleet_id, len(fleet.entries), tally.succeeded.count(True), tally.failed, not_begun, stopped)


class Leaving(BaseException):
    """The process ends: the fleet is looked after by another one. No Exception, for nothing must be recorded of it."""


def _first_ended(engine: Engine, fleet_id: str, move_ids: Sequence[str]) -> tuple[str, bool]:
    def ended() -> tuple[str, bool] | None:
        if engine.leaving:
            raise Leaving(fleet_id)
        standings = ((move_id, engine.book.standing(move_id)) for move_id in move_ids)
        return next(((move_id, one is Standing.MOVED) for move_id, one in standings if one is not None), None)

    return wait_until(ended, "a move of the fleet", deadline_seconds=_FOR_EVER, longest_pause_seconds=durable.POLL_SECONDS)


def _running() -> tuple[Engine, str]:
    if _engine is None:
        raise errors.CpiError("a move is made by an engine only")
    return _engine, durable.work_id()
