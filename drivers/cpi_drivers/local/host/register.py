"""The register: which resources exist, who works on them, and what a process that died left half done.

A resource is recorded before anything is made for it (creating), and until everything of it is gone (deleting); whoever
works on it holds its lock. An unfinished resource whose lock nobody holds was left by a process that died: whoever comes
next removes it.
"""

import contextlib
import json
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Literal

from cpi.contract import errors
from cpi.contract.model import CallContext, Metadata
from cpi.contract.request import request_id
from cpi.kit.undo import Undo
from cpi_drivers.local.host import locks
from cpi_drivers.local.host import metadata as metadata_of
from cpi_drivers.local.host.layout import Layout, remove_folder
from cpi_drivers.local.host.state import State

Kind = Literal["stemcells", "vms", "disks", "snapshots", "networks"]
Row = sqlite3.Row
Also = Callable[[sqlite3.Connection, str], Mapping[str, object]]

_log = logging.getLogger(__name__)

_SINGULAR: Final[dict[Kind, str]] = {
    "stemcells": "stemcell",
    "vms": "VM",
    "disks": "disk",
    "snapshots": "snapshot",
    "networks": "network",
}
_PREFIX: Final[dict[Kind, str]] = {
    "stemcells": "stemcell",
    "vms": "vm",
    "disks": "disk",
    "snapshots": "snapshot",
    "networks": "net",
}


class StemcellNotFound(errors.CloudError):
    """No stemcell of that CID exists; on the wire a CloudError."""


class SnapshotNotFound(errors.CloudError):
    """No snapshot of that CID exists; on the wire a CloudError."""


_MISSING: Final[dict[Kind, type[errors.Error]]] = {
    "stemcells": StemcellNotFound,
    "vms": errors.VMNotFound,
    "disks": errors.DiskNotFound,
    "snapshots": SnapshotNotFound,
    "networks": errors.NetworkNotFound,
}
_UNFINISHED: Final = " UNION ALL ".join(
    [
        *(f"SELECT '{kind}' AS kind, cid FROM {kind} WHERE state <> 'ready'" for kind in _SINGULAR),  # noqa: S608 - our own names
        "SELECT 'links', cid FROM disks WHERE link = 'changing'",
    ]
)
_ALL: Final = " UNION ALL ".join(f"SELECT cid FROM {kind}" for kind in _SINGULAR)  # noqa: S608 - our own names


