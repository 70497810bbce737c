"""Commands that are run for those who were let in without an SSH server."""

import asyncio
import os
import uuid
from typing import Any

from cpi_drivers.local.agent.commands import Commands
from cpi_drivers.local.agent.faults import Fault
from cpi_drivers.local.agent.process_tree import MARK, end

_GRACE_SECONDS = 2.0
_NOT_FOUND = 127


class Executing:
    """Runs commands with the descriptors of the VM, and ends with all their processes those that are cut off."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._running: set[str] = set()

    @property
    def is_busy(self) -> bool:
        """Whether a command runs."""
        return bool(self._running)

    async def run(self, command: Any, stdin: Any) -> dict[str, Any]:
        """The command's exit status and output; bytes that are no UTF-8 are lone surrogates."""
        if not isinstance(command, list) or not command or not all(isinstance(word, str) for word in command):
            raise Fault("exec: a command is a list of strings")
        if not isinstance(stdin, str):
            raise Fault("exec: what the command shall read is a string")
        mark = f"exec:{uuid.uuid4()}"
        self._running.add(mark)
        try:
            return await self._finish(command, stdin.encode("utf-8", "surrogateescape"), mark)
        finally:
            await asyncio.shield(self._end(mark))

    async def stop(self) -> None:
        """Ends all that run."""
        await asyncio.gather(*map(self._end, self._running))

    async def _end(self, mark: str) -> None:
        await end(mark, _GRACE_SECONDS)
        self._running.discard(mark)

    async def _finish(self, command: list[str], stdin: bytes, mark: str) -> dict[str, Any]:
        try:
            process = await asyncio.create_subprocess_exec(
                *(os.fsencode(word) for word in command),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**self._commands.environment(), MARK: mark},
                pass_fds=self._commands.inherited,
            )
        except (OSError, ValueError) as error:
            return {"status": _NOT_FOUND, "stdout": "", "stderr": f"{command[0]}: {error}\n"}
        stdout, stderr = await process.communicate(stdin)
        return {"status": process.returncode, "stdout": _text(stdout), "stderr": _text(stderr)}


def _text(output: bytes) -> str:
    return output.decode("utf-8", "surrogateescape")
