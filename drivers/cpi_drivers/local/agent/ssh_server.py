"""An SSH server for one key: it listens from start to stop, and nothing of its sessions is left after that.

The agent takes the connections itself and has each served by an sshd of its own (`sshd -i`): there is no server to find a
free port for, and none that goes on when the agent is gone.
"""

import asyncio
import logging
import os
import socket
import uuid
from pathlib import Path
from typing import Final

from cpi_drivers.local.agent.faults import Fault
from cpi_drivers.local.agent.layout import VmFolder, write_private
from cpi_drivers.local.agent.log_files import rotate
from cpi_drivers.local.agent.process_tree import MARK, end
from cpi_drivers.local.agent.ssh_program import SshProgram

_BACKLOG: Final = 16
_LOGIN_SECONDS: Final = 20
_log = logging.getLogger(__name__)


class SshServer:
    """Everything it starts is ended by stop()."""

    def __init__(self, program: SshProgram, folder: Path, user: str, vm: VmFolder) -> None:
        """folder holds host_key, and gets the user's key."""
        self._program = program
        self._log_file = vm.path / "ssh.log"
        self._authorized = folder / f"{user}.keys"
        self._host_key = folder / "host_key"
        self._mark = f"ssh:{user}:{uuid.uuid4()}"
        self._starting: set[asyncio.Task[None]] = set()
        self._processes: list[asyncio.subprocess.Process] = []
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None

    def start(self, address: str, key: str) -> int:
        """The port at which it listens from now on. Raises Fault."""
        write_private(self._authorized, f"restrict,pty {key}\n")
        rotate(str(self._log_file))
        self._log_file.touch(mode=0o600)
        try:
            family = socket.getaddrinfo(address, 0, type=socket.SOCK_STREAM)[0][0]
            self._socket = socket.socket(family, socket.SOCK_STREAM)
            self._socket.bind((address, 0))
            self._socket.listen(_BACKLOG)
        except OSError as error:
            raise Fault(f"ssh: cannot listen at {address}: {error}") from error
        self._socket.settimeout(0)
        self._accepting = asyncio.create_task(self._accept(self._socket), name=self._mark)
        return int(self._socket.getsockname()[1])

    @property
    def is_in_use(self) -> bool:
        """Whether anybody has a session open."""
        return bool(self._starting) or any(process.returncode is None for process in self._processes)

    async def stop(self) -> None:
        """Lets nobody in any more, and ends every session with all its processes."""
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.wait({self._accepting})
        if self._socket is not None:
            self._socket.close()
        self._authorized.unlink(missing_ok=True)
        await asyncio.gather(*self._starting)
        for process in self._processes:
            if process.returncode is None:
                process.terminate()
        await asyncio.gather(*(process.wait() for process in self._processes))
        # where nothing looked after the connections
        await end(self._mark, 0)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(listening)
            task = loop.create_task(self._serve(connection))
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)

    async def _serve(self, connection: socket.socket) -> None:
        self._processes = [process for process in self._processes if process.returncode is None]
        connection.settimeout(None)
        try:
            with connection, self._log_file.open("ab") as log:
                process = await asyncio.create_subprocess_exec(
                    *self._program.command,
                    *self._options(),
                    stdin=connection.fileno(),
                    stdout=connection.fileno(),
                    stderr=log,
                    # the VM's group is killed at once; what looks after a connection has work to do then
                    start_new_session=True,
                )
        except OSError as error:
            _log.error("%s cannot be run: %s", self._program.command[0], error)
        else:
            self._processes.append(process)

    def _options(self) -> list[str]:
        options = {
            "HostKey": _quoted(self._host_key),
            "AuthorizedKeysFile": _quoted(self._authorized),
            "StrictModes": "no",  # the file is the agent's, below folders that may be anybody's
            "AllowUsers": self._program.user,
            "PermitRootLogin": "prohibit-password",
            "AuthenticationMethods": "publickey",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "UsePAM": "no",
            "PermitUserRC": "no",
            "PrintMotd": "no",
            "PrintLastLog": "no",
            "UseDNS": "no",
            "PidFile": "none",
            "LoginGraceTime": str(_LOGIN_SECONDS),
            "Subsystem": "sftp internal-sftp",
            # bash reads its user's own ~/.bashrc, which is the machine's and not the VM's, in the first shell of a session
            "SetEnv": f'{MARK}={self._mark} "PATH={self._program.search_path}" SHLVL=1',
        }
        return ["-i", "-e", "-f", os.devnull, *(part for name, value in options.items() for part in ("-o", f"{name}={value}"))]


def _quoted(path: Path) -> str:
    return '"{}"'.format(str(path).replace("%", "%%"))
