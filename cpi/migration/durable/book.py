"""The moves that a database knows, read and marked."""

from collections.abc import Mapping
from typing import Final

from cpi.contract import errors
from cpi.contract.encoding import from_plain
from cpi.contract.ids import DiskCid
from cpi.durable.locks import Locks, executor_lock
from cpi.durable.works import Row, Works
from cpi.migration.durable.entry import Entry
from cpi.migration.durable.records import MoveRecord, Outcome, Standing, outcome_of
from cpi.migration.fleet import FleetReport

MOVE: Final = "move"
FLEET: Final = "fleet"
"""How they are called in the database."""


class Book:
    """The moves that a database knows, read and marked; runs nothing."""

    def __init__(self, works: Works, locks: Locks) -> None:
        self._works = works
        self._locks = locks

    def moves(self) -> list[MoveRecord]:
        """All of them, in the order of their making."""
        return self._works.read(self._works.rows(MOVE), lambda row: row.work_id, self._record)

    @property
    def unreadable(self) -> Mapping[str, str]:
        """What is in the database and cannot be read, by its id, and why: it was left out of what was asked for."""
        return self._works.unreadable

    def move(self, move_id: str) -> MoveRecord:
        """One of them, or the newest try of it. Raises CpiError if there is none."""
        rows = [row for row in self._works.rows(MOVE, prefix=move_id) if _is_try_of(move_id, row.work_id)]
        if not rows:
            reason = self.unreadable.get(move_id)
            if reason is not None:
                raise errors.CpiError(f"the move {move_id} cannot be read: {reason}")
            raise errors.CpiError(f"unknown move {move_id}; `cpi migrations` lists the moves in this database")
        read = self._works.read(rows[-1:], lambda row: row.work_id, self._record)
        if not read:
            raise errors.CpiError(f"the move {rows[-1].work_id} cannot be read: {self.unreadable[rows[-1].work_id]}")
        return read[0]

    def standing(self, move_id: str) -> Standing | None:
        """How a move ended; None while it has not."""
        rows = self._works.rows(ids=[move_id])
        if rows and rows[0].is_open:
            return None
        read = self._works.read(rows, lambda row: row.work_id, lambda row: outcome_of(row.answer, row.fault, was_cancelled=False))
        return read[0].standing if read else Standing.FAILED

    def has_ended(self, work_id: str) -> bool:
        """Whether a move or a fleet is over, however it ended."""
        rows = self._works.rows(ids=[work_id])
        return bool(rows) and not rows[0].is_open

    def fleet_report(self, fleet_id: str) -> FleetReport | None:
        """How a fleet ended; None if it has not, is unknown, or ended by a fault."""
        rows = [row for row in self._works.rows(FLEET, ids=[fleet_id]) if row.answer is not None]
        read = self._works.read(rows, lambda row: row.work_id, lambda row: from_plain(row.answer, FleetReport))
        return read[0] if read else None

    def fleets(self) -> set[str]:
        """The ids of all fleets."""
        return {row.work_id for row in self._works.rows(FLEET)}

    def cancel(self, wanted: str) -> None:
        """Wish for a move, or for a fleet with all its moves, to be given up."""
        known = [row.work_id for row in self._works.rows() if row.work_id == wanted or _belongs(row, wanted)]
        if not known:
            raise errors.CpiError(f"unknown move or fleet {wanted}; `cpi migrations` lists those in this database")
        for work_id in known:
            self._works.mark(work_id, {"cancel": True})

    def take_back(self, move_id: str) -> None:
        """No longer wish for a move to be given up, if its process died before it was: who takes it up goes on with it."""
        record = self.move(move_id)
        if record.cancelling and record.standing is Standing.LEFT:
            self._works.mark(record.move_id, {"cancel": False})

    def is_cancelled(self, work_id: str) -> bool:
        """Whether somebody wished so."""
        return bool(self._works.attributes(work_id).get("cancel"))

    def keep_made(self, move_id: str, disk_cid: DiskCid | None) -> None:
        """Remember the disk that was made for a move; None: it is there no more."""
        self._works.mark(move_id, {"made": disk_cid and str(disk_cid)})

    def half_made(self, move_id: str) -> list[MoveRecord]:
        """The tries of a move whose disk was made and not removed."""
        base = move_id.partition(".")[0]
        return [record for record in self.moves() if record.made is not None and _is_try_of(base, record.move_id)]

    def claimant(self, key: str, but: str) -> str | None:
        """The move, other than one, that has this disk in hand and has not ended."""
        rows = self._works.rows(MOVE, open_only=True)
        return next((row.work_id for row in rows if row.work_id != but and row.attributes.get("claims") == key), None)

    def close(self) -> None:
        """Let go of the database."""
        self._locks.close()
        self._works.close()

    def _record(self, row: Row) -> MoveRecord:
        cancelling = bool(row.attributes.get("cancel"))
        outcome = None if row.is_open else outcome_of(row.answer, row.fault, was_cancelled=cancelling)
        return MoveRecord(
            move_id=row.work_id,
            standing=outcome.standing if outcome else self._standing(row),
            entry=from_plain(row.argument, Entry),
            created=row.created,
            fleet_id=row.attributes.get("fleet"),
            executor_id=row.executor_id or None,
            events=tuple(event for event in row.attributes.get("events") or () if {"serial", "kind", "message"} <= event.keys()),
            cancelling=cancelling,
            outcome=outcome,
            made=_made(row, outcome),
            claims=None if row.attributes.get("claims") is None else str(row.attributes["claims"]),
        )

    def _standing(self, row: Row) -> Standing:
        if row.is_queued:
            return Standing.QUEUED
        return Standing.LEFT if self._locks.is_free(executor_lock(row.executor_id)) else Standing.UNDER_WAY


def _made(row: Row, outcome: Outcome | None) -> DiskCid | None:
    made = row.attributes.get("made")
    return DiskCid(str(made)) if made and not (outcome is not None and outcome.swapped) else None


def _is_try_of(move_id: str, work_id: str) -> bool:
    return work_id == move_id or work_id.startswith(f"{move_id}.")


def _belongs(row: Row, fleet_id: str) -> bool:
    return row.attributes.get("fleet") == fleet_id or _is_try_of(fleet_id, row.work_id)
