"""Long work: it gets an id at once, and is asked for with get_task. Nothing of it survives the process."""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NamedTuple

from cpi_drivers.local.agent.faults import Fault

_KEPT = 1000
_log = logging.getLogger(__name__)


class _Task(NamedTuple):
    work: asyncio.Task[Any]
    cancellable: bool


class Tasks:
    """Runs one at a time, in the order they came, as the BOSH agent does."""

    def __init__(self) -> None:
        self._tasks: dict[str, _Task] = {}
        self._turn = asyncio.Lock()

    def begin(self, name: str, work: Callable[[], Awaitable[Any]], *, cancellable: bool) -> dict[str, str]:
        """The marker that get_task answers with as well until the work is done."""
        return self._begin(asyncio.create_task(self._in_turn(work), name=name), cancellable=cancellable)

    def begin_beside(self, name: str, work: Callable[[], Coroutine[Any, Any, Any]], *, cancellable: bool) -> dict[str, str]:
        """The same for work that does not wait for its turn, and lets nothing else wait."""
        return self._begin(asyncio.create_task(work(), name=name), cancellable=cancellable)

    def _begin(self, work: asyncio.Task[Any], *, cancellable: bool) -> dict[str, str]:
        task_id = str(uuid.uuid4())
        self._tasks[task_id] = _Task(work, cancellable)
        self._forget_oldest()
        return _running(task_id)

    async def _in_turn(self, work: Callable[[], Awaitable[Any]]) -> Any:
        async with self._turn:
            return await work()

    def _forget_oldest(self) -> None:
        done = [task_id for task_id, task in self._tasks.items() if task.work.done()]
        for task_id in done[: max(len(self._tasks) - _KEPT, 0)]:
            del self._tasks[task_id]

    def _find(self, task_id: str) -> _Task:
        if task_id not in self._tasks:
            raise Fault(f"Task with id {task_id} could not be found")
        return self._tasks[task_id]

    async def get(self, task_id: str) -> Any:
        """The value, or the marker while it runs. Raises Fault with the work's fault."""
        work = self._find(task_id).work
        if not work.done():
            return _running(task_id)
        return outcome(work, f"Task {task_id} result")

    async def cancel(self, task_id: str) -> str:
        """Ends drain and run_script; other work cannot be stopped half way."""
        task = self._find(task_id)
        if not task.cancellable:
            raise Fault("not supported")
        task.work.cancel()
        return "canceled"

    async def abandon(self) -> None:
        """Cancels whatever runs: the process is about to end."""
        works = [task.work for task in self._tasks.values() if not task.work.done()]
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)


def outcome(work: asyncio.Task[Any], doing: str) -> Any:
    """What a finished task returned. Raises Fault for whatever it raised; what nobody foresaw is logged with its trace."""
    if work.cancelled():
        raise Fault(f"{doing}: it was cancelled")
    error = work.exception()
    if error is None:
        return work.result()
    if isinstance(error, Fault):
        raise error.within(doing)
    _log.error("%s failed", work.get_name(), exc_info=error)
    raise Fault(f"{doing}: {type(error).__name__}: {error}")


def _running(task_id: str) -> dict[str, str]:
    return {"agent_task_id": task_id, "state": "running"}
