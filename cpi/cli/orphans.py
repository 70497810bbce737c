"""`cpi orphans`: lists or deletes the disks that moves have replaced."""

import datetime as dt
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import typer
from rich.table import Table

from cpi import config as configuration
from cpi import connecting
from cpi.cli import screen
from cpi.cli.ages import seconds_of
from cpi.cli.disk_records import known_files, resurrections
from cpi.cli.following import age
from cpi.cli.migration_options import AsJson, DatabaseUrl
from cpi.cli.options import ConfigFile
from cpi.cli.stopping import give_up
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.encoding import to_plain
from cpi.contract.ids import DiskCid, VmCid
from cpi.durable.database import database as database_of
from cpi.migration.durable.records import MoveRecord, Standing

if TYPE_CHECKING:  # the engine takes long to import
    from cpi.durable.succession import Succession

_DEFAULT_AGE: Final = "1d"


class Orphan(msgspec.Struct, frozen=True):
    """A disk that a move replaced."""

    disk_cid: DiskCid
    orphaned_at: str
    orphaned_from: VmCid
    replaced_by: DiskCid
    move_id: str
    half_made: bool = False
    """Whether it was made for a move that did not finish: the data is on the disk that it should have replaced."""

    named_by: tuple[str, ...] = ()
    """The instances files that still name it: it is not deleted until they are changed."""


def orphans(
    config: ConfigFile,
    *,
    older_than: Annotated[
        str, typer.Option(help="Show only orphans older than this, such as 12h, 5d or 2w (0h for all).")
    ] = _DEFAULT_AGE,
    delete: Annotated[bool, typer.Option("--delete", help="Delete the orphans with their data. Asks first.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
    json: AsJson = False,
    database: DatabaseUrl = None,
) -> None:
    """List or delete the disks that moves have replaced.

    A CPI cannot list disks. So this command reads the moves in the database and checks whether each disk still exists. A disk
    that is attached or in use is not an orphan. A disk that an instances file names is not deleted.
    """
    before = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=seconds_of("--older-than", older_than))
    with connecting.connect(config) as cloud:
        every = _found(config, database, cloud)
        found = [orphan for orphan in every if dt.datetime.fromisoformat(orphan.orphaned_at) <= before]
        if len(found) < len(every):
            younger = f"{len(every) - len(found)} younger than {older_than} (use --older-than 0h to show all)"
            screen.err().print(f"not shown: {younger}", soft_wrap=True)
        _show(found, as_json=json)
        if delete and found:
            _delete_if_wished(cloud, config, database, found, yes=yes)


def _found(config: Path, url: str | None, cloud: Cloud) -> list[Orphan]:
    """The orphans that exist and are not in use."""
    records = _records(url)
    there = [orphan for orphan in _orphans(config, records) if cloud.has_disk(orphan.disk_cid)]
    if not there:
        return []
    used = _in_use(config, url, cloud, records)
    files = known_files(url)
    return [
        msgspec.structs.replace(
            orphan, named_by=(*orphan.named_by, *(file.words() for file in files if any(file.naming(orphan.disk_cid))))
        )
        for orphan in there
        if orphan.half_made or orphan.disk_cid not in used
    ]


def _records(url: str | None) -> list[MoveRecord]:
    from cpi.migration.durable.workflow import open_book

    book = open_book(database_of(url), give_up)
    try:
        return book.moves()
    finally:
        book.close()


def _orphans(config: Path, records: Sequence[MoveRecord]) -> Iterator[Orphan]:
    cloud = configuration.read_document(config).get("cloud")
    taken = {record.outcome.report.disk_cid: record.created for record in records if record.outcome and record.outcome.report}
    for record in records:
        orphan = _orphan(record) or _half_made(record)
        taken_again = orphan is not None and taken.get(orphan.disk_cid, 0) > record.created
        if orphan is not None and not taken_again and _same_cloud(record.entry.config, cloud, orphan):
            yield orphan


def _orphan(record: MoveRecord) -> Orphan | None:
    report = record.outcome.report if record.outcome else None
    if report is None or report.orphaned_at is None:
        return None
    return Orphan(report.old_disk_cid, report.orphaned_at, report.vm_cid, report.disk_cid, record.move_id)


def _half_made(record: MoveRecord) -> Orphan | None:
    if record.made is None or record.standing is Standing.UNDER_WAY:
        return None
    since = dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="seconds")
    unfinished = () if record.standing.is_over else (f"the move {record.move_id}",)
    return Orphan(record.made, since, record.entry.vm, record.entry.disk, record.move_id, half_made=True, named_by=unfinished)


