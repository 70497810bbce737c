"""`cpi watch` and `cpi resurrect`: recreate lost instances."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cpi import config as configuration
from cpi.cli import screen
from cpi.cli.disk_records import KeptMoves
from cpi.cli.following import until
from cpi.cli.migration_options import AsJson, database_option
from cpi.cli.staleness import tell_stale_entries, tell_unreadable
from cpi.cli.stopping import Stopping, leave
from cpi.contract import errors
from cpi.contract.encoding import to_plain
from cpi.durable.database import database as database_of

if TYPE_CHECKING:  # the engine takes long to import
    from cpi.agent.nats import NatsBus
    from cpi.resurrection.alert import Alert, Tell
    from cpi.resurrection.durable.history import Present
    from cpi.resurrection.durable.runner import Runner
    from cpi.resurrection.growth.keeper import Fill
    from cpi.resurrection.instance import Instance
    from cpi.resurrection.metrics import Metrics
    from cpi.resurrection.monitor import Monitor, View
    from cpi.resurrection.report import Report
    from cpi.resurrection.watchfile import Bus, Watchfile

_HINT: Final = "running recreations are left unfinished; the next `cpi watch` continues them"
_STYLES: Final = {"well": "green", "silent": "yellow", "down": "red", "under way": "cyan"}
_BAR: Final = 10
_WHOLE, _YELLOW, _RED = 100.0, 75.0, 90.0
_SOON: Final = 24 * 3600.0
_SEVERITIES: Final = {"critical": "bold red", "error": "red", "warning": "yellow", "info": "green"}

InstancesFile = Annotated[Path, typer.Argument(help="Instances file (see docs/resurrection.md).", show_default=False)]
DatabaseUrl = Annotated[str | None, database_option("past recreations")]


def watch(
    file: InstancesFile,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print each alert as one line of JSON.")] = False,
    metrics_port: Annotated[int | None, typer.Option(help="Serve Prometheus metrics on this port.", show_default=False)] = None,
    metrics_host: Annotated[str, typer.Option(help="Address to serve the metrics on.")] = "127.0.0.1",
    database: DatabaseUrl = None,
) -> None:
    """Watch instances and recreate those whose agent is silent or whose VM is lost.

    Any number of monitors may watch the same file with one database; only one of them recreates an instance. After the first
    signal the command finishes running recreations. The second signal leaves them to the next monitor.
    """
    from cpi.resurrection.watchfile import read_watchfile

    plan = read_watchfile(file)
    stopping = Stopping(_HINT)
    with contextlib.ExitStack() as made:
        live = made.enter_context(_live(as_json=json))
        tell, metrics = _telling(plan, live, made, metrics=metrics_port is not None, as_json=json)
        runner = made.enter_context(runner_of(database, tell))
        runner.remember(plan)
        _tell_stale(plan, runner)
        monitor = made.enter_context(_monitor(plan, runner, made))
        if metrics is not None:
            from cpi.resurrection.metrics import MetricsServer

            metrics.monitor = monitor
            made.enter_context(MetricsServer(metrics, metrics_host, metrics_port or 0))

        def over() -> bool:
            monitor.tick()
            if live is not None:
                live.update(_table(monitor), refresh=True)
            return stopping.asked

        until(over)
        until(lambda: runner.is_idle)


def _tell_stale(plan: "Watchfile", runner: "Runner") -> None:
    """By the records of the moves: no cloud is asked before there is something to do."""
    plugins = {one.config: configuration.plugin_of(configuration.read_document(one.config)) for one in plan.instances}
    tell_stale_entries(plan, {one.name: runner.disks.recorded(one, plugins[one.config]) for one in plan.instances})
    tell_unreadable(runner.unreadable())


def _telling(
    plan: "Watchfile", live: Live | None, made: contextlib.ExitStack, *, metrics: bool, as_json: bool
) -> "tuple[Tell, Metrics | None]":
    """Sends alerts to the screen, the file's responders, and the metrics if enabled."""
    from cpi.resurrection.responders.switchboard import Switchboard

    board = made.enter_context(Switchboard(plan.responders, screen.show_fault))
    counted = None
    if metrics:
        from cpi.resurrection.metrics import Metrics

        counted = Metrics()

    def tell(alert: "Alert") -> None:
        _show(live, alert, as_json=as_json)
        board.tell(alert)
        if counted is not None:
            counted.count(alert)

    return tell, counted


