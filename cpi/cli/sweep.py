"""`cpi sweep`: lists or deletes what carries a director's tags and is not among what it knows."""

import datetime as dt
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.table import Table

from cpi import connecting
from cpi.cli import pictures, screen
from cpi.cli.ages import seconds_of
from cpi.cli.knowing import known_of
from cpi.cli.migration_options import AsJson, DatabaseUrl
from cpi.cli.options import ConfigFile
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.encoding import to_plain
from cpi.contract.operator import ListsTaggedResources, TaggedResource
from cpi.sweeping.known import Known
from cpi.sweeping.leftovers import Judged, Wish, director_of, directors_of, judged, leftovers
from cpi.sweeping.page import HEADINGS, cells, page

_DEFAULT_AGE: Final = "1d"
_KNOWN: Final = "What is known: an answer of `bosh … --json`, a watch file, or a list of CIDs. Can be repeated."
_NONE: Final = "Nothing of this kind (vm, disk, snapshot, stemcell, network) is known. Can be repeated."
_WHOSE: Final = 'Only what this director made: its UUID, its name, or "none". [default: the directors of what is known]'
_AGE: Final = "Only leftovers older than this, such as 12h, 5d or 2w (0h for all)."

_Known = Annotated[list[Path] | None, typer.Option(metavar="FILE", help=_KNOWN)]
_None = Annotated[list[str] | None, typer.Option(metavar="KIND", help=_NONE)]
_Director = Annotated[list[str] | None, typer.Option(metavar="UUID", show_default=False, help=_WHOSE)]
_OlderThan = Annotated[str, typer.Option(help=_AGE)]


def sweep(  # noqa: PLR0913 - the options of a command
    config: ConfigFile,
    *,
    known: _Known = None,
    none: _None = None,
    director: _Director = None,
    deployment: Annotated[str | None, typer.Option(help="Only what belongs to this deployment.")] = None,
    older_than: _OlderThan = _DEFAULT_AGE,
    tokens: Annotated[bool, typer.Option("--tokens", help="Only what calls left that did not finish.")] = False,
    delete: Annotated[bool, typer.Option("--delete", help="Delete the leftovers with their data. Asks first.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
    json: AsJson = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the list to this HTML file.")] = None,
    database: DatabaseUrl = None,
) -> None:
    """List or delete what is left over in a cloud.

    Everything that this CPI makes carries tags. What carries them, and is not among what is known, is left over. A kind of which
    no list is given is shown, and never deleted; nor is what is known, in use, younger than --older-than, or another director's.
    """
    pictures.check_page(html, "--html")
    seconds = seconds_of("--older-than", older_than)
    now = dt.datetime.now(dt.UTC)
    what = known_of(known or (), none or (), database)
    wish = Wish(
        before=now - dt.timedelta(seconds=seconds) if seconds else None,
        directors=frozenset(director or ()),
        deployment=deployment,
        only_unfinished=tokens,
    )
    with connecting.connect(config) as cloud:
        found = _found(cloud, what, wish, deleting=delete)
        shown = [one for one in found if not one.hidden]
        _show(shown, now, as_json=json)
        _tell_hidden(found)
        pictures.write_text(html, "--html", lambda: page("Leftovers", _summary(shown), shown, now))
        if delete and leftovers(found):
            _delete_if_wished(cloud, leftovers(found), yes=yes)


def _found(cloud: Cloud, known: Known, wish: Wish, *, deleting: bool) -> list[Judged]:
    listed = _lists(cloud).tagged_resources()
    directors = wish.directors or directors_of(listed, known)
    if not directors and deleting:
        raise errors.CpiError(
            "nothing was deleted: nothing known carries a director's UUID, so say with --director whose leftovers to delete"
        )
    everybody = frozenset(map(director_of, listed))
    return judged(listed, known, msgspec.structs.replace(wish, directors=directors or everybody))


def _lists(cloud: Cloud) -> ListsTaggedResources:
    if not isinstance(cloud, ListsTaggedResources):
        raise errors.NotSupported(f"the driver {cloud.name} cannot list what CPIs made")
    return cloud


# ------------------------------------------------------------------ shown


def _show(shown: Sequence[Judged], now: dt.datetime, *, as_json: bool) -> None:
    if as_json:
        screen.show_json([{**to_plain(one.resource), "left_over": one.is_left_over, "kept": one.kept} for one in shown])
        return
    if not shown:
        screen.out().print("no leftovers")
        return
    rows = [cells(one, now) for one in shown]
    wanted = [index for index in range(len(HEADINGS)) if any(row[index] for row in rows)]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index in wanted:
        table.add_column(HEADINGS[index], overflow="fold", no_wrap=HEADINGS[index] in {"kind", "age"})
    for row in rows:
        table.add_row(*(row[index] for index in wanted))
    screen.out().print(table)
    screen.err().print(_summary(shown), soft_wrap=True)


def _summary(shown: Sequence[Judged]) -> str:
    left = Counter(one.resource.kind for one in shown if one.is_left_over)
    kept = sum(not one.is_left_over for one in shown)
    told = ", ".join(f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in left.items()) or "nothing"
    return f"left over: {told}; kept: {kept}"


def _tell_hidden(found: Sequence[Judged]) -> None:
    reasons = Counter(one.kept for one in found if one.hidden)
    for reason, count in sorted(reasons.items()):
        screen.err().print(f"not shown: {count} {reason}", soft_wrap=True)


# ------------------------------------------------------------------ deleted


def _delete_if_wished(cloud: Cloud, found: Sequence[TaggedResource], *, yes: bool) -> None:
    if not yes and not sys.stdin.isatty():
        raise errors.CpiError("nothing was deleted: stdin is not a terminal, so confirm with --yes")
    if not yes and not typer.confirm(f"delete {len(found)} leftovers with all their data?", err=True):
        raise errors.CpiError("nothing was deleted")
    kept = []
    for resource in found:
        try:
            _lists(cloud).delete_tagged_resource(resource)
        except errors.Error as error:
            kept.append(f"{resource.kind} {resource.id}: {error.message}")
        else:
            screen.err().print(f"deleted {resource.kind} {resource.id}", soft_wrap=True)
    if kept:
        raise errors.CloudError("\n  ".join(["cannot delete:", *kept]))
