"""One job, kept running."""

import asyncio
import contextlib
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
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
HOPELESS_RUNS = 3

_LOOK_SECONDS = 0.05
_log = logging.getLogger(__name__)


class Supervised:
    """Started when the jobs it depends on run, and again whenever it dies: soon at first, ever later while it keeps dying."""

    def __init__(self, job: Job, vm: VmFolder, environment: Mapping[str, str]) -> None:
        self.job = job
        self.runs = asyncio.Event()
        self.is_down = asyncio.Event()
        self.is_down.set()
        self.decided = asyncio.Event()
        """Set once the job runs, or died so often that it will not."""

        self.is_hopeless = False
        self.state = "starting"
        self.last_end = "was not started"
        self._failed_runs = 0
        self._process: asyncio.subprocess.Process | None = None
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
        self._keeping = asyncio.create_task(self._keep([needed(name) for name in self.job.depends_on]), name=self.job.name)

    def release(self) -> None:
        """Lets it end: it is not started again."""
        self._kept.clear()

    async def stop(self) -> None:
        """Ends the job with all its processes, and lets it be."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait({self._keeping})
        await self._end()
        self._is("stopped")

    async def _end(self) -> None:
        if self.job.stop:
            await self._run_stop()
        if self.job.well and self._process is not None and self._process.returncode is None:
            await self._end_gently(self._process)
        await end(self.mark, self.job.stop_grace_seconds)

    async def _end_gently(self, process: asyncio.subprocess.Process) -> None:
        """A container's process ends the others in their order."""
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), self.job.stop_grace_seconds)

    def _is(self, state: str) -> None:
        self.state = state
        if state == "running":
            self._failed_runs = 0
            self.is_hopeless = False
            self.decided.set()
            self.is_down.clear()
            self.runs.set()
        else:
            self.runs.clear()
            self.is_down.set()

    def _failed_once_more(self) -> None:
        self._failed_runs += 1
        if self._failed_runs >= HOPELESS_RUNS:
            self.is_hopeless = True
            self.decided.set()

    async def _keep(self, needed: list["Supervised"]) -> None:
        pause = FIRST_PAUSE_SECONDS
        while self._kept.is_set():
            for other in needed:
                await other.runs.wait()
            self._is("starting")
            ended = await self._run_once(needed)
            if ended is None:
                _log.warning("job %s is stopped: a job that it depends on does not run", self.job.name)
                self._is("starting")
                await self._end()
                continue
            self.last_end = ended
            if self.may_rest:
                self.decided.set()
                self._is("stopped")
                return
            if self.state != "running":
                self._failed_once_more()
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

    @property
    def may_rest(self) -> bool:
        """Whether it ended as it should, and is not to be started again."""
        process = self._process
        return process is not None and process.returncode is not None and not self.job.restart.follows(process.returncode)

    async def _run_once(self, needed: list["Supervised"]) -> str | None:
        """How it ended; None if it goes on while a job that it depends on does not run."""
        self._began = time.monotonic()
        self._cpu = (self._began, 0.0)
        self._process = None
        try:
            process = self._process = await self._spawn(self.job.command)
        except OSError as error:
            return f"cannot be run: {error}"
        ending = asyncio.create_task(process.wait())
        falling = [asyncio.create_task(other.is_down.wait()) for other in needed if self.job.well]
        try:
            await asyncio.wait({ending}, timeout=SETTLED_SECONDS)
            while not ending.done() and not any(map(_is_done, falling)) and not self._is_up(process):
                await asyncio.wait({ending}, timeout=_LOOK_SECONDS if self.job.well else SETTLED_SECONDS)
            if not ending.done() and not any(map(_is_done, falling)):
                self._is("running")
            await asyncio.wait({ending, *falling}, return_when=asyncio.FIRST_COMPLETED)
            if not ending.done():
                return None
            status = ending.result()
        finally:
            for task in (ending, *falling):
                task.cancel()
        return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"

    def _is_up(self, process: asyncio.subprocess.Process) -> bool:
        if self.job.well:
            try:
                return Path(self.job.well).read_text(encoding="ascii") == str(process.pid)
            except FileNotFoundError:
                return False
        return not self.job.pidfile or pid_in(self.job.pidfile) is not None

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


def _is_done(task: asyncio.Task[Any]) -> bool:
    return task.done()
