"""A monitor around parts of a test's own: a clock, silences, a cloud and a database."""

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar

from cpi.contract import errors
from cpi.contract.encoding import to_plain
from cpi.contract.ids import DiskCid, StemcellCid, VmCid
from cpi.durable.succession import Succession
from cpi.durable.works import Row
from cpi.kit.waiting import wait_until
from cpi.resurrection.alert import Alert, Kind
from cpi.resurrection.disks import Disks
from cpi.resurrection.durable.history import History, Present
from cpi.resurrection.growth.deciding import Past
from cpi.resurrection.growth.history import Growths
from cpi.resurrection.growth.report import GrowthOrder
from cpi.resurrection.instance import Instance
from cpi.resurrection.monitor import Monitor
from cpi.resurrection.pulse import Target
from cpi.resurrection.report import Order, Report
from cpi.resurrection.rules import Group, Rules
from cpi.resurrection.watchfile import Watchfile


class Pulses:
    """Silences as the test says."""

    def __init__(self) -> None:
        self.silences: dict[str, float] = {}
        self.targets: dict[str, Target] = {}
        self.deaf = False

    def listen_to(self, instance: Instance, vm: VmCid, agent_id: str | None) -> None:
        if instance.name not in self.targets or self.targets[instance.name].vm != vm:
            self.targets[instance.name] = Target(instance, vm, agent_id, 0)
            self.silences[instance.name] = 0

    def target(self, name: str) -> Target:
        return self.targets[name]

    def silence(self, name: str) -> float:
        return self.silences[name]

    def grant(self, name: str) -> None:
        self.silences[name] = 0

    def is_deaf(self, name: str) -> bool:
        return self.deaf

    def ask(self, names: object) -> None:
        """Nobody is asked."""


class Works:
    """Recreations that the test ends."""

    executor_id = "me"
    unreadable: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.growing: list[GrowthOrder] = []
        self.grown: list[Row] = []
        self.rows: list[Row] = []
        self.others = False
        self.moved = Succession()
        self.is_unreadable = False
        self.disks = Disks(self, clock=itertools.count(0, 60).__next__)

    def look(self) -> Succession:
        if self.is_unreadable:
            raise errors.CpiError("no database")
        return self.moved

    def hold(self, name: str) -> bool:
        return True

    def release(self, name: str) -> None:
        """Nothing is held."""

    def history(self) -> History:
        return History(self.rows)

    def begin(self, order: Order, present: Present) -> str:
        self.orders.append(order)
        work_id = f"{order.vm}-{present.tries_for_vm + 1}"
        self.rows.append(Row(work_id, to_plain(order), "me", 0.0, is_open=True, answer=None, fault=""))
        return work_id

    def growths(self) -> Growths:
        return Growths(self.grown)

    def begin_growth(self, order: GrowthOrder, past: Past) -> str:
        self.growing.append(order)
        self.grown.append(Row(f"grow-{past.tries}", to_plain(order), "me", 0.0, is_open=True, answer=None, fault=""))
        return "grow"

    def end(self, report: Report) -> None:
        """The oldest one that is open ends so."""
        at = next(number for number, row in enumerate(self.rows) if row.is_open)
        row = self.rows[at]
        self.rows[at] = Row(row.work_id, row.argument, row.executor_id, 0.0, is_open=False, answer=to_plain(report), fault="")

    @contextmanager
    def alone(self, name: str) -> Iterator[bool]:
        yield not self.others

    def step_of(self, work_id: str) -> str:
        return "create_vm"


class OneCloud:
    """One cloud, which has the VMs that the test says."""

    def __init__(self) -> None:
        self.has: bool | errors.Error = True

    def cloud(self, config: str) -> "OneCloud":
        return self

    def plugin(self, config: str) -> str:
        return "local"

    def has_vm(self, vm_cid: VmCid) -> bool:
        if isinstance(self.has, errors.Error):
            raise self.has
        return self.has


class Place:
    """A monitor of so many instances in one group."""

    def __init__(self, made: ExitStack) -> None:
        self._made = made
        self.pulse, self.runner, self.clouds = Pulses(), Works(), OneCloud()
        self.alerts: list[Alert] = []
        self.now = 1000.0

    def watch(self, count: int, group: Group | None = None, rules: Rules | None = None, *, disks: bool = True) -> Monitor:
        instances = tuple(
            Instance(
                name=f"db/{number}",
                config="/c.json",
                vm=VmCid(f"vm-{number}"),
                stemcell=StemcellCid("s"),
                networks={},
                group="db",
                disks=(DiskCid(f"disk-{number}"),) if disks else (),
            )
            for number in range(count)
        )
        file = Watchfile(path="/f.yml", instances=instances, groups={"db": group or Group()}, rules=rules or Rules())
        runner: Any = self.runner
        pulse: Any = self.pulse
        clouds: Any = self.clouds
        self.monitor = self._made.enter_context(Monitor(file, runner, pulse, clouds, self.alerts.append, lambda: self.now))
        return self.monitor

    def silence(self, *numbers: int, seconds: float = 61) -> None:
        for number in numbers:
            self.pulse.silences[f"db/{number}"] = seconds

    def tick(self, times: int = 3) -> None:
        """Long enough for a judge to come to a verdict."""
        for _ in range(times):
            self.now += 1
            self.monitor.tick()
            judging = [one.judging for one in self.monitor.watched.values() if one.judging is not None]
            wait_until(lambda judging=judging: all(one.done() for one in judging), "judged", deadline_seconds=5)  # type: ignore[misc]  # a default binds it

    def told(self) -> list[Kind]:
        return [alert.kind for alert in self.alerts]

    def ordered(self) -> list[str]:
        return [order.name for order in self.runner.orders]
