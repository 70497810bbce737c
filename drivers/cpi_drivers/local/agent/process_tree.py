"""All processes of a job: the one that was started, its descendants, and what left them but carries the job's mark."""

import asyncio
import contextlib
import signal
from collections.abc import Iterable

import psutil

MARK = "BOSH_JOB_RUN"
_POLL_SECONDS = 0.02
_KILL_SECONDS = 5.0


def marked() -> dict[str, list[psutil.Process]]:
    """The living processes of every job, by the mark of its run."""
    marks: dict[int, str] = {}
    seen: list[tuple[psutil.Process, int]] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            seen.append((process, process.ppid()))
            if mark := process.environ().get(MARK):
                marks[process.pid] = mark
    seen.sort(key=lambda entry: entry[0].create_time())
    found: dict[str, list[psutil.Process]] = {}
    for process, parent in seen:
        # a child may have dropped its environment, as servers do that show a title in its place
        mark = marks.get(process.pid) or marks.get(parent)
        if mark:
            marks[process.pid] = mark
            if _lives(process):
                found.setdefault(mark, []).append(process)
    return found


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


async def end(mark: str, grace_seconds: float) -> None:
    """SIGTERM to all of them, SIGKILL to those that are left after the grace. Returns when none is left."""
    began = await _processes(mark)
    _signal(began, signal.SIGTERM)
    await _gone(began, grace_seconds)
    clock = asyncio.get_running_loop().time
    deadline = clock() + _KILL_SECONDS
    while (left := await _processes(mark)) and clock() < deadline:
        _signal(left, signal.SIGKILL)
        await _gone(left, _POLL_SECONDS)


async def _processes(mark: str) -> list[psutil.Process]:
    return (await asyncio.to_thread(marked)).get(mark, [])


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)


async def _gone(processes: list[psutil.Process], seconds: float) -> None:
    clock = asyncio.get_running_loop().time
    deadline = clock() + seconds
    while any(map(_lives, processes)) and clock() < deadline:  # noqa: ASYNC110 - no event tells of others' children
        await asyncio.sleep(_POLL_SECONDS)
