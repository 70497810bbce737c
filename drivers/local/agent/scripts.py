"""Scripts that run to an end: those that jobs bring along, and what drains them."""

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from drivers.local.agent.faults import Fault
from drivers.local.agent.jobs import Job
from drivers.local.agent.layout import VmFolder

_KINDS = {"shutdown": "job_shutdown", "update": "job_changed"}


class Scripts:
    """All jobs' scripts at once; none that fails keeps the others from their end."""

    def __init__(self, vm: VmFolder, environment: Mapping[str, str]) -> None:
        self._vm = vm
        self._environment = environment

    async def run(self, name: str, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """run_script: bin/NAME of every job that has one. Raises Fault naming the jobs whose script failed."""
        if name in ("", ".", "..") or "/" in name:
            raise Fault(f"{name!r} can not be the name of a script")
        env = {str(key): str(value) for key, value in ((options or {}).get("env") or {}).items()}
        jobs = sorted(path.parents[1].name for path in self._vm.jobs.glob(f"*/bin/{name}") if path.is_file())
        ended = await asyncio.gather(*(self._run_script(job, name, env) for job in jobs))
        failed = [job for job, status in zip(jobs, ended, strict=True) if status != 0]
        if failed:
            fine = [job for job in jobs if job not in failed]
            raise Fault(_verdict(name, failed, fine))
        return {}

    async def _run_script(self, job: str, name: str, env: Mapping[str, str]) -> int:
        logs = self._vm.logs / job
        logs.mkdir(parents=True, exist_ok=True)
        with (logs / f"{name}.stdout.log").open("ab") as output, (logs / f"{name}.stderr.log").open("ab") as errors:
            try:
                process = await self._start([str(self._vm.jobs / job / "bin" / name)], job, env, output.fileno(), errors.fileno())
            except Fault as fault:
                errors.write(f"{fault}\n".encode())
                return 127
            return await _to_its_end(process)

    async def _start(
        self, command: Sequence[str], job: str, env: Mapping[str, str], output: int, errors: int, folder: Path | None = None
    ) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                *command,
                cwd=folder or self._vm.root,
                env={**os.environ, **self._environment, "BOSH_JOB_NAME": job, **env},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                pass_fds=self._vm.inherited,
            )
        except OSError as error:
            raise Fault(f"{command[0]} can not be run: {error}") from error

    async def drain(self, kind: str, jobs: Sequence[Job], spec: Mapping[str, Any], new_spec: Mapping[str, Any] | None) -> int:
        """Drains all jobs that ask for it, and waits as long as each says. 0, as the waiting is done then."""
        if kind not in _KINDS:
            raise Fault(f"Unexpected call with drain type '{kind}'")
        if kind == "update" and new_spec is None:
            raise Fault("Drain update requires new spec")
        states = {"BOSH_JOB_STATE": _job_state(spec)}
        if new_spec is not None:
            states["BOSH_JOB_NEXT_STATE"] = _job_state(new_spec)
        drained = [job for job in jobs if job.drain]
        ended = await asyncio.gather(*(self._drain_one(job, _KINDS[kind], states) for job in drained), return_exceptions=True)
        faults = [(job.name, fault) for job, fault in zip(drained, ended, strict=True) if isinstance(fault, BaseException)]
        if faults:
            fine = [job.name for job in drained if job.name not in dict(faults)]
            details = "; ".join(f"{name}: {fault}" for name, fault in faults)
            raise Fault(f"{_verdict('drain', [name for name, _ in faults], fine)} {details}")
        return 0

    async def _drain_one(self, job: Job, change: str, states: Mapping[str, str]) -> None:
        while (seconds := await self._ask_drain(job, change, states)) < 0:
            await asyncio.sleep(-seconds)
            change = "job_check_status"
        await asyncio.sleep(seconds)

    async def _ask_drain(self, job: Job, change: str, states: Mapping[str, str]) -> int:
        assert job.drain is not None  # noqa: S101 - the caller chose those that have one
        folder = self._vm.root / (job.working_directory or "")
        with (self._vm.logs / f"{job.name}.drain.log").open("ab") as errors:
            process = await self._start(
                [*job.drain.command, change, "hash_unchanged"],
                job.name,
                {**job.env, **states},
                asyncio.subprocess.PIPE,
                errors.fileno(),
                folder,
            )
            try:
                output, _ = await process.communicate()
            finally:
                _kill(process)
        lines = output.decode(errors="replace").split()
        if process.returncode != 0:
            raise Fault(f"the drain command ended with status {process.returncode}")
        try:
            return int(lines[-1])
        except (IndexError, ValueError) as error:
            raise Fault(f"the last line of the drain command must be a number of seconds, got {lines[-1:]}") from error


async def _to_its_end(process: asyncio.subprocess.Process) -> int:
    try:
        return await process.wait()
    finally:
        _kill(process)


def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()


def _job_state(spec: Mapping[str, Any]) -> str:
    return json.dumps({"persistent_disk": spec.get("persistent_disk") or 0})


def _verdict(name: str, failed: Sequence[str], fine: Sequence[str]) -> str:
    verdict = f"{len(failed)} of {len(failed) + len(fine)} {name} scripts failed. Failed Jobs: {', '.join(failed)}."
    return f"{verdict} Successful Jobs: {', '.join(fine)}." if fine else verdict
