"""Whether a container is well: looked at often until it is for the first time, then at its interval."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from cpi_drivers.local.agent.containers.document import Container, HealthCheck
from cpi_drivers.local.agent.containers.engine import PIDFILE

_OFTEN_SECONDS: Final = 0.1
_SETTLED_SECONDS: Final = 0.3


def container_lives() -> bool:
    """Whether the container's process is there, in the room's own /proc."""
    try:
        state = Path("/proc", Path(PIDFILE).read_text(encoding="ascii").strip(), "stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state.rpartition(")")[2].split()[0] not in {"Z", "X"}


class NeverWell(Exception):
    """The container was never well, or is not any more; the message is for its log."""


class Watch:
    """On one container; run gives status and output of a command in it."""

    def __init__(self, container: Container, address: str, run: Callable[..., Awaitable[tuple[int, str]]]) -> None:
        self._check = container.health
        self._address = address
        self._run = run

    async def become_well(self) -> None:
        """Returns when it is well for the first time. Raises NeverWell after the start period."""
        while not os.path.exists(PIDFILE):  # noqa: ASYNC110, ASYNC240, PTH110 - the engine writes it, and tells no one
            await asyncio.sleep(_OFTEN_SECONDS)
        if self._check is None:
            await asyncio.sleep(_SETTLED_SECONDS)
            if not container_lives():
                await asyncio.Event().wait()  # the engine tells its end
            return
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._check.start_period
        pause = _OFTEN_SECONDS
        while fault := await self._look(self._check):
            if clock() > deadline:
                raise NeverWell(f"it was not well within {self._check.start_period:g} s: {fault}")
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, self._check.interval)

    async def stay_well(self) -> None:
        """Raises NeverWell when so many looks in a row say that it is not. Without a check it never returns."""
        if self._check is None:
            await asyncio.Event().wait()
            return
        failed = 0
        while failed < self._check.retries:
            await asyncio.sleep(self._check.interval)
            fault = await self._look(self._check)
            failed = failed + 1 if fault else 0
        raise NeverWell(f"it is not well any more, {failed} looks in a row: {fault}")

    async def _look(self, check: HealthCheck) -> str:
        """What is wrong; empty if nothing is."""
        try:
            async with asyncio.timeout(check.timeout):
                if check.port is None:
                    status, output = await self._run(*check.command)
                    return f"its check ended with {status}: {output.strip()[-200:]}" if status else ""
                _, writer = await asyncio.open_connection(self._address, check.port)
                writer.close()
                return ""
        except TimeoutError:
            return f"its check did not end within {check.timeout:g} s"
        except OSError as error:
            return f"port {check.port} of {self._address}: {error.strerror or error}"
