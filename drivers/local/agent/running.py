"""The agent's process: boots the VM, serves until it is told to end or its folder is gone, stops the jobs."""

import asyncio
import logging
import os
import signal
from pathlib import Path

from drivers.local.agent.actions import Actions
from drivers.local.agent.commands import Commands
from drivers.local.agent.disks import PersistentDisks
from drivers.local.agent.faults import Fault
from drivers.local.agent.https import Listener
from drivers.local.agent.layout import VmFolder
from drivers.local.agent.machine import Machine
from drivers.local.agent.settings import Endpoint, Settings
from drivers.local.agent.ssh import Ways
from drivers.local.agent.tasks import Tasks

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


class _Process:
    def __init__(self, vm: VmFolder) -> None:
        self._vm = vm
        self._ended = asyncio.Event()
        self._listener: Listener | None = None
        self._settings = Settings(vm)

    async def live(self) -> None:
        self._vm.prepare()
        self._settings.load()
        endpoint = self._settings.endpoint
        commands = Commands(self._vm.inherited)
        disks = PersistentDisks(self._vm, self._settings, commands)
        ways = Ways(self._vm, self._settings, commands)
        machine = Machine(self._vm, self._settings, disks, end=self._end, listen_anew=self._stop_listening)
        tasks = Tasks()
        actions = Actions(machine, disks, ways, tasks)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        watching = asyncio.create_task(self._watch_folder())
        try:
            await machine.boot()
            listener = Listener(self._vm, endpoint, actions)
            while not self._ended.is_set():
                _log.info("listening at %s:%d", endpoint.host, endpoint.port)
                self._listener = listener
                await listener.serve()
                if not self._ended.is_set():
                    listener, endpoint = self._anew(actions, endpoint)
        finally:
            watching.cancel()
            await tasks.abandon()
            await ways.close()
            await machine.halt()

    def _anew(self, actions: Actions, before: Endpoint) -> tuple[Listener, Endpoint]:
        endpoint = self._settings.endpoint
        try:
            return Listener(self._vm, endpoint, actions), endpoint
        except Fault as fault:
            _log.error("the new mbus can not be served, the one before stays: %s", fault)
            return Listener(self._vm, before, actions), before

    def _end(self) -> None:
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
