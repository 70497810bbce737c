"""The agent's process: boots the VM, serves until it is told to end or its folder is gone, stops the jobs."""

import asyncio
import logging
import os
import signal
from pathlib import Path
from typing import Protocol

from cpi_drivers.local.agent.actions import Actions
from cpi_drivers.local.agent.blobs import Blobs
from cpi_drivers.local.agent.commands import Commands
from cpi_drivers.local.agent.disks import PersistentDisks
from cpi_drivers.local.agent.faults import Fault
from cpi_drivers.local.agent.https import Listener
from cpi_drivers.local.agent.layout import VmFolder
from cpi_drivers.local.agent.machine import Machine
from cpi_drivers.local.agent.releases import Releases
from cpi_drivers.local.agent.settings import Bus, Endpoint, Settings
from cpi_drivers.local.agent.ssh import Ways
from cpi_drivers.local.agent.tasks import Tasks

_LOOK_FOR_FOLDER_SECONDS = 1.0
_log = logging.getLogger(__name__)


def run(vm_dir: str, lock: int) -> int:
    """The exit status: 0 after an orderly end, 1 if the agent could not start; agent.log says why."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    vm = VmFolder(Path(vm_dir), lock)
    try:
        asyncio.run(_Process(vm).live())
    except (Fault, OSError, ValueError) as error:
        _log.error("the agent ends: %s", error)
        return 1
    return 0


class _Listening(Protocol):
    """One way to take messages: over HTTPS, or on the bus."""

    @property
    def where(self) -> str:
        """For the log."""

    async def serve(self) -> None:
        """Returns after stop()."""

    def stop(self) -> None:
        """Takes no more requests."""

    def tell_shutdown(self) -> None:
        """Tells who listens that the VM ends because it was asked to."""


class _Process:
    def __init__(self, vm: VmFolder) -> None:
        self._vm = vm
        self._ended = asyncio.Event()
        self._listener: _Listening | None = None
        self._settings = Settings(vm)
        self._blobs = Blobs(vm, self._settings)

    async def live(self) -> None:
        self._vm.prepare()
        self._settings.load()
        endpoint = self._settings.endpoint
        commands = Commands(self._vm.inherited)
        disks = PersistentDisks(self._vm, self._settings, commands)
        ways = Ways(self._vm, self._settings, commands)
        blobs = self._blobs
        machine = Machine(
            self._vm,
            self._settings,
            disks,
            self._end,
            listen_anew=self._stop_listening,
            tell_shutdown=self._tell_shutdown,
            blobs=blobs,
        )
        tasks = Tasks()
        actions = Actions(machine, disks, ways, tasks, Releases(self._vm, blobs))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        watching = asyncio.create_task(self._watch_folder())
        try:
            await machine.boot()
            await self._listen(endpoint, actions, machine)
        finally:
            watching.cancel()
            await tasks.abandon()
            await ways.close()
            await machine.halt()

    async def _listen(self, endpoint: Endpoint | Bus, actions: Actions, machine: Machine) -> None:
        listener = self._made(endpoint, actions, machine)
        while not self._ended.is_set():
            _log.info("listening at %s", listener.where)
            self._listener = listener
            await listener.serve()
            if self._ended.is_set():
                break
            before, endpoint = endpoint, self._settings.endpoint
            try:
                listener = self._made(endpoint, actions, machine)
            except Fault as fault:
                _log.error("the new mbus cannot be served, the one before stays: %s", fault)
                endpoint, listener = before, self._made(before, actions, machine)

    def _made(self, endpoint: Endpoint | Bus, actions: Actions, machine: Machine) -> "_Listening":
        if isinstance(endpoint, Endpoint):
            return Listener(self._vm, endpoint, actions, self._blobs)
        from cpi_drivers.local.agent.bus import BusListener

        settings = self._settings
        return BusListener(endpoint, settings.agent_id, actions, machine.heartbeat, settings.heartbeat_seconds)

    def _tell_shutdown(self) -> None:
        if self._listener is not None:
            self._listener.tell_shutdown()

    def _end(self) -> None:
        if not self._ended.is_set():
            self._tell_shutdown()
        self._ended.set()
        self._stop_listening()

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.stop()

    async def _watch_folder(self) -> None:
        while self._vm.path.exists():  # noqa: ASYNC110 - no event tells of a folder's end everywhere
            await asyncio.sleep(_LOOK_FOR_FOLDER_SECONDS)
        if os.getpgrp() == os.getpid():
            # the VM was deleted under its processes: nothing of it shall go on
            os.killpg(os.getpgrp(), signal.SIGKILL)
        self._end()
