"""`cpi migrate`: moves a disk, or those of a fleet, durably."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer
from rich.text import Text

from cpi import config as configuration
from cpi.cli import pictures, screen
from cpi.cli.fleets import move_fleet
from cpi.cli.following import engine_of, finish_others, follow, show_outcome
from cpi.cli.migration_options import STRATEGIES, AsJson, DatabaseUrl, PageFile, PictureFile, entry_of, refuse_beside
from cpi.cli.options import CONFIG_HELP
from cpi.cli.staleness import tell_after_moves
from cpi.cli.stopping import Stopping, give_up
from cpi.contract.encoding import to_plain
from cpi.durable.database import database as database_of
from cpi.migration.durable.records import Standing
from cpi.migration.fleet import Fleet, read_fleet
from cpi.migration.report import Strategy

if TYPE_CHECKING:  # the engine takes long to import, and --dry-run does without
    from cpi.migration.durable.entry import Entry
    from cpi.migration.durable.workflow import Engine
    from cpi.migration.forecast import Forecast

_AGENT: Final = "Agent"
_FLEET: Final = "Fleet"
_OTHER_CLOUD: Final = "Another cloud"


_NOT_OF_A_MOVE: Final = frozenset({"json", "database", "fleet", "max_in_flight", "canaries", "stop_when_failed"})


def _option(*names: str, text: str, panel: str | None = None, **more: Any) -> Any:
    return typer.Option(*names, show_default=bool(more), help=text, rich_help_panel=panel, **more)


_CONFIG: Final = typer.Option(envvar="CPI_CONFIG", show_default=False, help=CONFIG_HELP)
_VM: Final = _option("--vm", text="CID of the VM.")
_DISK: Final = _option("--disk", text="CID of the disk.")
_SIZE: Final = _option("--size", text="New size, such as 20G or 512M (plain numbers are MiB).")
_PROPERTIES: Final = _option("--properties", text="New cloud properties, as JSON. [default: {}]")
_OLD_SIZE: Final = _option("--old-size", text="Current size. If omitted, the data is copied.")
_OLD_PROPERTIES: Final = _option("--old-properties", text="Current cloud properties, as JSON. If omitted, the data is copied.")
_STRATEGY: Final = typer.Option(help=f"How to move the data: {', '.join(STRATEGIES)}.")
_VERIFY: Final = typer.Option(help="What to compare on both disks while the jobs are down: changes, or full (every byte).")
_SNAPSHOT: Final = _option("--snapshot", text="Take a snapshot of the old disk first.")
_BANDWIDTH: Final = _option("--bandwidth", text="Maximum rate of a live copy per second while the jobs run, such as 50M.")
_DOWN_SECONDS: Final = typer.Option(
    min=0, show_default=False, help="Stop the jobs once the last pass should take at most this many seconds. [default: 3]"
)
_DRY_RUN: Final = _option("--dry-run", text="Show the plan and the expected downtime, and change nothing.")
_RESUME: Final = _option("--resume", text="Continue this move, or retry it if it failed.")
_URL: Final = _option("--agent-url", text="https://HOST:PORT or nats://HOST:PORT. [default: from the cloud]", panel=_AGENT)
_LOGIN: Final = _option("--agent-login", text="File that contains USER:PASSWORD (https).", panel=_AGENT)
_CA: Final = _option("--agent-ca", text="PEM file of the CA that signed the server's certificate.", panel=_AGENT)
_AGENT_ID: Final = _option("--agent-id", text="Agent id on the bus (nats).", panel=_AGENT)
_CERTIFICATE: Final = _option("--agent-certificate", text="PEM file of the client certificate (nats).", panel=_AGENT)
_KEY: Final = _option("--agent-key", text="PEM file of the client key (nats).", panel=_AGENT)
_TO: Final = _option("--to", text="Configuration of the cloud to move to.", panel=_OTHER_CLOUD)
_INSTANCES: Final = _option("--instances", text="Instances file (as `cpi watch` reads it) for that cloud.", panel=_OTHER_CLOUD)
_INSTANCE: Final = _option("--instance", text="Name of the instance in it that the new VM is made as.", panel=_OTHER_CLOUD)
_WAY: Final = _option(
    "--way", text="How data gets there: auto, direct (from VM to VM), or worker (through this machine).", panel=_OTHER_CLOUD
)
_COMPRESS: Final = _option("--compress", text="Compress the data on its way.", panel=_OTHER_CLOUD)
_KEEP: Final = _option("--keep", text="How long to keep the old VM and disk, such as 12h, 5d or 2w.", panel=_OTHER_CLOUD)
_FILE: Final = _option("--fleet", text="YAML file that lists the moves.", panel=_FLEET)
_IN_FLIGHT: Final = _option("--max-in-flight", text="Maximum number of moves in flight.", panel=_FLEET, min=1)
_CANARIES: Final = _option("--canaries", text="Number of canaries to move first.", panel=_FLEET, min=0)
_STOP: Final = _option("--stop-when-failed", text="Start no more moves once this fraction failed.", panel=_FLEET, min=0, max=1)
_QUEUE_ONLY: Final = _option("--queue-only", text="Only queue the moves; `cpi worker` runs them.", panel=_FLEET)


def migrate(  # noqa: PLR0913 - the options of a command
    *,
    config: Annotated[Path | None, _CONFIG] = None,
    vm: Annotated[str | None, _VM] = None,
    disk: Annotated[str | None, _DISK] = None,
    size: Annotated[str | None, _SIZE] = None,
    properties: Annotated[str | None, _PROPERTIES] = None,
    old_size: Annotated[str | None, _OLD_SIZE] = None,
    old_properties: Annotated[str | None, _OLD_PROPERTIES] = None,
    strategy: Annotated[str, _STRATEGY] = "auto",
    snapshot: Annotated[bool, _SNAPSHOT] = False,
    verify: Annotated[str, _VERIFY] = "changes",
    bandwidth: Annotated[str | None, _BANDWIDTH] = None,
    down_seconds: Annotated[float | None, _DOWN_SECONDS] = None,
    dry_run: Annotated[bool, _DRY_RUN] = False,
    resume: Annotated[str | None, _RESUME] = None,
    picture: PictureFile = None,
    page: PageFile = None,
    json: AsJson = False,
    database: DatabaseUrl = None,
    agent_url: Annotated[str | None, _URL] = None,
    agent_login: Annotated[Path | None, _LOGIN] = None,
    agent_ca: Annotated[Path | None, _CA] = None,
    agent_id: Annotated[str | None, _AGENT_ID] = None,
    agent_certificate: Annotated[Path | None, _CERTIFICATE] = None,
    agent_key: Annotated[Path | None, _KEY] = None,
    to: Annotated[Path | None, _TO] = None,
    instances: Annotated[Path | None, _INSTANCES] = None,
    instance: Annotated[str | None, _INSTANCE] = None,
    way: Annotated[str, _WAY] = "auto",
    compress: Annotated[bool, _COMPRESS] = False,
    keep: Annotated[str, _KEEP] = "7d",
    fleet: Annotated[Path | None, _FILE] = None,
    max_in_flight: Annotated[int, _IN_FLIGHT] = 4,
    canaries: Annotated[int, _CANARIES] = 1,
    stop_when_failed: Annotated[float, _STOP] = 0.1,
    queue_only: Annotated[bool, _QUEUE_ONLY] = False,
) -> None:
    """Move a VM's disk to another size or kind, or with --to to a new VM on another cloud.

    If this process dies, the next `cpi migrate` or `cpi worker` finishes it. Ctrl-C once undoes it, twice leaves it unfinished.
    """
    told = {name: value for name, value in locals().items() if name not in _NOT_OF_A_MOVE}
    if fleet is not None:
        refuse_beside("--fleet", told, but=frozenset({"queue_only", "page"}))
        refuse_beside("--queue-only", {"page": page if queue_only else None})
        wanted = Fleet(read_fleet(str(fleet)), max_in_flight, canaries, stop_when_failed)
        move_fleet(wanted, database, page, works=not queue_only, as_json=json)
    else:
        _one(told, database, End(json, picture))


class End(NamedTuple):
    """How to show the result of a move."""

    as_json: bool
    picture: Path | None


def _one(told: Mapping[str, Any], url: str | None, end: End) -> None:
    refuse_beside("a single move", {"queue_only": told["queue_only"], "page": told["page"]})
    if told["resume"]:
        refuse_beside("--resume", told, but=frozenset({"resume", "picture"}))
        _resume(told["resume"], url, end)
    elif told["dry_run"]:
        refuse_beside("--dry-run", {"picture": end.picture})
        _show_plan(entry_of(told), as_json=end.as_json)
    else:
        _move(entry_of(told), url, end)


def _move(entry: "Entry", url: str | None, end: End) -> None:
    pictures.check(end.picture)
    configuration.plugin_of(configuration.read_document(entry.config))
    with engine_of(url, works=False) as engine:
        move_id = engine.start(entry)
        _to_its_end(engine, move_id, url, end)


def _resume(move_id: str, url: str | None, end: End) -> None:
    pictures.check(end.picture)
    _take_back(move_id, url)
    with engine_of(url, works=True) as engine:
        record = engine.book.move(move_id)
        if record.standing is Standing.MOVED:
            screen.err().print(f"move {record.move_id} is already complete; nothing to resume")
            finish_others(engine, "the other moves are left unfinished")
            pictures.draw(record, end.picture)
            show_outcome(record, as_json=end.as_json)
            return
        again = engine.start_again(record) if record.standing.is_over else _gone_on_with(engine, record.move_id)
        _to_its_end(engine, again, url, end)


def _gone_on_with(engine: "Engine", move_id: str) -> str:
    """The move when it has ended, or a new attempt if the disk that it made no longer exists."""
    record = follow(engine.book, move_id, Stopping(_hint(move_id)), lambda: engine.is_idle)
    if record.outcome is None or not record.outcome.disk_lost or record.outcome.swapped or record.outcome.left:
        return move_id
    screen.err().print("a disk of this move no longer exists; starting the move again")
    return engine.start_again(record)


def _hint(move_id: str) -> str:
    return f"the move is left unfinished; to continue: cpi migrate --resume {move_id}"


def _take_back(move_id: str, url: str | None) -> None:
    """The first Ctrl-C cancels a move, the second leaves it unfinished. --resume takes the cancellation back."""
    from cpi.migration.durable.workflow import open_book

    book = open_book(database_of(url), give_up)
    try:
        book.take_back(move_id)
    finally:
        book.close()


def _to_its_end(engine: "Engine", move_id: str, url: str | None, end: End) -> None:
    hint = _hint(move_id)
    screen.err().print(f"move {move_id}")
    record = follow(engine.book, move_id, Stopping(hint), lambda: engine.is_idle)
    finish_others(engine, hint)
    pictures.draw(record, end.picture)
    tell_after_moves([record], engine.book, url)
    show_outcome(record, as_json=end.as_json)


def _show_plan(entry: "Entry", *, as_json: bool) -> None:
    from cpi.migration.durable.reaching import EntrySite
    from cpi.migration.forecast import dry_run
    from cpi.migration.picture.words import number, size

    with EntrySite(entry) as site:
        told = dry_run(entry.order("dry-run"), site)
    if as_json:
        screen.show_json(to_plain(told))
        return
    out = screen.out()
    out.print(Text(told.strategy.value, style="bold"), f": {told.reason}", sep="", soft_wrap=True)
    for step, what in enumerate(told.steps, 1):
        out.print(f"{step:3}  {what}")
    sample = told.sample
    if sample is not None:
        changed = f"{sample.changed_files} files with {size(sample.changed_bytes)} changed within 3 s"
        out.print(f"on the disk: {number(sample.files, 'file')} with {size(sample.size)}; {changed}", soft_wrap=True)
    for change in told.changes:
        out.print(Text(f"{change.what}: {change.now} -> {change.then}"), soft_wrap=True)
        if change.advice:
            out.print(Text(f"    to do: {change.advice}"), soft_wrap=True)
    for holder in told.held_by:
        out.print(Text(f"in use by a process that is not a job: {holder}"), soft_wrap=True)
    if told.strategy is Strategy.ONLINE:
        out.print("expected downtime: 0 s (the jobs are not stopped)")
    elif told.expected_down_seconds is None:
        out.print(f"expected downtime: unknown ({_why_unknown(told)})", soft_wrap=True)
    else:
        out.print(
            f"expected downtime: about {told.expected_down_seconds:.1f} s, plus stopping and starting the jobs",
            soft_wrap=True,
        )
    if told.expected_seconds is not None:
        out.print(f"expected total time: about {told.expected_seconds:.0f} s")


def _why_unknown(told: "Forecast") -> str:
    if told.strategy in {Strategy.NATIVE_RESIZE, Strategy.NATIVE_UPDATE}:
        return "it depends on the cloud"
    return "nothing could be measured in the guest" if told.sample is None else "the disk has no large file to measure with"
