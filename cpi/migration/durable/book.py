"""The moves that a database knows, read and marked."""

from typing import Any, Final

from cpi.contract import errors
from cpi.contract.encoding import from_plain
from cpi.durable.locks import Locks, executor_lock
from cpi.migration.durable.entry import Entry
from cpi.migration.durable.records import MoveRecord, Standing, outcome_of
from cpi.migration.fleet import FleetReport

MOVE: Final = "move"
FLEET: Final = "fleet"
"""How the workflows are called in the database."""

_OPEN: Final = ["PENDING", "ENQUEUED"]


def disk_lock(plugin: str, disk_cid: str) -> str:
    """What a move holds as long as it is under way, however its configuration is called."""
    return f"disk {plugin}:{disk_cid}"


class Book:
    """The moves that a database knows, read and marked; runs nothing."""

    def __init__(self, source: Any, locks: Locks) -> None:
        """source is DBOS or its client: both have the same words for what is asked here."""
        self._source = source
        self._locks = locks

    def moves(self) -> list[MoveRecord]:
        """All of them, in the order of their making."""
        return [self._record(row) for row in self._rows(name=MOVE)]

    def move(self, move_id: str) -> MoveRecord:
        """One of them, or the newest try of it. Raises CpiError if there is none."""
        rows = [row for row in self._rows(name=MOVE, workflow_id_prefix=move_id) if _is_try_of(move_id, row.workflow_id)]
        if not rows:
            raise errors.CpiError(f"there is no move {move_id} in this database; `cpi migrations` shows those there are")
        return self._record(rows[-1])

    def standing(self, workflow_id: str) -> Standing | None:
        """How a move ended; None while it has not."""
        (row,) = self._rows(workflow_ids=[workflow_id])
        return None if row.status in _OPEN else outcome_of(row.output, row.error, was_cancelled=False).standing

    def fleet_report(self, fleet_id: str) -> FleetReport | None:
        """How a fleet ended; None if it has not, or is unknown."""
        rows = self._rows(name=FLEET, workflow_ids=[fleet_id])
        return from_plain(rows[0].output, FleetReport) if rows and rows[0].output is not None else None

    def fleets(self) -> dict[str, str]:
        """The fleets and how DBOS calls their state."""
        return {row.workflow_id: row.status for row in self._rows(name=FLEET)}

    def cancel(self, wanted: str) -> None:
        """Wish for a move, or for a fleet with all its moves, to be given up."""
        known = [row.workflow_id for row in self._rows() if row.workflow_id == wanted or _belongs(row, wanted)]
        if not known:
            raise errors.CpiError(f"there is no move or fleet {wanted} in this database; `cpi migrations` shows those there are")
        for workflow_id in known:
            self._source.update_workflow_attributes(workflow_id, {"cancel": True}, merge=True)

    def is_cancelled(self, workflow_id: str) -> bool:
        """Whether somebody wished so."""
        rows = self._source.list_workflows(workflow_ids=[workflow_id], load_input=False, load_output=False)
        return any((row.attributes or {}).get("cancel") for row in rows)

    def claimant(self, key: str, but: str) -> str | None:
        """The move, other than one, that has this disk in hand and has not ended."""
        rows = self._rows(name=MOVE, status=_OPEN)
        return next((r.workflow_id for r in rows if r.workflow_id != but and (r.attributes or {}).get("claims") == key), None)

    def left_executors(self, but: str) -> list[str]:
        """The executors that have something under way and live no more."""
        rows = self._source.list_workflows(status="PENDING", load_input=False, load_output=False)
        found = {row.executor_id for row in rows if row.executor_id} - {but}
        return sorted(executor_id for executor_id in found if self._locks.is_free(executor_lock(executor_id)))

    def close(self) -> None:
        """Let go of the database."""
        self._locks.close()
        self._source.destroy()

    def _rows(self, **wanted: Any) -> list[Any]:
        rows: list[Any] = self._source.list_workflows(**wanted)
        return rows

    def _record(self, row: Any) -> MoveRecord:
        attributes = row.attributes or {}
        cancelling = bool(attributes.get("cancel"))
        outcome = None if row.status in _OPEN else outcome_of(row.output, row.error, was_cancelled=cancelling)
        return MoveRecord(
            move_id=row.workflow_id,
            standing=outcome.standing if outcome else self._standing(row),
            entry=from_plain(_argument(row), Entry),
            created=(row.created_at or 0) / 1000,
            fleet_id=attributes.get("fleet"),
            executor_id=row.executor_id,
            events=tuple(attributes.get("events") or ()),
            cancelling=cancelling,
            outcome=outcome,
        )

    def _standing(self, row: Any) -> Standing:
        if row.status == "ENQUEUED":
            return Standing.QUEUED
        return Standing.LEFT if self._locks.is_free(executor_lock(str(row.executor_id))) else Standing.UNDER_WAY


def _argument(row: Any) -> Any:
    return row.input["args"][0] if row.input else None


def _is_try_of(move_id: str, workflow_id: str) -> bool:
    return workflow_id == move_id or workflow_id.startswith(f"{move_id}.")


def _belongs(row: Any, fleet_id: str) -> bool:
    return (row.attributes or {}).get("fleet") == fleet_id or _is_try_of(fleet_id, row.workflow_id)
