"""`cpi migrate`: a disk, or a fleet of them, moved durably."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from cpi.cli import screen
from cpi.cli.following import finish_others, follow, show_outcome, until
from cpi.cli.migration_options import AsJson, DatabaseUrl, entry_of
from cpi.cli.stopping import Stopping, leave
from cpi.contract import errors
from cpi.contract.encoding import to_plain
from cpi.migration.durable.records import Standing

if TYPE_CHECKING:  # the engine takes long to import, and --dry-run does without
    from cpi.migration.durable.entry import Entry
    from cpi.migration.durable.workflow import Engine
    from cpi.migration.fleet import Fleet

_AGENT: Final = "How the agent is reached"
_FLEET: Final = "Many at once"


def _option(*names: str, text: str, panel: str | None = None) -> Any:
    return typer.Option(*names, show_default=False, help=text, rich_help_panel=panel)


def migrate(  # noqa: PLR0913 - the options of a command
    *,
    config: Annotated[
        Path | None, typer.Option(envvar="CPI_CONFIG", show_default=False, help="The configuration of the disk's cloud.")
    ] = None,
    vm: Annotated[str | None, _option("--vm", text="The VM whose disk it is.")] = None,
    disk: Annotated[str | None, _option("--disk", text="The disk.")] = None,
    size: Annotated[str | None, _option("--size", text="What size it shall have: 20G, 512M, or a number of MiB.")] = None,
    properties: Annotated[str | None, _option("--properties", text="Its cloud properties, as JSON. [default: {}]")] = None,
    old_size: Annotated[str | None, _option("--old-size", text="What size it has: without it the data is copied.")] = None,
    old_properties: Annotated[str | None, _option("--old-properties", text="What cloud properties it has, as JSON.")] = None,
    strategy: Annotated[str, typer.Option(help="How, or auto.")] = "auto",
    snapshot: Annotated[bool, typer.Option("--snapshot", help="Take a snapshot of the old disk first.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")] = False,
    resume: Annotated[str | None, _option("--resume", text="Go on with this move, or try it again.")] = None,
    json: AsJson = False,
    database: DatabaseUrl = None,
    agent_url: Annotated[
        str | None, _option("--agent-url", text="https://HOST:PORT or nats://HOST:PORT. [default: the cloud tells]", panel=_AGENT)
    ] = None,
    agent_login: Annotated[
        Path | None, _option("--agent-login", text="A file that holds USER:PASSWORD (https).", panel=_AGENT)
    ] = None,
    agent_ca: Annotated[Path | None, _option("--agent-ca", text="The PEM file of its CA.", panel=_AGENT)] = None,
    agent_id: Annotated[str | None, _option("--agent-id", text="The agent on the bus (nats).", panel=_AGENT)] = None,
    agent_certificate: Annotated[
        Path | None, _option("--agent-certificate", text="The PEM file of our certificate (nats).", panel=_AGENT)
    ] = None,
    agent_key: Annotated[Path | None, _option("--agent-key", text="The PEM file of its key (nats).", panel=_AGENT)] = None,
    fleet: Annotated[Path | None, _option("--fleet", text="A YAML file of many moves.", panel=_FLEET)] = None,
    max_in_flight: Annotated[int, typer.Option(min=1, help="So many at once.", rich_help_panel=_FLEET)] = 4,
    canaries: Annotated[int, typer.Option(min=0, help="So many before all others.", rich_help_panel=_FLEET)] = 1,
    stop_when_failed: Annotated[
        float, typer.Option(min=0, max=1, help="Begin no more when more than this share failed.", rich_help_panel=_FLEET)
    ] = 0.1,
    queue_only: Annotated[
        bool, typer.Option("--queue-only", help="Leave the work to `cpi worker`.", rich_help_panel=_FLEET)
    ] = False,
) -> None:
    """Move a VM's disk to another size or kind.

    Kept in a database: if this process dies, the next `cpi migrate` or `cpi worker` finishes the move or undoes it. The first
    Ctrl-C cancels (all is undone unless the disks are swapped already), the second leaves the move to be resumed.
    """
    if fleet is not None:
        _fleet(fleet, max_in_flight, canaries, stop_when_failed, database, queue_only=queue_only, as_json=json)
    elif resume is not None:
        _resume(resume, database, as_json=json)
    else:
        agent = {
            "url": agent_url, "login": agent_login, "ca": agent_ca, "agent_id": agent_id,
            "certificate": agent_certificate, "key": agent_key,
        }  # fmt: skip
        told = {
            "config": config, "vm": vm, "disk": disk, "size": size, "properties": properties, "strategy": strategy,
            "old_size": old_size, "old_properties": old_properties, "snapshot": snapshot, "agent": agent,
        }  # fmt: skip
        entry = entry_of(told)
        if dry_run:
            _show_plan(entry, as_json=json)
        else:
            _move(entry, database, as_json=json)


def _move(entry: "Entry", url: str | None, *, as_json: bool) -> None:
    with engine_of(url, works=False) as engine:
        move_id = engine.start(entry)
        _to_its_end(engine, move_id, as_json=as_json)


def _resume(move_id: str, url: str | None, *, as_json: bool) -> None:
    with engine_of(url, works=True) as engine:
        record = engine.book.move(move_id)
        if record.standing is Standing.MOVED:
            raise errors.CpiError(f"the move {move_id} has been made: there is nothing to resume")
        again = engine.start_again(record) if record.standing.is_over else record.move_id
        _to_its_end(engine, again, as_json=as_json)


def _to_its_end(engine: "Engine", move_id: str, *, as_json: bool) -> None:
    hint = f"the move is left as it is; to go on: cpi migrate --resume {move_id}"
    screen.err().print(f"move {move_id}")
    record = follow(engine.book, move_id, Stopping(hint))
    finish_others(engine, hint)
    show_outcome(record, as_json=as_json)


def engine_of(url: str | None, *, works: bool) -> "Engine":
    """The engine of this process, which ends at once if others take it for dead."""
    from cpi.migration.durable.database import database
    from cpi.migration.durable.workflow import Engine

    return Engine(database(url), _lost, works=works)


def _lost(message: str) -> None:
    leave(f"the connection that says that this process lives was lost, so others take its moves up: {message}")


def _show_plan(entry: "Entry", *, as_json: bool) -> None:
    from cpi.migration.durable.reaching import EntrySite
    from cpi.migration.plan import plan
    from cpi.migration.routine import look
    from cpi.migration.steps import STEPS

    with EntrySite(entry) as site:
        order = entry.order("dry-run")
        course = plan(order, look(order, site, again=False))
    steps = [{"step": name, "what": STEPS[name].what} for name in course.steps]
    if as_json:
        screen.show_json({"strategy": course.strategy.value, "reason": course.reason, "steps": steps})
        return
    screen.out().print(f"[bold]{course.strategy.value}[/bold]: {course.reason}", soft_wrap=True)
    table = Table(box=None, pad_edge=False, show_header=False)
    for number, name in enumerate(course.steps, 1):
        undone = "can be undone" if name in course.before else "only forward"
        table.add_row(str(number), STEPS[name].what, undone)
    screen.out().print(table)


def _fleet(
    path: Path, max_in_flight: int, canaries: int, stop_share: float, url: str | None, *, queue_only: bool, as_json: bool
) -> None:
    from cpi.migration.fleet import Fleet, read_fleet

    wanted = Fleet(read_fleet(str(path)), max_in_flight, canaries, stop_share)
    with engine_of(url, works=not queue_only) as engine:
        fleet_id = engine.start_fleet(wanted)
        screen.err().print(f"fleet {fleet_id}: {len(wanted.entries)} moves")
        if queue_only:
            screen.show_json({"fleet_id": fleet_id})
            return
        _follow_fleet(engine, fleet_id, wanted)
        hint = "the moves are left as they are: start `cpi worker` to go on"
        finish_others(engine, hint)
        report = engine.book.fleet_report(fleet_id)
    if report is None:
        raise errors.CloudError(f"the fleet {fleet_id} has ended without a report; see `cpi migrations`")
    if as_json:
        screen.show_json(to_plain(report))
    else:
        screen.out().print(f"{report.moved} moved, {report.failed} failed, {report.not_begun} not begun")
    if report.moved < report.entries:
        raise errors.CloudError(f"not all were moved{f': {report.stopped}' if report.stopped else ''}; see `cpi migrations`")


def _follow_fleet(engine: "Engine", fleet_id: str, fleet: "Fleet") -> None:
    stopping = Stopping("the fleet is left as it is: start `cpi worker` to go on")
    console = screen.err()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(fleet.entries))
        cancelled = [False]

        def over() -> bool:
            if stopping.asked and not cancelled[0]:
                cancelled[0] = True
                engine.book.cancel(fleet_id)
            mine = [record.standing for record in engine.book.moves() if record.fleet_id == fleet_id]
            ended = [standing for standing in mine if standing.is_over]
            bad = len(ended) - ended.count(Standing.MOVED)
            progress.update(task, completed=len(ended), description=f"{len(mine) - len(ended)} under way, {bad} failed")
            return engine.book.fleet_report(fleet_id) is not None

        until(over)
