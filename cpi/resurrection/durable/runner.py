"""Recreations as durable work: begun once for each VM that is to be replaced, whoever asks; gone on with by whoever is there."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from cpi import connecting
from cpi.agent.protocol import Deadlines
from cpi.contract import errors
from cpi.contract.encoding import from_plain, to_plain
from cpi.durable import engine
from cpi.durable.database import Database
from cpi.durable.succession import DiskRecords
from cpi.kit.redaction import scrubbed
from cpi.migration.durable.entry import Entry
from cpi.migration.durable.reaching import EntrySite
from cpi.resurrection.alert import Alert, Kind, Tell
from cpi.resurrection.disks import Disks
from cpi.resurrection.durable.files import FILE, id_of, kept_of
from cpi.resurrection.durable.history import History, Present
from cpi.resurrection.growth.carrying import DiskGrowth, move_id_of
from cpi.resurrection.growth.deciding import Past
from cpi.resurrection.growth.history import Growths
from cpi.resurrection.growth.report import GrowthOrder, GrowthReport, GrowthStanding
from cpi.resurrection.report import Order, Report, Standing
from cpi.resurrection.sequence import Recreation
from cpi.resurrection.watchfile import Watchfile, read_watchfile

if TYPE_CHECKING:
    from cpi.contract.ids import DiskCid

FORMAT: Final = "resurrections-1"
"""The version of what is kept: another one only if what an older program began could not be finished any more."""

WORK: Final = "resurrection"
GROWTH: Final = "growth"
_AGENT_SECONDS: Final = 60.0
"""How long an agent may be silent while its disk grows: then the VM may have to be recreated."""

_KINDS: Final = {Standing.RECREATED: Kind.RECREATED, Standing.ALIVE: Kind.BACK, Standing.FAILED: Kind.FAILED}


class Runner:
    """Recreates instances in this process, and goes on with what dead processes left. One in a process at a time."""

    def __init__(self, kept: Database, on_lost: Callable[[str], None], tell: Tell, records: DiskRecords | None = None) -> None:
        """tell is told of every end. on_lost is told that others take this process for dead: it has to end at once.

        records are what moves have written down about disks.
        """
        global _runner  # noqa: PLW0603 - the engine finds works by their names, so they find their runner here
        self.tell = tell
        self._heirs: dict[str, DiskCid] = {}
        # a work must not ask the database for works: what it asks for is kept as a step of its own
        self.disks = Disks(records, grown=lambda: self._heirs)
        self._steps: dict[str, str] = {}
        self._guard = threading.Lock()
        self._executor = engine.Executor(kept, FORMAT, on_lost)
        _runner = self
        with contextlib.ExitStack() as made:
            made.callback(self.close)
            self._executor.launch()
            self.growths()
            self._executor.watch()
            made.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def executor_id(self) -> str:
        """Who this process is among those that share the database."""
        return self._executor.executor_id

    def begin(self, order: Order, present: Present) -> str:
        """Recreate an instance, unless somebody does it already. The id of the work."""
        work_id = f"{order.plugin}-{order.vm}-{present.tries_for_vm + 1}"
        self._executor.begin(_recreate, work_id, to_plain(order))
        return work_id

    def begin_growth(self, order: GrowthOrder, past: Past) -> str:
        """Grow a disk, unless somebody does it already. The id of the work."""
        work_id = f"grow-{order.plugin}-{order.disk}-{past.tries + 1}"
        self._executor.begin(_grow, work_id, to_plain(order))
        return work_id

    def growths(self) -> Growths:
        """All growths that were ever begun."""
        found = Growths(self._executor.works.rows(GROWTH))
        self._heirs = found.heirs()
        return found

    def remember(self, file: Watchfile) -> None:
        """Keep which disks a file names, for those who move or delete one."""
        stays, changes = kept_of(file)
        self._executor.begin(_file, id_of(file), stays)
        self._executor.works.mark(id_of(file), changes)

    @contextlib.contextmanager
    def alone(self, name: str) -> Iterator[bool]:
        """Whether no other process is in such a block of this name."""
        held = self._executor.locks.hold(name)
        try:
            yield held
        finally:
            if held:
                self._executor.locks.release(name)

    def history(self) -> History:
        """All that was ever begun."""
        return History(self._executor.works.rows(WORK))

    def unreadable(self) -> dict[str, str]:
        """The records of recreations and of moves that cannot be read, and why."""
        return {
            **self.history().unreadable,
            **self.growths().unreadable,
            **self._executor.works.unreadable,
            **self.disks.unreadable,
        }

    def step_of(self, work_id: str) -> str:
        """Which step of a work is done now; empty if it is not done here."""
        with self._guard:
            return self._steps.get(work_id, "")

    def doing(self, work_id: str, step: str) -> None:
        """A work has come to a step; empty: it is over."""
        with self._guard:
            self._steps[work_id] = step
            if not step:
                del self._steps[work_id]

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way in this process."""
        with self._guard:
            return not self._steps

    def close(self) -> None:
        """Leave what is under way to others."""
        global _runner  # noqa: PLW0603 - as above
        self._executor.close(lambda: self.is_idle)
        _runner = None


_runner: Runner | None = None


@engine.work(FILE)
def _file(kept: dict[str, Any]) -> dict[str, Any]:
    """An instances file: a work that does nothing but be known."""
    return kept


