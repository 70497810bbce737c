"""Scripts that run to an end: those that jobs bring along, and what drains them."""

import asyncio
import json
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from cpi_drivers.local.agent.faults import Fault
from cpi_drivers.local.agent.jobs import Job
from cpi_drivers.local.agent.layout import VmFolder
from cpi_drivers.local.agent.process_tree import MARK, end

_ARGUMENTS = {"shutdown": "job_shutdown", "update": "job_changed"}
_ASK_AGAIN = "job_check_status"
_CANCEL_GRACE_SECONDS = 2


class Scripts:
    """All jobs' scripts at once; one that fails does not keep the others from their end."""

    def __init__(self, vm: VmFolder, environment: Mapping[str, str]) -> None:
        self._vm = vm
        self._environment = environment

    async def run(self, name: str, env: Mapping[str, str]) -> None:
        """bin/NAME of every job that has one. Raises Fault naming the jobs whose script failed."""
        if name in ("", ".", "..") or "/" in name:
            raise Fault(f"{name!r} cannot be the name of a script")
        jobs = sorted(path.parents[1].name for path in self._vm.jobs.glob(f"*/bin/{name}") if path.is_file())
        await _all(name, jobs, *(self._run_script(job, name, env) for job in jobs))

    async def _run_script(self, job: str, name: str, env: Mapping[str, str]) -> None:
        logs = self._vm.logs / job
        logs.mkdir(parents=True, exist_ok=True)
        with (logs / f"{name}.stdout.log").open("ab") as output, (logs / f"{name}.stderr.log").open("ab") as errors:
            await self._finish([self._vm.seen(self._vm.jobs / job / "bin" / name)], {**env, "BOSH_JOB_NAME": job}, errors, output)

    async def run_errand(self, job: str) -> dict[str, Any]:
        """bin/run of a job."""
        program = self._vm.jobs / job / "bin" / "run"
        if not program.is_file():
            raise Fault(f"job {job} has no bin/run")
        mark = f"errand:{uuid.uuid4()}"
        try:
            process = await asyncio.create_subprocess_exec(
                self._vm.seen(program),
                cwd=self._vm.root,
                env={**os.environ, **self._environment, "BOSH_JOB_NAME": job, MARK: mark},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=self._vm.inherited,
            )
            output, errors = await process.communicate()
        except OSError as error:
            raise Fault(f"{program} cannot be run: {error}") from error
        except asyncio.CancelledError:
            await end(mark, _CANCEL_GRACE_SECONDS)
            raise
        said = {"stdout": output.decode(errors="replace"), "stderr": errors.decode(errors="replace")}
        return {**said, "exit_code": process.returncode}

    async def drain(
        self, argument: str, jobs: Sequence[Job], spec: Mapping[str, Any], new_spec: Mapping[str, Any] | None
    ) -> None:
        """Drains all jobs that ask for it, and waits as long as each says. Raises Fault naming those that failed."""
        env = {"BOSH_JOB_STATE": _job_state(spec)}
        if new_spec is not None:
            env["BOSH_JOB_NEXT_STATE"] = _job_state(new_spec)
        drained = [job for job in jobs if job.drain]
        await _all("drain", [job.name for job in drained], *(self._drain_one(job, argument, env) for job in drained))

    async def _drain_one(self, job: Job, argument: str, env: Mapping[str, str]) -> None:
        while (seconds := await self._ask_drain(job, argument, env)) < 0:
            await asyncio.sleep(-seconds)
            argument = _ASK_AGAIN
        await asyncio.sleep(seconds)

    async def _ask_drain(self, job: Job, argument: str, env: Mapping[str, str]) -> int:
        command = [*(job.drain.command if job.drain else ()), argument, "hash_unchanged"]
        folder = self._vm.root / (job.working_directory or "")
        with (self._vm.logs / f"{job.name}.drain.log").open("ab") as errors:
            said = await self._finish(command, {**job.env, **env, "BOSH_JOB_NAME": job.name}, errors, None, folder)
        last = said.decode(errors="replace").strip().rpartition("\n")[2]
        try:
            return int(last)
        except ValueError as error:
            raise Fault(f"the last line it prints must be a number of seconds, got {last!r}") from error

    async def _finish(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        errors: BinaryIO,
        output: BinaryIO | None,
        folder: Path | None = None,
    ) -> bytes:
        mark = f"script:{uuid.uuid4()}"
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=folder or self._vm.root,
                env={**os.environ, **self._environment, **env, MARK: mark},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output or asyncio.subprocess.PIPE,
                stderr=errors,
                pass_fds=self._vm.inherited,
            )
            printed, _ = await process.communicate()
        except OSError as error:
            errors.write(f"{command[0]} cannot be run: {error}\n".encode())
            raise Fault(f"{command[0]} cannot be run: {error}") from error
        except asyncio.CancelledError:
            await end(mark, _CANCEL_GRACE_SECONDS)
            raise
        if process.returncode:
            raise Fault(f"exit status {process.returncode}")
        return printed or b""


def drain_argument(kind: str, new_spec: Mapping[str, Any] | None) -> str:
    """What drain commands are told first. Raises Fault for what is no drain."""
    if kind not in _ARGUMENTS:
        raise Fault(f"Unexpected call with drain type '{kind}'")
    if kind == "update" and not isinstance(new_spec, Mapping):
        raise Fault("Drain update requires new spec")
    return _ARGUMENTS[kind]


async def _all(name: str, jobs: Sequence[str], *scripts: Any) -> None:
    ended = await asyncio.gather(*scripts, return_exceptions=True)
    faults = {job: fault for job, fault in zip(jobs, ended, strict=True) if fault is not None}
    if not faults:
        return
    fine = [job for job in jobs if job not in faults]
    verdict = f"{len(faults)} of {len(jobs)} {name} scripts failed. Failed Jobs: {', '.join(faults)}."
    verdict += f" Successful Jobs: {', '.join(fine)}." if fine else ""
    raise Fault(f"{verdict} ({'; '.join(f'{job}: {fault}' for job, fault in faults.items())})")


def _job_state(spec: Mapping[str, Any]) -> str:
    return json.dumps({"persistent_disk": spec.get("persistent_disk") or 0})
