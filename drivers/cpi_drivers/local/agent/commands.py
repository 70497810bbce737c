"""The system's tools, run without a shell and inside the VM: they inherit its lock."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cpi_drivers.local.agent.faults import Fault

_TOOLS = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"


class Finished(NamedTuple):
    """How a command ended."""

    status: int
    output: str
    errors: str

    @property
    def words(self) -> str:
        """What it had to say, in one line."""
        return " ".join((self.errors or self.output).split()) or f"exit status {self.status}"


class Commands:
    """Runs tools with the descriptors that every process of the VM inherits."""

    def __init__(self, inherited: Sequence[int] = ()) -> None:
        self.inherited = tuple(inherited)

    def environment(self) -> Mapping[str, str]:
        """The agent's own, with the system's tools on the path: a director leaves but a short one."""
        return {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{_TOOLS}".lstrip(":"), "LC_ALL": "C"}

    async def start(
        self, command: Sequence[str], stdin: int | None = None, stdout: int | None = None
    ) -> asyncio.subprocess.Process:
        """A running tool; its stderr is piped. Raises Fault if the tool is not there."""
        try:
            return await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL if stdin is None else stdin,
                stdout=asyncio.subprocess.PIPE if stdout is None else stdout,
                stderr=asyncio.subprocess.PIPE,
                env=self.environment(),
                pass_fds=self.inherited,
            )
        except OSError as error:
            raise Fault(f"{command[0]} cannot be run: {error}") from error

    async def attempt(self, *command: str) -> Finished:
        """Runs a tool to its end, however it ends."""
        process = await self.start(command)
        output, errors = await process.communicate()
        return Finished(process.returncode or 0, output.decode(errors="replace"), errors.decode(errors="replace"))

    async def run(self, *command: str, fine: Sequence[int] = (0,)) -> str:
        """What the tool printed. Raises Fault with its words if its exit status is none of the fine ones."""
        finished = await self.attempt(*command)
        if finished.status not in fine:
            raise Fault(f"{' '.join(command)}: {finished.words}")
        return finished.output
