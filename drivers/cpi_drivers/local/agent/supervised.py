"""One job, kept running."""

import asyncio
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import psutil

from cpi_drivers.local.agent.jobs import Job
from cpi_drivers.local.agent.layout import VmFolder
from cpi_drivers.local.agent.log_files import rotate
from cpi_drivers.local.agent.pid_process import pid_in
from cpi_drivers.local.agent.process_tree import MARK, end

SETTLED_SECONDS = 0.2
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 30.0
GOOD_RUN_SECONDS = 10.0

_log = logging.getLogger(__name__)


class Supervised:
    """Started when the jobs it depends on run, and again whenever it dies: soon at first, ever later while it keeps dying."""

    def __init__(self, job: Job, vm: VmFolder, environment: Mapping[str, str]) -> None:
        self.job = job
        self.runs = asyncio.Event()
        self.state = "starting"
        self._vm = vm
        self._environment = environment
        self.mark = f"{job.name}:{uuid.uuid4()}"
        self._began = time.monotonic()
        self._cpu = (self._began, 0.0)
        self._kept = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None

    def keep(self, needed: Callable[[str], "Supervised"]) -> None:
        """Keeps the job running from now on; needed gives the jobs it depends on. Nothing changes if it is kept already."""
        self._kept.set()
        if self._keeping is not None and not self._keeping.done():
            return
        self._keeping = asyncio.create_task(self._keep([needed(name).runs for name in self.job.depends_on]), name=self.job.name)

    def release(self) -> None:
        """Lets it end: it is not started again."""
        self._kept.clear()

    async def stop(self) -> None:
        """Ends the job with all its processes, and lets it be."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait({self._keeping})
        if self.job.stop:
            await self._run_stop()
        await end(self.mark, self.job.stop_grace_seconds)
        self._is("stopped")

    def _is(self, state: str) -> None:
        self.state = state
        if state == "running":
            self.runs.set()
        else:
            self.runs.clear()

    async def _keep(self, needed: list[asyncio.Event]) -> None:
        pause = FIRST_PAUSE_SECONDS
        while self._kept.is_set():
            for event in needed:
                await event.wait()
            self._is("starting")
            ended = await self._run_once()
            self._is("failing" if self._kept.is_set() else "stopped")
            if time.monotonic() - self._began >= GOOD_RUN_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            _log.warning(
                "job %s %s; %s",
                self.job.name,
                ended,
                f"it is started again in {pause:g} s" if self._kept.is_set() else "it was let go",
            )
            # what the dead process left would be in the way of the next one
            await end(self.mark, self.job.stop_grace_seconds)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _run_once(self) -> str:
        self._began = time.monotonic()
        self._cpu = (self._began, 0.0)
        try:
            process = await self._spawn(self.job.command)
        except OSError as error:
            return f"cannot be run: {error}"
        ending = asyncio.create_task(process.wait())
        try:
            await asyncio.wait({ending}, timeout=SETTLED_SECONDS)
            while self.job.pidfile and not ending.done() and pid_in(self.job.pidfile) is None:
                await asyncio.wait({ending}, timeout=SETTLED_SECONDS)
            if not ending.done():
                self._is("running")
            status = await ending
        finally:
            ending.cancel()
        return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"

    async def _run_stop(self) -> None:
        try:
            process = await self._spawn(self.job.stop)
            await asyncio.wait_for(process.wait(), max(self.job.stop_grace_seconds, SETTLED_SECONDS))
        except (OSError, TimeoutError) as error:
            _log.warning("job %s: its stop program failed, its processes are told to end: %r", self.job.name, error)

    async def _spawn(self, command: Sequence[str]) -> asyncio.subprocess.Process:
        log = self._vm.logs / f"{self.job.name}.log"
        rotate(str(log))
        with log.open("ab") as output:
            return await asyncio.create_subprocess_exec(
                *command,
                cwd=self._vm.root / (self.job.working_directory or ""),
                env={**os.environ, **self._environment, "BOSH_JOB_NAME": self.job.name, **self.job.env, MARK: self.mark},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                pass_fds=self._vm.inherited,
            )

    def figures(self, processes: Iterable[psutil.Process]) -> dict[str, Any]:
        """The job as get_state shows it, these being its processes."""
        memory, cpu = 0, 0.0
        for process in processes:
            try:
                memory += process.memory_info().rss
                cpu += sum(process.cpu_times()[:2])
            except psutil.Error:
                continue
        now = time.monotonic()
        (then, before), self._cpu = self._cpu, (now, cpu)
        return {
            "name": self.job.name,
            "state": self.state,
            "uptime": {"secs": int(now - self._began) if self.state == "running" else 0},
            "mem": {"kb": memory // 1024, "percent": round(100 * memory / psutil.virtual_memory().total, 1)},
            "cpu": {"total": round(100 * max(cpu - before, 0) / max(now - then, 0.001), 1)},
        }
