"""The monitor: who is silent is judged, and recreated if nothing speaks against it."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from enum import Enum
from types import TracebackType
from typing import Final, Self

import msgspec

from cpi.contract import errors
from cpi.resurrection.alert import Alert, Kind, Tell
from cpi.resurrection.clouds import Clouds
from cpi.resurrection.durable.history import Present
from cpi.resurrection.durable.runner import Runner
from cpi.resurrection.growth.keeper import Fill, Keeper
from cpi.resurrection.guard import Guard
from cpi.resurrection.instance import Instance
from cpi.resurrection.judging import judge
from cpi.resurrection.pulse import Pulse
from cpi.resurrection.report import Order, Verdict
from cpi.resurrection.watchfile import Watchfile

_READ_SECONDS: Final = 5.0
_JUDGES: Final = 8
_ASLEEP_SECONDS: Final = 5.0
_MELTDOWN: Final = "meltdown"


class Condition(Enum):
    """How an instance does."""

    WELL = "well"
    SILENT = "silent"
    DOWN = "down"
    UNDER_WAY = "under way"


class Watched:
    """One instance, and what the monitor thinks of it."""

    def __init__(self, instance: Instance, plugin: str, present: Present) -> None:
        self.instance = instance
        self.plugin = plugin
        self.present = present
        self.condition = Condition.WELL
        self.verdict: Verdict | None = None
        self.judging: Future[Verdict] | None = None
        self.held = ""
        """Why nothing is done about it."""

    @property
    def name(self) -> str:
        """The instance's."""
        return self.instance.name

    def forget(self) -> None:
        """It is not down any more."""
        self.condition, self.verdict, self.judging, self.held = Condition.WELL, None, None, ""


class View(msgspec.Struct, frozen=True):
    """One instance, as it is shown."""

    name: str
    group: str
    vm: str
    condition: str
    what: str
    silent_seconds: float
    job_state: str
    vitals: dict[str, object]
    disks: tuple[str, ...]
    tries: int
    fill: Fill | None = None
    """How full its disk is, if its agent tells."""


class Monitor:
    """Watches the instances of one file. Call tick again and again."""

    def __init__(
        self,
        file: Watchfile,
        runner: Runner,
        pulse: Pulse,
        clouds: Clouds,
        tell: Tell,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises CpiError for a configuration that cannot be read."""
        self._file = file
        self._runner = runner
        self._pulse = pulse
        self._clouds = clouds
        self._tell = tell
        self._clock = clock
        self._guard = Guard(file.rules.meltdown, len(file.instances))
        self._judges = ThreadPoolExecutor(_JUDGES, "judge")
        self._melting = False
        self._deaf = False
        self._ticked = clock()
        self._read_at = self._ticked
        self._history = runner.history()
        self._keeper = Keeper(file, runner, tell)
        self.watched = {
            instance.name: Watched(instance, plugin, self._history.present(instance, plugin))
            for instance in file.instances
            for plugin in (clouds.plugin(instance.config),)
        }
        for one in self.watched.values():
            pulse.listen_to(one.instance, one.present.vm, one.present.agent_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._judges.shutdown(cancel_futures=True)
        self._keeper.close()

    @property
    def is_meltdown(self) -> bool:
        """Whether nothing is recreated now, for too many are down."""
        return self._melting

    def tick(self) -> None:
        """Look at everybody once."""
        now = self._clock()
        self._forgive_own_sleep(now)
        if now - self._read_at >= _READ_SECONDS or any(one.condition is Condition.UNDER_WAY for one in self.watched.values()):
            self._read(now)
        self._pulse.ask(self.watched)
        self._see_bus()
        self._see_meltdown(now)
        for one in self.watched.values():
            self._consider(one)
            self._keep(one)

    def views(self) -> list[View]:
        """Everybody, as they are shown."""
        return [self._view(one) for one in self.watched.values()]

    # ------------------------------------------------------------------ what is known

    def _forgive_own_sleep(self, now: float) -> None:
        """Who did not listen has no right to call others silent."""
        if now - self._ticked > max(_ASLEEP_SECONDS, self._file.rules.suspicious):
            for name in self.watched:
                self._pulse.grant(name)
        self._ticked = now

    def _read(self, now: float) -> None:
        self._history, self._read_at = self._runner.history(), now
        self._keeper.read()
        for one in self.watched.values():
            before, one.present = one.present, self._history.present(one.instance, one.plugin)
            self._pulse.listen_to(one.instance, one.present.vm, one.present.agent_id)
            if len(one.present.ended) != len(before.ended):
                one.forget()
                self._pulse.grant(one.name)
            if one.present.under_way is not None:
                one.condition = Condition.UNDER_WAY

    def _see_bus(self) -> None:
        deaf = [name for name in self.watched if self._pulse.is_deaf(name)]
        if deaf and not self._deaf:
            self._tell(Alert(kind=Kind.BUS_LOST, message="the message bus is lost; the state of its agents is unknown"))
        if not deaf and self._deaf:
            self._tell(Alert(kind=Kind.BUS_FOUND, message="the message bus is back"))
            for one in self.watched.values():
                self._pulse.grant(one.name)
        self._deaf = bool(deaf)

    def _see_meltdown(self, now: float) -> None:
        rules = self._file.rules
        hearing = [name for name in self.watched if not self._pulse.is_deaf(name)]
        suspects = {name for name in hearing if self._pulse.silence(name) > rules.suspicious}
        down = {name for name in suspects if self._pulse.silence(name) > rules.agent_timeout}
        self._guard.see(down, suspects, now)
        melting, before = self._guard.is_meltdown and bool(down or self._melting), self._melting
        self._melting = melting
        if melting and not before:
            self._tell(
                Alert(
                    kind=Kind.MELTDOWN,
                    message=f"{len(self._guard.down)} of {len(self.watched)} instances are down: nothing is recreated",
                    down=self._guard.down,
                )
            )
        if before and not melting:
            self._tell(Alert(kind=Kind.OVER, message="the meltdown is over; instances that are still down will be recreated"))

    # ------------------------------------------------------------------ one instance

    def _consider(self, one: Watched) -> None:
        if one.present.under_way is not None or self._pulse.is_deaf(one.name):
            return
        if one.present.unfinished is not None:
            one.condition, one.verdict = Condition.DOWN, one.verdict or Verdict.MISSING
            self._recreate_unless(one, self._why_not(one))
            return
        silence = self._pulse.silence(one.name)
        if silence <= self._file.rules.agent_timeout:
            if one.held not in {"", _MELTDOWN}:
                self._told(one, Kind.BACK, "its agent responds again")
            one.forget()
            if silence > self._file.rules.suspicious:
                one.condition = Condition.SILENT
            return
        one.condition = Condition.DOWN
        if self._melting:
            one.held = _MELTDOWN
        elif self._judged(one):
            self._recreate_unless(one, self._why_not(one))

    def _judged(self, one: Watched) -> bool:
        if one.verdict is not None:
            return True
        if one.judging is None:
            cloud = self._clouds.cloud
            one.judging = self._judges.submit(lambda: judge(cloud(one.instance.config), one.present.vm))
        if not one.judging.done():
            return False
        judging, one.judging = one.judging, None
        try:
            one.verdict = judging.result()
        except errors.Error as error:
            self._hold(one, f"cannot determine whether its VM exists: {error.message}")
            return False
        return True

    def _why_not(self, one: Watched) -> str:
        """What speaks against recreating it; empty if nothing does, a blank if it has only to wait."""
        if self._melting:
            return _MELTDOWN
        group, rules = self._file.group(one.instance), self._file.rules
        if not group.resurrect:
            return f"the group {one.instance.group} is switched off"
        if one.instance.is_stateful and not group.stateful:
            return f"it has a disk, and the group {one.instance.group} recreates only instances without disks"
        recent = one.present.recent(time.time() - rules.backoff.forget)
        left = recent[-1].report.ended + rules.backoff.seconds(len(recent)) - time.time() if recent and recent[-1].report else 0.0
        if left > 0:
            return f"tried {len(recent)} times recently; waiting before the next attempt"
        in_hand = self._in_hand(one)
        if in_hand:
            return in_hand
        under_way = Counter(other.instance.group for other in self.watched.values() if other.condition is Condition.UNDER_WAY)
        return " " if under_way[one.instance.group] >= group.at_once else ""

    def _keep(self, one: Watched) -> None:
        """See to its disk."""
        target = self._pulse.target(one.name)
        self._keeper.hear(one.instance, one.plugin, target.vitals, target.heard_at)
        if one.condition is not Condition.WELL or self._pulse.is_deaf(one.name):
            return
        group = one.instance.group
        recreating = any(
            other.condition is Condition.UNDER_WAY for other in self.watched.values() if other.instance.group == group
        )
        busy = _MELTDOWN if self._melting else "waits until an instance of its group is recreated" if recreating else ""
        self._keeper.consider(one.instance, one.plugin, one.present.vm, one.present.agent_id, busy=busy)

    def _in_hand(self, one: Watched) -> str:
        growing = self._keeper.in_hand(one.instance)
        if growing:
            return growing
        try:
            return self._runner.disks.in_hand(one.instance, one.plugin)
        except errors.Error as error:
            return f"cannot determine whether a move is using its disk: {error.message}"

    def _recreate_unless(self, one: Watched, reason: str) -> None:
        if reason == " " or one.verdict is None:
            return
        if reason:
            self._hold(one, reason)
            return
        with self._runner.alone(f"group {one.instance.group} of {self._file.path}") as alone:
            if alone:
                self._begin(one, one.verdict)

    def _begin(self, one: Watched, verdict: Verdict) -> None:
        history, group = self._runner.history(), one.instance.group
        fresh = history.present(one.instance, one.plugin)
        if fresh.under_way is not None or fresh.vm != one.present.vm:
            return  # another monitor was faster; what it did is read soon
        if len(history.under_way(group)) >= self._file.group(one.instance).at_once:
            return
        self._keeper.read()
        if self._keeper.in_hand(one.instance):
            return
        failed = fresh.unfinished
        if failed is None:
            self._told(one, Kind.DOWN, f"{verdict.value}; it will be recreated")
        order = Order(
            file=self._file.path,
            name=one.name,
            group=group,
            vm=fresh.vm,
            plugin=one.plugin,
            verdict=verdict,
            agent_id=fresh.agent_id,
            down_since=failed.order.down_since if failed else self._pulse.target(one.name).heard_at,
        )
        self._runner.begin(order, fresh)
        one.held, one.condition = "", Condition.UNDER_WAY

    def _hold(self, one: Watched, reason: str) -> None:
        if one.held != reason:
            one.held = reason
            if reason != _MELTDOWN:
                self._told(
                    one,
                    Kind.HELD,
                    f"it is down ({one.verdict.value if one.verdict else 'silent'}) and is not recreated: {reason}",
                )

    def _told(self, one: Watched, kind: Kind, message: str) -> None:
        self._tell(
            Alert(
                kind=kind,
                message=f"{one.name}: {message}",
                instance=one.name,
                group=one.instance.group,
                old_vm=one.present.vm,
            )
        )

    def _disks(self, one: Watched) -> tuple[str, ...]:
        disks = one.instance.disks
        with contextlib.suppress(errors.Error):  # the file's, if what moves have done cannot be read
            disks = self._runner.disks.recorded(one.instance, one.plugin).disks
        return tuple(str(disk) for disk in disks)

    def _view(self, one: Watched) -> View:
        target = self._pulse.target(one.name)
        under_way = one.present.under_way
        what = one.held or (target.fault if one.condition is not Condition.WELL else "")
        if under_way is not None:
            what = self._runner.step_of(under_way.work_id) or f"by {under_way.executor_id}"
        return View(
            name=one.name,
            group=one.instance.group,
            vm=str(one.present.vm),
            condition=one.condition.value,
            what=what,
            silent_seconds=self._pulse.silence(one.name),
            job_state=target.job_state,
            vitals=dict(target.vitals),
            disks=self._disks(one),
            tries=len(one.present.ended),
            fill=self._keeper.fill(one.name),
        )