def resurrect(
    file: InstancesFile,
    name: Annotated[str, typer.Argument(help="Name of the instance.", show_default=False)],
    *,
    even_if_alive: Annotated[
        bool, typer.Option("--even-if-alive", help="Recreate the instance even if its agent responds.")
    ] = False,
    json: AsJson = False,
    database: DatabaseUrl = None,
) -> None:
    """Recreate one instance now, with its disks and its address, regardless of the rules in the file."""
    from cpi.resurrection.watchfile import read_watchfile

    plan = read_watchfile(file)
    with telling_runner(plan, database) as runner:
        report = recreate(plan, name, runner, ask=not even_if_alive)
    if json:
        screen.show_json(to_plain(report))
    else:
        done = Text.assemble(f"{name} is now ", (report.vm, "bold")) if report.vm else f"{name}: {report.message}"
        screen.out().print(done, soft_wrap=True)


def recreate(plan: "Watchfile", name: str, runner: "Runner", *, ask: bool, wait: bool = True) -> "Report":
    """Recreate an instance, show its steps and the result. Raises CloudError if it failed."""
    from cpi.resurrection.report import Standing

    work_id = _begun(plan, name, runner, ask=ask, wait=wait)
    stopping = Stopping(_HINT)
    shown: list[str] = []

    def over() -> bool:
        step = runner.step_of(work_id)
        if step and step not in shown:
            shown.append(step)
            screen.err().print(step.replace("_", " "))
        if stopping.asked:
            leave(_HINT)
        return not _present(plan, name, runner)[1].under_way

    until(over)
    present = _present(plan, name, runner)[1]
    report = present.ended[-1].report if present.ended else None
    if report is None or report.standing is Standing.FAILED:
        raise errors.CloudError(f"{name} was not recreated: {report.message if report else 'the reason is unknown'}")
    return report


def _present(plan: "Watchfile", name: str, runner: "Runner") -> "tuple[str, Present]":
    instance = plan.instance(name)
    plugin = configuration.plugin_of(configuration.read_document(instance.config))
    return plugin, runner.history().present(instance, plugin)


def _begun(plan: "Watchfile", name: str, runner: "Runner", *, ask: bool, wait: bool) -> str:
    from cpi.resurrection.clouds import Clouds
    from cpi.resurrection.judging import judge
    from cpi.resurrection.report import Order

    instance = plan.instance(name)
    plugin, present = _present(plan, name, runner)
    if present.under_way is not None:
        screen.err().print("a recreation is already running; waiting for it")
        return present.under_way.work_id
    _let_moves_end(instance, plugin, runner)
    with Clouds() as clouds:
        verdict = judge(clouds.cloud(instance.config), present.vm)
    order = Order(
        file=plan.path,
        name=name,
        group=instance.group,
        vm=present.vm,
        plugin=plugin,
        verdict=verdict,
        agent_id=present.agent_id,
        ask=ask and present.unfinished is None,
        wait=wait,
    )
    return runner.begin(order, present)


def _let_moves_end(instance: "Instance", plugin: str, runner: "Runner") -> None:
    """Wait for moves that use a disk of the instance. Raises CloudError if such a move was left unfinished."""
    stopping, told = Stopping("nothing was recreated"), ""

    def over() -> bool:
        nonlocal told
        in_hand = runner.disks.in_hand(instance, plugin)
        if in_hand and runner.disks.is_left(instance, plugin):
            raise errors.CloudError(in_hand)
        if in_hand != told:
            told = in_hand
            if in_hand:
                screen.err().print(f"waiting: {in_hand}", soft_wrap=True)
        if stopping.asked:
            leave("nothing was recreated")
        return not in_hand

    until(over)


def runner_of(url: str | None, tell: "Tell") -> "Runner":
    """Recreates instances in this process, which exits at once if others consider it dead."""
    from cpi.resurrection.durable.runner import Runner

    return Runner(database_of(url, "resurrections"), _lost, tell, KeptMoves(url, _lost))


