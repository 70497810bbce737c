"""The `ssh` message: a way into the VM for as long as somebody is set up, by an SSH server of the VM's own or by `exec`.

A local VM has no users of its own: whoever is set up logs in as the user whose agent this is, with the key that was brought.
"""

import asyncio
import logging
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cpi_drivers.local.agent.commands import Commands
from cpi_drivers.local.agent.executing import Executing
from cpi_drivers.local.agent.faults import Fault
from cpi_drivers.local.agent.layout import VmFolder
from cpi_drivers.local.agent.settings import Settings
from cpi_drivers.local.agent.ssh_keys import host_key, only_key
from cpi_drivers.local.agent.ssh_program import SshProgram, find_program
from cpi_drivers.local.agent.ssh_server import SshServer

_LOOK_SECONDS: Final = 60.0
_log = logging.getLogger(__name__)
_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


class Ways:
    """Who is set up, and how each gets in."""

    def __init__(self, vm: VmFolder, settings: Settings, commands: Commands) -> None:
        self._vm = vm
        self._settings = settings
        self._commands = commands
        self._executing = Executing(commands)
        self._servers: dict[str, SshServer] = {}
        self._by_exec: set[str] = set()
        self._used: dict[str, float] = {}
        """When somebody who is set up had a session, or was set up, last."""
        self._expiring: asyncio.Task[None] | None = None

    async def ssh(self, command: str, parameters: Any) -> dict[str, Any]:
        """setup lets the owner of a key in, cleanup ends what such users left running."""
        if not isinstance(parameters, Mapping):
            raise Fault(f"the parameters of ssh are an object, got {type(parameters).__name__}")
        if command == "setup":
            return await self._setup(str(parameters.get("user", "")), str(parameters.get("public_key", "")))
        if command == "cleanup":
            return await self._cleanup(str(parameters.get("user_regex", "")))
        raise Fault("Unknown command for SSH method")

    async def exec(self, command: Any, stdin: Any = "") -> dict[str, Any]:
        """Runs a command as the agent's user, for those who were set up without an SSH server."""
        if not self._by_exec:
            raise Fault("exec: nobody was let in by ssh setup without an SSH server")
        try:
            return await self._executing.run(command, stdin)
        finally:
            self._used |= dict.fromkeys(self._by_exec, time.monotonic())

    async def close(self) -> None:
        """Lets nobody in any more, and ends what they left."""
        if self._expiring is not None:
            self._expiring.cancel()
            await asyncio.wait({self._expiring})
        await self._cleanup("")

    async def _setup(self, user: str, public_key: str) -> dict[str, Any]:
        if not _NAME.fullmatch(user):
            raise Fault(f"Creating user: {user!r} cannot be the name of a user")
        key = only_key(public_key)
        idle_seconds = self._settings.ssh_idle_seconds
        await self._remove(user)
        self._used[user] = time.monotonic()
        if self._expiring is None:
            self._expiring = asyncio.create_task(self._expire(idle_seconds), name="ssh users expire")
        program = find_program(self._commands, self._vm) if self._settings.has_ssh_server else None
        if program is None:
            self._by_exec.add(user)
            return {"command": "exec", "status": "success", "root": str(self._vm.root)}
        return await self._serve(program, user, key)

    async def _serve(self, program: SshProgram, user: str, key: str) -> dict[str, Any]:
        folder = self._ssh_folder()
        public = host_key(folder / "host_key")
        self._servers[user] = server = SshServer(program, folder, user, self._vm)
        port = server.start(self._settings.address, key)
        return {
            "command": "setup",
            "status": "success",
            "ip": self._settings.address,
            "host_public_key": public,
            "port": port,
            "user": program.user,
            "root": str(self._vm.root),
        }

    async def _cleanup(self, user_regex: str) -> dict[str, str]:
        try:
            wanted = re.compile(user_regex)
        except re.error as error:
            raise Fault(f"SSH Cleanup: {user_regex!r} is no regular expression: {error}") from error
        for user in [*self._servers, *self._by_exec]:
            if wanted.search(user):
                await self._remove(user)
        return {"command": "cleanup", "status": "success"}

    async def _expire(self, idle_seconds: float) -> None:
        """Whoever let somebody in may have died before its cleanup: nobody stays who has no session for so long."""
        while True:
            await asyncio.sleep(min(_LOOK_SECONDS, idle_seconds / 4))
            now = time.monotonic()
            for user in [*self._servers, *self._by_exec]:
                if (user in self._servers and self._servers[user].is_in_use) or (
                    user in self._by_exec and self._executing.is_busy
                ):
                    self._used[user] = now
                elif now - self._used.get(user, now) > idle_seconds:
                    _log.info("the user %s was let in and has had no session since: removed", user)
                    await self._remove(user)

    async def _remove(self, user: str) -> None:
        server = self._servers.pop(user, None)
        if server is not None:
            await server.stop()
        self._by_exec.discard(user)
        self._used.pop(user, None)
        if not self._by_exec:
            await self._executing.stop()

    def _ssh_folder(self) -> Path:
        folder = self._vm.path / "state" / "ssh"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder
