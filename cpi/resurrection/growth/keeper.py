"""The monitor's hand for disks: reads how full they are, has them grow, tells when they cannot."""

import contextlib
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, Protocol

import msgspec

from cpi.agent.protocol import Deadlines
from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.units import MiB
from cpi.migration.durable.entry import Entry
from cpi.migration.durable.reaching import EntrySite
from cpi.resurrection.alert import Alert, Kind, Tell
from cpi.resurrection.disks import Disks
from cpi.resurrection.durable.history import History
from cpi.resurrection.growth.carrying import look
from cpi.resurrection.growth.deciding import Act, Decision, Past, decide
from cpi.resurrection.growth.history import Growths
from cpi.resurrection.growth.readings import KEPT_SECONDS, Readings, full_in, reading_from
from cpi.resurrection.growth.report import GrowthOrder
from cpi.resurrection.instance import Instance
from cpi.resurrection.watchfile import Watchfile

_LOOKS: Final = 4
_LOOK_SECONDS: Final = 10.0
_LOOK_AGAIN_SECONDS: Final = 60.0
_KINDS: Final = {Act.WARN: Kind.FILLING, Act.REFUSE: Kind.CANNOT_GROW, Act.GROW: Kind.FILLING}


class Grower(Protocol):
    """What it needs of the runner."""

    disks: Disks

    def growths(self) -> Growths:
        """All that were ever begun."""

    def history(self) -> History:
        """All recreations that were ever begun."""

    def begin_growth(self, order: GrowthOrder, past: Past) -> str:
        """Grow a disk, unless somebody does it already."""

    def alone(self, name: str) -> contextlib.AbstractContextManager[bool]:
        """Whether no other process is in such a block."""


class Fill(msgspec.Struct, frozen=True):
    """How full a disk is, as it is shown."""

    used: float
    """Per cent."""

    inodes: float
    size: MiB | None = None
    full_in: float | None = None
    """Seconds, at the rate of the last hours."""

    growths: int = 0
    what: str = ""


class Kept:
    """One disk."""

    def __init__(self, instance: Instance, plugin: str) -> None:
        self.instance = instance
        self.plugin = plugin
        self.readings = Readings()
        self.disk: DiskCid | None = None
        self.past = Past()
        self.told: Act = Act.NOTHING
        self.what = ""
        self.size: MiB | str = ""
        """Or why it is not known; empty: not yet."""

        self.looking: Future[MiB] | None = None
        self.looked_at = 0.0

    def forget(self, disk: DiskCid) -> None:
        """Another disk has taken the place of the one before."""
        if self.disk not in {None, disk}:
            self.size, self.looking = "", None
        self.disk = disk


