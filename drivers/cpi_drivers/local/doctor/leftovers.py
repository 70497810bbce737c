"""What the local cloud has on record, as `cpi sweep` lists it."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cpi.contract.operator import Kind, TaggedResource
from cpi.kit.tagged import time_of
from cpi.kit.tagging import DIRECTOR, MADE_BY, REQUEST, TOKEN
from cpi_drivers.local.host import register as on_record
from cpi_drivers.local.host.register import Register

_KINDS: Final[Mapping[Kind, on_record.Kind]] = {
    "VM": "vms",
    "stemcell": "stemcells",
    "snapshot": "snapshots",
    "disk": "disks",
    "network": "networks",
}


def tagged_resources(register: Register) -> list[TaggedResource]:
    """As in ListsTaggedResources, at one instant. What is being made is not listed: its maker removes it if it cannot finish."""
    with register.state.transaction() as database:
        rows = {kind: _rows(database, table) for kind, table in _KINDS.items()}
        on_network = {row["network_cid"]: row["vm_cid"] for row in database.execute("SELECT network_cid, vm_cid FROM addresses")}
    users = {row["stemcell_cid"]: row["cid"] for row in rows["VM"]} | on_network
    return [_resource(kind, row, _user(row, users), _held(row["cid"], rows["disk"])) for kind in rows for row in rows[kind]]


def _rows(database: sqlite3.Connection, table: str) -> list[sqlite3.Row]:
    return database.execute(f"SELECT * FROM {table} WHERE state <> 'creating' ORDER BY cid").fetchall()  # noqa: S608 - our own names


def _user(row: sqlite3.Row, users: Mapping[str, str]) -> str:
    of_disk = row["vm_cid"] if "vm_cid" in row.keys() else None  # noqa: SIM118 - a row holds its values, not its names
    return str(of_disk or users.get(row["cid"], ""))


def _held(cid: str, disks: Sequence[sqlite3.Row]) -> tuple[str, ...]:
    return tuple(disk["cid"] for disk in disks if disk["vm_cid"] == cid)


def _resource(kind: Kind, row: sqlite3.Row, user: str, held: tuple[str, ...]) -> TaggedResource:
    columns: dict[str, Any] = dict(row)
    born = json.loads(columns["born"])
    made = {
        MADE_BY: "1",
        DIRECTOR: born.get("director_uuid"),
        REQUEST: born.get("request_id"),
        TOKEN: columns.get("token"),
    }
    given = json.loads(columns.get("metadata") or columns.get("tags") or "{}")
    size = f"{columns['size']} MiB ({columns['backing']})" if "size" in columns else columns.get("range", "")
    return TaggedResource(
        kind=kind,
        id=columns["cid"],
        name=given.get("name") or columns.get("name") or "",
        created=time_of(born.get("at")),
        tags={**given, **{name: value for name, value in made.items() if value}},
        attached_to=user,
        holds=held,
        description=size,
    )
