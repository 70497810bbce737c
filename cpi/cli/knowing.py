"""What is known, as `cpi sweep` is given it: files of several kinds, and what the database tells."""

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from cpi.cli.disk_records import known_files, resurrections
from cpi.cli.stopping import give_up
from cpi.contract import errors
from cpi.durable.database import database as database_of
from cpi.sweeping import known as knowledge
from cpi.sweeping.known import Known


def known_of(files: Sequence[Path], none: Sequence[str], url: str | None) -> Known:
    """All of it. Raises CpiError for a file that cannot be read whole."""
    known = knowledge.of_nothing(none) | knowledge.of_cids(_of_database(url))
    for file in files:
        known |= _of_file(file) | Known(as_of=_written_at(file))
    return known


def _written_at(path: Path) -> dt.datetime:
    try:
        return dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC)
    except OSError as error:
        raise errors.CpiError(f"--known {path}: {error.strerror}") from error


def _of_file(path: Path) -> Known:
    """By what is in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise errors.CpiError(f"--known {path}: {getattr(error, 'strerror', None) or 'not text'}") from error
    if text.lstrip().startswith("{"):
        return _of_document(text, path)
    if any(line.startswith("instances:") for line in text.splitlines()):
        return _of_watchfile(path)
    return knowledge.of_list(text.splitlines(), f"--known {path}")


def _of_document(text: str, path: Path) -> Known:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise errors.CpiError(f"--known {path}: not JSON: {error}") from error
    return _of_watchfile(path) if "instances" in document else knowledge.of_answer(text, f"--known {path}")


def _of_watchfile(path: Path) -> Known:
    from cpi.resurrection.watchfile import read_watchfile

    instances = read_watchfile(path).instances
    return knowledge.of_instances(
        [one.vm for one in instances], [disk for one in instances for disk in one.disks], [one.stemcell for one in instances]
    )


def _of_database(url: str | None) -> Iterator[str]:
    """What has been moved or recreated, and what instances files named: never left over, whatever else is given."""
    for one in resurrections(url).all():
        yield from (one.order.vm, *([one.report.vm] if one.report is not None and one.report.vm is not None else []))
    for file in known_files(url):
        yield from (disk for disks in file.disks.values() for disk in disks)
    yield from _of_moves(url)


def _of_moves(url: str | None) -> Iterator[str]:
    """Old disks too: they are for `cpi orphans`."""
    kept = database_of(url)
    if not kept.exists():
        return
    from cpi.migration.durable.workflow import open_book

    book = open_book(kept, give_up)
    try:
        for record in book.moves():
            report = record.outcome.report if record.outcome else None
            yield from (record.entry.vm, record.entry.disk)
            yield from (report.old_disk_cid, report.disk_cid) if report else ()
            yield from (record.made,) if record.made else ()
        if book.unreadable:
            raise errors.CpiError(f"moves cannot be read, so their disks are unknown: {', '.join(book.unreadable)}")
    finally:
        book.close()