class Keeper:
    """All disks of a file. Those without a policy are read only."""

    def __init__(self, file: Watchfile, runner: Grower, tell: Tell, now: Callable[[], float] = time.time) -> None:
        self._file = file
        self._runner = runner
        self._tell = tell
        self._now = now
        self._kept: dict[str, Kept] = {}
        self._growths = Growths(())
        self._grows = any(file.growth(instance) for instance in file.instances)
        self._looks = ThreadPoolExecutor(_LOOKS, "look at disks")

    def close(self) -> None:
        """Look no more."""
        self._looks.shutdown(cancel_futures=True)

    def read(self) -> None:
        """What was done meanwhile, by whomever."""
        if self._grows:
            self._growths = self._runner.growths()

    def in_hand(self, instance: Instance) -> str:
        """Whether its disk grows just now, for people; empty if not."""
        growing = any(one.order.name == instance.name for one in self._growths.under_way(instance.group))
        return "its disk is being grown" if growing else ""

    def hear(self, instance: Instance, plugin: str, vitals: Mapping[str, Any], at: float) -> None:
        """What its agent tells, and when."""
        reading = reading_from(vitals, at)
        if reading is not None and instance.is_stateful:
            self._of(instance, plugin).readings.add(reading)

    def fill(self, name: str) -> Fill | None:
        """How full the disk of an instance is; None if that is not known."""
        one = self._kept.get(name)
        latest = None if one is None else one.readings.latest
        if one is None or latest is None:
            return None
        left = full_in(one.readings.since(max(one.past.ended, latest.at - KEPT_SECONDS)))
        size = None if isinstance(one.size, str) else one.size
        return Fill(latest.used, latest.inodes, size, left, len(one.past.grown_at), one.what)

    def consider(self, instance: Instance, plugin: str, vm: VmCid, agent_id: str | None, *, busy: str) -> None:
        """Decide about the disk of an instance that is well. busy is why nothing may be done now; empty if it may."""
        policy = self._file.growth(instance)
        one = self._of(instance, plugin)
        if policy is None or one.readings.latest is None:
            return
        try:
            (disk,) = self._runner.disks.recorded(instance, plugin).disks or instance.disks
            in_hand = self._runner.disks.in_hand(instance, plugin)
        except errors.Error as error:
            one.what = f"cannot determine whether a move is using its disk: {error.message}"
            return
        one.forget(disk)
        one.past = self._growths.past(plugin, disk)
        growing = self._growths.under_way(instance.group)
        if busy or in_hand or growing:
            one.what = (
                busy or in_hand or ("grows" if self.in_hand(instance) else "waits until another disk of its group has grown")
            )
            return
        one.what = ""
        self._look_at(one, vm, agent_id)
        decision = decide(policy, one.size, one.readings.since(0.0), one.past, self._now(), self._file.rules.backoff)
        if decision.act is Act.GROW and decision.size is not None:
            self._begin(one, vm, agent_id, decision)
        else:
            self._say(one, decision)

    # ------------------------------------------------------------------ how large it is

    def _look_at(self, one: Kept, vm: VmCid, agent_id: str | None) -> None:
        if isinstance(one.size, str) and one.looking is None and self._now() - one.looked_at >= _LOOK_AGAIN_SECONDS:
            one.looked_at = self._now()
            one.looking = self._looks.submit(self._seen, one, vm, agent_id)
        if one.looking is not None and one.looking.done():
            looking, one.looking = one.looking, None
            try:
                one.size = looking.result()
            except errors.Error as error:
                one.size = error.message

    def _seen(self, one: Kept, vm: VmCid, agent_id: str | None) -> MiB:
        disk = one.disk or one.instance.disks[0]
        entry = Entry(one.instance.config, vm, disk, MiB(1), agent=one.instance.reach(agent_id))
        with EntrySite(entry, Deadlines(ready=_LOOK_SECONDS)) as site:
            return look(site, site.guest("look"), disk)[0]

    # ------------------------------------------------------------------ what is done

    def _begin(self, one: Kept, vm: VmCid, agent_id: str | None, decision: Decision) -> None:
        instance, policy = one.instance, self._file.growth(one.instance)
        if decision.size is None or policy is None or one.disk is None:
            return
        with self._runner.alone(f"group {instance.group} of {self._file.path}") as alone:
            if not alone or self._runner.history().under_way(instance.group):
                return
            self._growths = self._runner.growths()
            past = self._growths.past(one.plugin, one.disk)
            if self._growths.under_way(instance.group) or past.tries != one.past.tries:
                return  # another monitor was faster
            order = GrowthOrder(
                file=self._file.path,
                name=instance.name,
                group=instance.group,
                plugin=one.plugin,
                vm=vm,
                disk=one.disk,
                size=decision.size,
                reason=decision.reason,
                agent_id=agent_id,
                is_unfinished=past.unfinished is not None,
                known_fault=past.why_failed,
                or_copy=policy.or_copy,
                properties=policy.properties,
            )
            self._say(one, msgspec.structs.replace(decision, reason=f"{decision.reason}; it grows to {decision.size} MiB"))
            self._runner.begin_growth(order, past)
            self._growths = self._runner.growths()
        one.told, one.size, one.looked_at = Act.NOTHING, "", 0.0

    def _say(self, one: Kept, decision: Decision) -> None:
        """Once for each state; a growth that failed was reported by the monitor that tried it."""
        one.what = decision.reason if decision.act is Act.REFUSE else one.what
        said, one.told = one.told, decision.act
        if decision.act is Act.NOTHING or said is decision.act or decision.reason == one.past.why_failed:
            return
        latest = one.readings.latest
        self._tell(
            Alert(
                kind=_KINDS[decision.act],
                message=f"{one.instance.name}: the disk {one.disk}: {decision.reason}",
                instance=one.instance.name,
                group=one.instance.group,
                full_in_seconds=decision.full_in,
                used_percent=latest.used if latest else None,
            )
        )

    def _of(self, instance: Instance, plugin: str) -> Kept:
        if instance.name not in self._kept:
            self._kept[instance.name] = Kept(instance, plugin)
        return self._kept[instance.name]
