"""Recreations as durable work: begun once for each VM that is to be replaced, whoever asks; gone on with by whoever is there."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from cpi import connecting
from cpi.agent.protocol import Deadlines
from cpi.contract import errors
from cpi.contract.encoding import from_plain, to_plain
from cpi.durable import engine
from cpi.durable.database import Database
from cpi.durable.succession import DiskRecords
from cpi.kit.redaction import scrubbed
from cpi.resurrection.alert import Alert, Kind, Tell
from cpi.resurrection.disks import Disks
from cpi.resurrection.durable.files import FILE, id_of, kept_of
from cpi.resurrection.durable.history import History, Present
from cpi.resurrection.report import Order, Report, Standing
from cpi.resurrection.sequence import Recreation
from cpi.resurrection.watchfile import Watchfile, read_watchfile

FORMAT: Final = "resurrections-1"
"""The version of what is kept: another one only if what an older program began could not be finished any more."""

WORK: Final = "resurrection"
_KINDS: Final = {Standing.RECREATED: Kind.RECREATED, Standing.ALIVE: Kind.BACK, Standing.FAILED: Kind.FAILED}


class Runner:
    """Recreates instances in this process, and goes on with what dead processes left. One in a process at a time."""

    def __init__(self, kept: Database, on_lost: Callable[[str], None], tell: Tell, records: DiskRecords | None = None) -> None:
        """tell is told of every end. on_lost is told that others take this process for dead: it has to end at once.

        records are what moves have written down about disks.
        """
        global _runner  # noqa: PLW0603 - the engine finds works by their names, so they find their runner here
        self.tell = tell
        self.disks = Disks(records)
        self._steps: dict[str, str] = {}
        self._guard = threading.Lock()
        self._executor = engine.Executor(kept, FORMAT, on_lost)
        _runner = self
        with contextlib.ExitStack() as made:
            made.callback(self.close)
            self._executor.launch()
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
        return {**self.history().unreadable, **self._executor.works.unreadable, **self.disks.unreadable}

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