@engine.work(WORK)
def _recreate(kept: dict[str, Any]) -> dict[str, Any]:
    """One recreation; what it returns is a Report."""
    if _runner is None:
        raise errors.CpiError("an instance is recreated by a runner only")
    runner, work_id, order = _runner, engine.work_id(), from_plain(kept, Order)
    runner.doing(work_id, "begin")
    try:
        report = _recreated(order, runner.disks, partial(runner.doing, work_id))
        engine.step("tell", partial(_tell, runner, order, report))
    finally:
        runner.doing(work_id, "")
    plain: dict[str, Any] = to_plain(report)
    return plain


def _recreated(order: Order, disks: Disks, on_step: Callable[[str], None]) -> Report:
    try:
        file = read_watchfile(order.file)
        instance = file.instance(order.name)
        deadlines = Deadlines(ready=file.rules.ready, start=file.rules.start)
        with connecting.connect(instance.config) as cloud, disks.kept_from_moves(instance, order.plugin, cloud) as present:
            return Recreation(present, order, cloud, deadlines=deadlines, keep=engine.step, on_step=on_step).report()
    except errors.Error as error:
        return Report(Standing.FAILED, time.time(), message=scrubbed(error.message), failed_step="read")


@engine.work(GROWTH)
def _grow(kept: dict[str, Any]) -> dict[str, Any]:
    """One disk grows; what it returns is a GrowthReport."""
    if _runner is None:
        raise errors.CpiError("a disk is grown by a runner only")
    runner, work_id, order = _runner, engine.work_id(), from_plain(kept, GrowthOrder)
    runner.doing(work_id, "grow")
    try:
        report = _grown(order, runner.disks, move_id_of(work_id))
        engine.step("tell", lambda: _tell_growth(runner, order, report))
    finally:
        runner.doing(work_id, "")
    plain: dict[str, Any] = to_plain(report)
    return plain


def _grown(order: GrowthOrder, disks: Disks, move_id: str) -> GrowthReport:
    try:
        file = read_watchfile(order.file)
        instance = file.instance(order.name)
        policy = file.growth(instance)
        if policy is None:
            raise errors.CpiError(f"{order.file} does not let the disk of {order.name} grow any more")
        entry = Entry(instance.config, order.vm, order.disk, order.size, agent=instance.reach(order.agent_id))
        deadlines = Deadlines(ready=min(file.rules.ready, _AGENT_SECONDS), start=file.rules.start)
        with (
            connecting.connect(instance.config) as cloud,
            disks.kept_from_moves(instance, order.plugin, cloud),
            EntrySite(entry, deadlines, move_id) as site,
        ):
            site.is_ours = True
            return DiskGrowth(order, policy, site, move_id, engine.step).report(site.open)
    except errors.Error as error:
        return GrowthReport(GrowthStanding.FAILED, time.time(), order.disk, scrubbed(error.message))


def _tell_growth(runner: Runner, order: GrowthOrder, report: GrowthReport) -> None:
    alert = growth_alert(order, report)
    if alert is not None:
        runner.tell(alert)


def growth_alert(order: GrowthOrder, report: GrowthReport) -> Alert | None:
    """What people read about a growth that has ended; None if there was nothing to do, or it was reported before."""
    if report.standing is GrowthStanding.NOT_NEEDED or (report.message and report.message == order.known_fault):
        return None
    if report.standing is GrowthStanding.GROWN:
        where = f"{order.disk}" if report.disk == order.disk else f"{order.disk}, now {report.disk},"
        down = f"{report.strategy.replace('_', ' ')}, jobs down for {report.jobs_down_seconds:.1f} s"
        kind, said = Kind.GROWN, f"the disk {where} has grown from {report.old_size} to {report.size} MiB ({down})"
    else:
        left = f": the cloud has grown it to {report.size} MiB, and not all of it can be used" if report.is_unfinished else ""
        kind, said = Kind.CANNOT_GROW, f"the disk {order.disk} could not grow to {order.size} MiB{left}: {report.message}"
    return Alert(
        kind=kind,
        message=f"{order.name}: {said} ({order.reason})",
        instance=order.name,
        group=order.group,
        old_vm=order.vm,
        jobs_down_seconds=report.jobs_down_seconds if report.standing is GrowthStanding.GROWN else None,
    )


def _tell(runner: Runner, order: Order, report: Report) -> None:
    runner.tell(alert_of(order, report))


def alert_of(order: Order, report: Report) -> Alert:
    """What people are told of a recreation that has ended."""
    seconds = report.jobs_down_seconds
    said = {
        Standing.RECREATED: f"{order.verdict.value}: it was recreated as {report.vm}"
        + (f", its jobs were down for {seconds:.1f} s" if seconds is not None else ""),
        Standing.ALIVE: report.message,
        Standing.FAILED: f"{order.verdict.value}: it could not be recreated: {report.message}",
    }
    return Alert(
        kind=_KINDS[report.standing],
        message=f"{order.name}: {said[report.standing]}",
        instance=order.name,
        group=order.group,
        old_vm=order.vm,
        vm=report.vm,
        done=tuple(step.name for step in report.steps if step.name != report.failed_step),
        jobs_down_seconds=seconds,
    )
