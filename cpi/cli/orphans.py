"""`cpi orphans`: the disks that moves have left behind."""

import datetime as dt
import re
from collections.abc import Iterator
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.table import Table

from cpi import config as configuration
from cpi import connecting
from cpi.cli import screen
from cpi.cli.following import age
from cpi.cli.migration_options import AsJson, DatabaseUrl
from cpi.cli.options import ConfigFile
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.encoding import to_plain
from cpi.contract.ids import DiskCid, VmCid
from cpi.durable.database import database as database_of
from cpi.migration.durable.records import MoveRecord

_SECONDS: Final = {"h": 3600, "d": 86_400, "w": 604_800}
_AGE = re.compile(r"(\d{1,4})([hdw])")


class Orphan(msgspec.Struct, frozen=True):
    """A disk that a move took out of use."""

    disk_cid: DiskCid
    orphaned_at: str
    orphaned_from: VmCid
    replaced_by: DiskCid
    move_id: str


def orphans(
    config: ConfigFile,
    *,
    older_than: Annotated[str, typer.Option(help="Only those older than this: 12h, 5d, 2w.")] = "0h",
    delete: Annotated[bool, typer.Option("--delete", help="Delete them, with their data.")] = False,
    json: AsJson = False,
    database: DatabaseUrl = None,
) -> None:
    """Show, or delete, the disks that moves have replaced.

    A cloud can not be asked for its disks, so this goes by the moves in the database; each disk is looked for in the cloud.
    """
    before = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=_seconds(older_than))
    with connecting.connect(config) as cloud:
        found = [
            orphan
            for orphan in _orphans(config, database)
            if dt.datetime.fromisoformat(orphan.orphaned_at) <= before and cloud.has_disk(orphan.disk_cid)
        ]
        _show(found, as_json=json)
        if delete:
            _delete(cloud, found)


def _seconds(text: str) -> int:
    match = _AGE.fullmatch(text)
    if match is None:
        raise errors.CpiError(f"--older-than {text!r}: as 12h, 5d or 2w")
    return int(match[1]) * _SECONDS[match[2]]


def _orphans(config: Any, url: str | None) -> Iterator[Orphan]:
    from cpi.migration.durable.workflow import open_book

    cloud = configuration.read_document(config).get("cloud")
    book = open_book(database_of(url))
    try:
        records = book.moves()
    finally:
        book.close()
    in_use = {record.outcome.report.disk_cid: record.created for record in records if record.outcome and record.outcome.report}
    for record in records:
        orphan = _orphan(record)
        taken_again = orphan is not None and in_use.get(orphan.disk_cid, 0) > record.created
        if orphan is not None and not taken_again and _same_cloud(record.entry.config, cloud, orphan):
            yield orphan


def _orphan(record: MoveRecord) -> Orphan | None:
    report = record.outcome.report if record.outcome else None
    if report is None or report.orphaned_at is None:
        return None
    return Orphan(report.old_disk_cid, report.orphaned_at, report.vm_cid, report.disk_cid, record.move_id)


def _same_cloud(path: str, cloud: Any, orphan: Orphan) -> bool:
    try:
        return bool(configuration.read_document(path).get("cloud") == cloud)
    except errors.CpiError as error:
        screen.err().print(f"not shown: {orphan.disk_cid}, whose cloud can not be told: {error.message}", soft_wrap=True)
        return False


def _show(found: list[Orphan], *, as_json: bool) -> None:
    if as_json:
        screen.show_json([to_plain(orphan) for orphan in found])
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("disk", "orphaned", "of vm", "replaced by", "move"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "disk")
    for orphan in found:
        since = age(dt.datetime.fromisoformat(orphan.orphaned_at).timestamp())
        table.add_row(orphan.disk_cid, f"{since} ago", orphan.orphaned_from, orphan.replaced_by, orphan.move_id)
    screen.out().print(table if found else "no orphans")


def _delete(cloud: Cloud, found: list[Orphan]) -> None:
    kept = []
    for orphan in found:
        try:
            cloud.delete_disk(orphan.disk_cid)
        except errors.DiskNotFound:
            continue
        except errors.Error as error:
            kept.append(f"{orphan.disk_cid}: {error.message}")
        else:
            screen.err().print(f"deleted {orphan.disk_cid}")
    if kept:
        raise errors.CloudError("\n  ".join(["could not be deleted:", *kept]))