@contextlib.contextmanager
def telling_runner(plan: "Watchfile", url: str | None) -> "Iterator[Runner]":
    """As runner_of, with the file's responders. The block ends when the work that dead processes left is finished."""
    from cpi.resurrection.responders.switchboard import Switchboard

    with Switchboard(plan.responders, screen.show_fault) as board, runner_of(url, board.tell) as runner:
        try:
            runner.remember(plan)
            yield runner
        finally:
            until(lambda: runner.is_idle)


def _lost(message: str) -> None:
    leave(f"exiting; the next `cpi watch` continues the work: {message}")


def _monitor(plan: "Watchfile", runner: "Runner", made: contextlib.ExitStack) -> "Monitor":
    from cpi.resurrection.clouds import Clouds
    from cpi.resurrection.monitor import Monitor
    from cpi.resurrection.pulse import Pulse

    clouds = made.enter_context(Clouds())
    bus = made.enter_context(_bus(plan.bus)) if plan.bus is not None else None
    pulse = made.enter_context(Pulse(plan.rules, clouds, bus))
    return made.enter_context(Monitor(plan, runner, pulse, clouds, runner.tell))


def _bus(told: "Bus") -> "NatsBus":
    from cpi.agent.nats import BusTls, NatsBus

    tls = None
    if told.ca is not None and told.certificate is not None and told.key is not None:
        ca, certificate, key = (Path(path).read_text(encoding="utf-8") for path in (told.ca, told.certificate, told.key))
        tls = BusTls(ca_certificate=ca, certificate=certificate, private_key=key)
    return NatsBus([told.url], tls)


@contextlib.contextmanager
def _live(*, as_json: bool) -> Iterator[Live | None]:
    console = screen.out()
    if as_json or not console.is_terminal:
        yield None
        return
    with Live(console=console, auto_refresh=False) as live:
        yield live


def _show(live: Live | None, alert: "Alert", *, as_json: bool) -> None:
    if as_json:
        screen.show_line(to_plain(alert))
        return
    console = live.console if live is not None else screen.out()
    console.print(
        Text(f"{alert.at}  {alert.kind.value}: {alert.message}", style=_SEVERITIES[alert.kind.severity]), soft_wrap=True
    )


def _table(monitor: "Monitor") -> Table:
    title = "MELTDOWN: nothing is recreated" if monitor.is_meltdown else None
    table = Table(box=None, pad_edge=False, header_style="bold", title=title, title_style="bold red")
    for heading in ("instance", "state", "agent", "vm", "disk", "jobs", "cpu", "memory", "disk used", "detail"):
        table.add_column(heading, overflow="fold", no_wrap=heading in {"state", "agent", "disk used"})
    for view in monitor.views():
        table.add_row(*_cells(view))
    return table


def _cells(view: "View") -> list[Text | str]:
    cpu, memory = _vitals(view.vitals)
    return [
        view.name,
        Text(view.condition, style=_STYLES[view.condition]),
        f"{view.silent_seconds:.0f} s ago",
        view.vm,
        ", ".join(view.disks),
        view.job_state,
        cpu,
        memory,
        _bar(view.fill),
        Text(view.what or (view.fill.what if view.fill else "")),
    ]


def _bar(fill: "Fill | None") -> Text:
    """How full a disk is, of what size, and when it will be full."""
    if fill is None:
        return Text("")
    from cpi.resurrection.growth.deciding import in_words

    full = round(fill.used / _WHOLE * _BAR)
    style = "red" if fill.used >= _RED else "yellow" if fill.used >= _YELLOW else "green"
    size = f" of {fill.size} MiB" if fill.size is not None else ""
    soon = in_words(fill.full_in) if fill.full_in is not None and fill.full_in < _SOON else ""
    return Text.assemble(("█" * full, style), ("░" * (_BAR - full), "dim"), f" {fill.used:.0f} %{size}{soon}")


def _vitals(vitals: dict[str, object]) -> tuple[str, str]:
    def percent(*path: str) -> str:
        value: object = vitals
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return f"{value} %" if value is not None else ""

    return percent("cpu", "user"), percent("mem", "percent")
