"""The jobs of a VM together.

Why not supervisor, circus or honcho: each puts every process it starts into a process group or session of its own and
closes the descriptors it did not make, so a job would outlive the loss of its VM, and would not hold the VM's lock; and none
starts by dependencies. What is left to do without them is this module and supervised.py.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from cpi_drivers.local.agent.jobs import Job
from cpi_drivers.local.agent.layout import VmFolder
from cpi_drivers.local.agent.process_tree import marked
from cpi_drivers.local.agent.supervised import Supervised

_WANTED = "jobs_wanted"


class Supervisor:
    """Starts jobs after those they depend on, stops them before; remembers over a reboot if they shall run."""

    def __init__(self, vm: VmFolder, environment: Mapping[str, str]) -> None:
        self._vm = vm
        self._environment = environment
        self._running: dict[str, Supervised] = {}
        self._turn = asyncio.Lock()

    @property
    def wanted(self) -> str | None:
        """started or stopped, whichever was asked for last; None if neither ever was."""
        wanted = self._vm.recall(_WANTED)
        return None if wanted is None else str(wanted)

    async def start(self, jobs: tuple[Job, ...]) -> None:
        """Lets these jobs run, and no other; one that runs already is left alone unless it is described otherwise now."""
        async with self._turn:
            self._vm.keep(_WANTED, "started")
            described = {job.name: job for job in jobs}
            changed = {name for name, one in self._running.items() if described.get(name) != one.job}
            await self._end(self._with_dependents(changed))
            fresh = [job for job in jobs if job.name not in self._running]
            self._running.update((job.name, Supervised(job, self._vm, self._environment)) for job in fresh)
            for one in self._running.values():
                one.keep(self._running.__getitem__)

    async def failed(self, seconds: float) -> Supervised | None:
        """A container that ends again and again instead of being well; None once all run, or after so many seconds."""
        waiting = {asyncio.create_task(one.decided.wait()): one for one in self._running.values() if one.job.well}
        try:
            async with asyncio.timeout(seconds):
                for done in asyncio.as_completed(list(waiting)):
                    await done
                    if failed := next((one for one in waiting.values() if one.is_hopeless), None):
                        return failed
        except TimeoutError:
            pass
        finally:
            for task in waiting:
                task.cancel()
        return None

    def _with_dependents(self, names: set[str]) -> set[str]:
        while more := {
            name for name, one in self._running.items() if name not in names and names.intersection(one.job.depends_on)
        }:
            names = names | more
        return names

    async def stop(self) -> None:
        """Ends all jobs; they stay so over a reboot."""
        async with self._turn:
            self._vm.keep(_WANTED, "stopped")
            await self._end(set(self._running))

    def release(self) -> None:
        """Lets jobs that end stay so, until the next start."""
        for one in self._running.values():
            one.release()

    async def halt(self) -> None:
        """Ends all jobs because the VM ends; what is wanted stays as it is."""
        async with self._turn:
            await self._end(set(self._running))

    async def _end(self, names: set[str]) -> None:
        waiting = dict.fromkeys(names)
        while waiting:
            # those that no other of the waiting ones depends on go together
            needed = {name for one in waiting for name in self._running[one].job.depends_on}
            layer = [name for name in waiting if name not in needed]
            await asyncio.gather(*(self._running[name].stop() for name in layer))
            for name in layer:
                del waiting[name], self._running[name]

    async def processes(self, jobs: tuple[Job, ...]) -> list[dict[str, Any]]:
        """The jobs as get_state shows them: those that run, and those of the spec that do not."""
        found = await asyncio.to_thread(marked)
        shown = {name: one.figures(found.get(one.mark, [])) for name, one in self._running.items()}
        idle = "failing" if self.wanted == "started" else "stopped"
        for job in jobs:
            shown.setdefault(job.name, _idle(job.name, idle))
        return list(shown.values())

    def status(self, jobs: tuple[Job, ...]) -> str:
        """One word for all: the worst of them."""
        if self.wanted == "stopped" or (self.wanted is None and jobs):
            return "stopped"
        states = {one.state for one in self._running.values()}
        if any(job.name not in self._running for job in jobs):
            states.add("failing")
        return next((state for state in ("failing", "starting", "stopped") if state in states), "running")


def _idle(name: str, state: str) -> dict[str, Any]:
    return {"name": name, "state": state, "uptime": {"secs": 0}, "mem": {"kb": 0, "percent": 0.0}, "cpu": {"total": 0.0}}