def _same_cloud(path: str, cloud: Any, orphan: Orphan) -> bool:
    try:
        return bool(configuration.read_document(path).get("cloud") == cloud)
    except errors.CpiError as error:
        screen.err().print(f"not shown: {orphan.disk_cid}, whose cloud is unknown: {error.message}", soft_wrap=True)
        return False


# ------------------------------------------------------------------ what is in use


def _in_use(config: Path, url: str | None, cloud: Cloud, records: Sequence[MoveRecord]) -> set[DiskCid]:
    """The disks that any VM has of which something is known here, that a move has in hand, or that an instance has now."""
    plugin = configuration.plugin_of(configuration.read_document(config))
    tries = [one for one in resurrections(url).all() if one.order.plugin == plugin]
    made = {one.report.vm for one in tries if one.report is not None and one.report.vm is not None}
    vms = {record.entry.vm for record in records} | {one.order.vm for one in tries} | made
    attached = {disk for vm in sorted(vms) for disk in _disks_of(cloud, vm)}
    return attached | _wanted(url)


def _disks_of(cloud: Cloud, vm: VmCid) -> Sequence[DiskCid]:
    try:
        return cloud.get_disks(vm)
    except (errors.VMNotFound, errors.NotImplemented):
        return ()


def _wanted(url: str | None) -> set[DiskCid]:
    seen = _succession(url)
    wanted = {disk for lock in seen.holds for disk in (DiskCid(lock.partition(":")[2]),)}
    for file in known_files(url):
        for instance in file.instances():
            plugin = configuration.plugin_of(configuration.read_document(instance.config))
            wanted |= {seen.present(plugin, disk) if instance.follow_moves else disk for disk in instance.disks}
    return wanted


def _succession(url: str | None) -> "Succession":
    from cpi.migration.durable.succession import succession_of

    return succession_of(_records(url))


# ------------------------------------------------------------------ shown, and deleted


def _show(found: list[Orphan], *, as_json: bool) -> None:
    if as_json:
        screen.show_json([to_plain(orphan) for orphan in found])
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("disk", "orphaned", "of vm", "replaced by", "move", "still named by"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "disk")
    for orphan in found:
        since = age(dt.datetime.fromisoformat(orphan.orphaned_at).timestamp())
        names = ", ".join(orphan.named_by)
        table.add_row(orphan.disk_cid, f"{since} ago", orphan.orphaned_from, _instead(orphan), orphan.move_id, names)
    screen.out().print(table if found else "no orphans")


def _instead(orphan: Orphan) -> str:
    return f"{orphan.replaced_by} (half-made)" if orphan.half_made else orphan.replaced_by


def _delete_if_wished(cloud: Cloud, config: Path, url: str | None, found: list[Orphan], *, yes: bool) -> None:
    free = [orphan for orphan in found if not orphan.named_by]
    for orphan in found:
        if orphan.named_by:
            names = ", ".join(orphan.named_by)
            screen.err().print(f"kept: {orphan.disk_cid} is named by {names}{_advice(orphan)}", soft_wrap=True)
    if not free:
        return
    if not yes and not sys.stdin.isatty():
        raise errors.CpiError("nothing was deleted: stdin is not a terminal, so confirm with --yes")
    if not yes and not typer.confirm(f"delete {len(free)} disks with all their data?", err=True):
        raise errors.CpiError("nothing was deleted")
    used = _in_use(config, url, cloud, _records(url))  # whoever was asked may have taken their time
    for orphan in free:
        if orphan.disk_cid in used:
            screen.err().print(f"kept: {orphan.disk_cid} is attached or in use again", soft_wrap=True)
    _delete(cloud, [orphan for orphan in free if orphan.disk_cid not in used])


def _advice(orphan: Orphan) -> str:
    return f"; run cpi migrate --resume {orphan.move_id}" if orphan.half_made else f"; change it to {orphan.replaced_by} there"


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
        raise errors.CloudError("\n  ".join(["cannot delete:", *kept]))
