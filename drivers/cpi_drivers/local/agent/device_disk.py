"""A disk that is a block device: a filesystem on the whole of it, mounted in the VM's namespace. Needs root on Linux."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from cpi_drivers.local.agent.backing import Disk
from cpi_drivers.local.agent.commands import Commands
from cpi_drivers.local.agent.faults import Fault
from cpi_drivers.local.agent.filesystems import Filesystems
from cpi_drivers.local.agent.layout import VmFolder
from cpi_drivers.local.agent.mounts import busy, device_mounted_at

_PAUSE_SECONDS = 0.2
_FORMATTING = "formatting"
_log = logging.getLogger(__name__)


class DeviceDisk(Disk):
    """kind and options are what env says of a filesystem that has yet to be made, and of every mount."""

    def __init__(
        self, cid: str, path: Path, vm: VmFolder, commands: Commands, *, kind: str, options: Sequence[str], busy_seconds: float
    ) -> None:
        super().__init__(path)
        self._cid = cid
        self._vm = vm
        self._commands = commands
        self._filesystems = Filesystems(commands)
        self._kind = kind
        self._options = options
        self._busy_seconds = busy_seconds

    def is_mounted_at(self, point: Path) -> bool:
        """Whether the kernel has this device at point."""
        try:
            return device_mounted_at(point) == self.path.stat().st_rdev
        except FileNotFoundError:
            return False

    async def mount(self, point: Path) -> None:
        """Makes a filesystem on an empty device, checks and grows one that is there."""
        await self._while_busy(self._claim, point)
        kind = await self._filesystems.kind_on(self.path) or await self._format()
        self._vm.keep(_FORMATTING, None)
        await self._filesystems.prepare(kind, self.path)
        options = ["-o", ",".join(self._options)] if self._options else []
        await self._commands.run("mount", "-t", kind, *options, str(self.path), str(point))
        if "ro" not in self._options:
            await self._filesystems.grow_mounted(kind, point)

    async def _claim(self) -> None:
        # another VM's end may still be under way; two that have it mounted would not even notice
        try:
            os.close(os.open(self.path, os.O_RDONLY | os.O_EXCL))
        except OSError as error:
            raise Fault(f"{self.path} cannot be had alone: {error.strerror}; is it mounted elsewhere?") from error

    async def _format(self) -> str:
        # what was begun on an empty disk and cut off is on record, and may be begun again
        if self._vm.recall(_FORMATTING) != self._cid:
            await self._filesystems.check_empty(self.path)
            self._vm.keep(_FORMATTING, self._cid)
        await self._filesystems.make(self._kind, self.path)
        return self._kind

    async def unmount(self, point: Path) -> None:
        """Tries again for a while if it is busy."""
        await self._while_busy(lambda: self._commands.run("umount", str(point)), point)

    async def freeze(self, point: Path) -> None:
        """Remounts it read-only; tries again for a while if files are open for writing."""
        await self._while_busy(lambda: self._commands.run("mount", "-o", "remount,ro", str(point)), point)

    async def thaw(self, point: Path) -> None:
        """Remounts it read-write."""
        await self._commands.run("mount", "-o", "remount,rw", str(point))

    async def check_room_for(self, source: Path) -> None:
        """The filesystem itself says when it is full."""

    async def _while_busy(self, attempt: Callable[[], Awaitable[object]], point: Path) -> None:
        deadline = asyncio.get_running_loop().time() + self._busy_seconds
        tried = 0
        while True:
            try:
                await attempt()
            except Fault as fault:
                if asyncio.get_running_loop().time() > deadline:
                    raise busy(fault, point) from fault
                if tried == 0:
                    _log.info("%s; it is tried again for %g s", fault, self._busy_seconds)
                tried += 1
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                return


def may_mount() -> bool:
    """Whether this process may mount devices at all."""
    return os.geteuid() == 0
