"""Who was heard when: heartbeats that come over the bus by themselves, and agents that are asked.

An agent on the bus is asked when it has been silent for half of what is granted to it, any other all the time.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from cpi.agent.protocol import Agent, AgentState, Deadlines
from cpi.agent.reaching import reached
from cpi.contract import errors
from cpi.contract.ids import VmCid
from cpi.resurrection.clouds import Clouds
from cpi.resurrection.instance import Instance
from cpi.resurrection.rules import Rules

if TYPE_CHECKING:  # nats-py comes with an extra
    from cpi.agent.nats import NatsBus

_AT_ONCE: Final = 16
_PING_SECONDS: Final = 5.0


class Target:
    """One instance as it is listened to."""

    __slots__ = (
        "agent_id",
        "asked",
        "fault",
        "heard",
        "heard_at",
        "instance",
        "job_state",
        "lines",
        "retired",
        "vitals",
        "vm",
        "waiting",
    )

    def __init__(self, instance: Instance, vm: VmCid, agent_id: str | None, now: float) -> None:
        self.instance = instance
        self.vm = vm
        self.agent_id = agent_id
        self.heard = now
        self.heard_at = time.time()
        self.asked = 0.0
        self.waiting = False
        self.fault = ""
        self.job_state = ""
        self.vitals: Mapping[str, Any] = {}
        self.lines: tuple[Agent, contextlib.ExitStack] | None = None
        self.retired = False

    def hang_up(self) -> None:
        """Let go of the connection; the next question makes another."""
        lines, self.lines = self.lines, None
        if lines is not None:
            lines[1].close()


class Pulse:
    """All instances, listened to."""

    def __init__(self, rules: Rules, clouds: Clouds, bus: "NatsBus | None", clock: Callable[[], float] = time.monotonic) -> None:
        self._rules = rules
        self._clouds = clouds
        self._bus = bus
        self._clock = clock
        self._guard = threading.Lock()
        self._targets: dict[str, Target] = {}
        self._by_agent: dict[str, Target] = {}
        self._pool = ThreadPoolExecutor(_AT_ONCE, "pulse")
        seconds = max(1.0, min(_PING_SECONDS, rules.agent_timeout / 4))
        self._deadlines = Deadlines(message=seconds)
        if bus is not None:
            bus.listen("heartbeat", self._beaten)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)
        for target in self._targets.values():
            target.hang_up()

    def listen_to(self, instance: Instance, vm: VmCid, agent_id: str | None) -> None:
        """From now on the instance is this VM; it has all its time to be heard. The same VM as before changes nothing."""
        with self._guard:
            old = self._targets.get(instance.name)
            if old is not None and (old.vm, old.agent_id) == (vm, agent_id):
                return
            target = Target(instance, vm, agent_id, self._clock())
            self._targets[instance.name] = target
            if old is not None:
                self._retire(old)
            if agent_id:
                self._by_agent[agent_id] = target

    def _retire(self, target: Target) -> None:
        target.retired = True
        if target.agent_id:
            self._by_agent.pop(target.agent_id, None)
        if not target.waiting:
            target.hang_up()

    def target(self, name: str) -> Target:
        """What is known of an instance."""
        return self._targets[name]

    def silence(self, name: str) -> float:
        """For how long it was not heard."""
        return self._clock() - self._targets[name].heard

    def grant(self, name: str) -> None:
        """Its silence until now does not count."""
        self._targets[name].heard = self._clock()

    def is_deaf(self, name: str) -> bool:
        """Whether its silence means nothing, for the bus is lost."""
        return self._on_bus(self._targets[name]) and self._bus is not None and not self._bus.is_connected

    def ask(self, names: Iterable[str]) -> None:
        """Ask those whose turn it is; returns at once."""
        now = self._clock()
        for name in names:
            target = self._targets[name]
            quiet = now - target.heard > self._rules.suspicious or not self._on_bus(target)
            if quiet and not target.waiting and now - target.asked >= self._rules.between_pings and not self.is_deaf(name):
                target.waiting, target.asked = True, now
                self._pool.submit(self._asked, target)

    def _on_bus(self, target: Target) -> bool:
        return self._bus is not None and (target.instance.agent.url or "").startswith(("nats:", "tls:"))

    def _asked(self, target: Target) -> None:
        try:
            state = self._agent(target).get_state(full=True)
        except errors.Error as error:
            target.fault = error.message
            target.hang_up()
        else:
            self._hear(target, state)
        finally:
            with self._guard:
                target.waiting = False
                if target.retired:
                    target.hang_up()

    def _agent(self, target: Target) -> Agent:
        if target.lines is None:
            made = contextlib.ExitStack()
            if self._bus is not None and self._on_bus(target):
                agent = self._bus.agent(target.agent_id or "", self._deadlines)
            else:
                cloud = self._clouds.cloud(target.instance.config)
                reach = target.instance.reach(target.agent_id)
                agent = made.enter_context(reached(reach, cloud, target.vm, made, self._deadlines))
            target.lines = (agent, made)
        return target.lines[0]

    def _hear(self, target: Target, state: AgentState) -> None:
        self._heard(target, state.job_state, state.vitals)

    def _beaten(self, agent_id: str, document: Mapping[str, Any]) -> None:
        target = self._by_agent.get(agent_id)
        if target is not None:
            vitals = document.get("vitals")
            self._heard(target, str(document.get("job_state") or "unknown"), vitals if isinstance(vitals, Mapping) else {})

    def _heard(self, target: Target, job_state: str, vitals: Mapping[str, Any]) -> None:
        target.heard, target.heard_at, target.fault = self._clock(), time.time(), ""
        target.job_state, target.vitals = job_state, vitals