class Register:
    """Every resource of one local cloud."""

    def __init__(self, layout: Layout, context: CallContext) -> None:
        self.layout = layout
        self.state = State(layout)
        self._context = context
        self._removers: dict[str, Callable[[str], None]] = {
            "stemcells": lambda cid: remove_folder(layout.stemcell(cid)),
            "snapshots": lambda cid: remove_folder(layout.snapshot(cid)),
            "networks": lambda _cid: None,
        }
        self._settle_link: Callable[[str], None] = lambda _cid: None

    def removed_by(self, kind: Kind, remove: Callable[[str], None]) -> None:
        """Say how everything made for a resource is removed, however much of it is there."""
        self._removers[kind] = remove

    def links_settled_by(self, settle: Callable[[str], None]) -> None:
        """Say how a disk's link that was left changing is undone."""
        self._settle_link = settle

    def find(self, kind: Kind, cid: str) -> Row | None:
        """The resource, if it exists and is whole."""
        found = self.state.rows(f"SELECT * FROM {kind} WHERE cid = :cid AND state = 'ready'", {"cid": cid})  # noqa: S608 - a Kind
        return found[0] if found else None

    def get(self, kind: Kind, cid: str) -> Row:
        """The resource. Raises the error for a missing one of its kind."""
        found = self.find(kind, cid)
        if found is None:
            raise missing(kind, cid)
        return found

    @contextlib.contextmanager
    def locked(self, kind: Kind, cid: str) -> Iterator[Row]:
        """The resource, with nobody else at work on it. Raises the error for a missing one of its kind."""
        self.get(kind, cid)
        with locks.held(self.layout.lock(cid), f"{_SINGULAR[kind]} {cid}"):
            found = self.find(kind, cid)
            if found is None:
                self.layout.lock(cid).unlink(missing_ok=True)
                raise missing(kind, cid)
            yield found

    @contextlib.contextmanager
    def making(self, kind: Kind, columns: Mapping[str, object], also: Also | None = None) -> Iterator[str]:
        """A new resource, locked: whole when the block ends well, else gone.

        also may refuse it or record what belongs to it, in the transaction that records the resource, and tells more columns.
        """
        cid = f"{_PREFIX[kind]}-{os.urandom(16).hex()}"
        self._sweep_locks()
        with _honest(Undo()) as undo, locks.held(self.layout.lock(cid), cid), undo:
            undo.push(f"{_SINGULAR[kind]} {cid}", lambda: self._discard(kind, cid))
            with self.state.transaction() as database:
                more = also(database, cid) if also else {}
                row = {"cid": cid, "state": "creating", "born": self._born(), **columns, **more}
                names = ", ".join(row)
                values = ", ".join(f":{name}" for name in row)
                database.execute(f"INSERT INTO {kind} ({names}) VALUES ({values})", row)  # noqa: S608 - our own names
            yield cid
            self._mark(kind, cid, "ready")

    def add_metadata(self, kind: Kind, cid: str, metadata: Metadata) -> None:
        """Needs no lock: it must not wait for the end of something long. Raises the error for a missing one of its kind."""
        with self.state.transaction() as database:
            query = f"SELECT metadata FROM {kind} WHERE cid = ? AND state = 'ready'"  # noqa: S608 - a Kind
            row = database.execute(query, (cid,)).fetchone()
            if row is None:
                raise missing(kind, cid)
            document = metadata_of.added(row["metadata"], metadata)
            database.execute(f"UPDATE {kind} SET metadata = ? WHERE cid = ?", (document, cid))  # noqa: S608 - a Kind

    def delete(self, kind: Kind, cid: str) -> None:
        """Remove a resource that the caller has locked."""
        self._mark(kind, cid, "deleting")
        self._discard(kind, cid)

    def finish_deleting(self, kind: Kind, cid: str) -> None:
        """Remove what is left of a resource whose removal failed or goes on elsewhere. Raises what stands in its way."""
        if self.state.rows(f"SELECT 1 FROM {kind} WHERE cid = :cid AND state = 'deleting'", {"cid": cid}):  # noqa: S608 - a Kind
            with locks.held(self.layout.lock(cid), f"{_SINGULAR[kind]} {cid}"):
                self._discard(kind, cid)

    def once(self, kind: Kind, token: str | None, make: Callable[[], str]) -> str:
        """The CID of the resource made with the token, made now if there is none.

        If another process is making it, its end is waited for; if that process died, what it left is removed first.
        """
        while token is not None:
            found = self.state.rows(f"SELECT * FROM {kind} WHERE token = :token", {"token": token})  # noqa: S608 - a Kind
            if not found:
                with contextlib.suppress(TokenTakenError):
                    return make()
            elif found[0]["state"] == "ready":
                return str(found[0]["cid"])
            else:
                with locks.held(self.layout.lock(found[0]["cid"]), f"{_SINGULAR[kind]} {found[0]['cid']}"):
                    self._discard_unfinished(kind, found[0]["cid"])
        return make()

    def sweep(self) -> None:
        """Remove or undo what processes that died left unfinished; what cannot be mended now is for the next to try."""
        for row in self.state.rows(_UNFINISHED):
            try:
                with locks.held_if_free(self.layout.lock(row["cid"])) as free:
                    if free:
                        _log.info("%s was left unfinished by a process that died: it is mended", row["cid"])
                        self._mend(row["kind"], row["cid"])
            except (OSError, errors.Error) as error:
                _log.error("%s, left unfinished by a process that died, cannot be mended: %s", row["cid"], error)

    def _mend(self, kind: Kind | Literal["links"], cid: str) -> None:
        if kind == "links":
            self._settle_link(cid)
        else:
            self._discard_unfinished(kind, cid)

    def _sweep_locks(self) -> None:
        """Remove lock files of processes that died just before their resource was on record, or just after it was not."""
        names = set(os.listdir(self.layout.lock(""))) - {row["cid"] for row in self.state.rows(_ALL)}  # noqa: PTH208 - names are enough
        for name in names - {"ca"}:
            path = self.layout.lock(name)
            with locks.held_if_free(path) as free:
                if free and not any(row["cid"] == name for row in self.state.rows(_ALL)):
                    path.unlink(missing_ok=True)

    def _discard_unfinished(self, kind: Kind, cid: str) -> None:
        if self.find(kind, cid) is None:
            self._discard(kind, cid)

    def _discard(self, kind: Kind, cid: str) -> None:
        self._removers[kind](cid)
        self.state.change(f"DELETE FROM {kind} WHERE cid = :cid", {"cid": cid})  # noqa: S608 - a Kind
        self.layout.lock(cid).unlink(missing_ok=True)

    def _mark(self, kind: Kind, cid: str, state: str) -> None:
        self.state.change(f"UPDATE {kind} SET state = :state WHERE cid = :cid", {"cid": cid, "state": state})  # noqa: S608 - a Kind

    def _born(self) -> str:
        return json.dumps(
            {
                "made_by": "multicpi",
                "director_uuid": self._context.director_uuid,
                "request_id": request_id(self._context),
                "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            }
        )


@contextlib.contextmanager
def _honest(undo: Undo) -> Iterator[Undo]:
    """An error does not say that a repeat may succeed if something was left behind."""
    try:
        yield undo
    except errors.Error as error:
        error.ok_to_retry = error.ok_to_retry and undo.clean
        raise


class TokenTakenError(Exception):
    """Another call has begun to make the resource of this token."""


def refuse_taken_token(database: sqlite3.Connection, kind: Kind, token: str | None) -> Mapping[str, object]:
    """The column for the token. Raises TokenTakenError if there is a resource with it, whole or not."""
    if token is not None and database.execute(f"SELECT 1 FROM {kind} WHERE token = ?", (token,)).fetchone():  # noqa: S608 - a Kind
        raise TokenTakenError(token)
    return {"token": token}


def missing(kind: Kind, cid: str) -> errors.Error:
    """The error for a resource that does not exist."""
    return _MISSING[kind](f"there is no {_SINGULAR[kind]} {cid}")
