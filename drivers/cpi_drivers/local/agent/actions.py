"""Every message the agent understands, whatever way it came: a request document in, a reply document out."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from cpi_drivers.local.agent.disks import PersistentDisks
from cpi_drivers.local.agent.faults import Fault
from cpi_drivers.local.agent.machine import Machine
from cpi_drivers.local.agent.releases import Releases
from cpi_drivers.local.agent.ssh import Ways
from cpi_drivers.local.agent.tasks import Tasks, outcome

_POLLING_PROTOCOL = 3
_OFTEN = ("ping", "get_state", "get_task")
_log = logging.getLogger(__name__)


class _Message(NamedTuple):
    """needed and taken count the arguments, those beyond are ignored as by the BOSH agent; the first strings of them are text."""

    run: Callable[..., Awaitable[Any]]
    needed: int = 0
    taken: int = 0
    strings: int = 0
    is_long: bool = False
    is_long_for_polling: bool = False
    is_cancellable: bool = False
    is_beside: bool = False


class Actions:
    """Takes `{protocol, method, arguments}`, answers `{"value": …}` or `{"exception": {"message": …}}`; knows no transport."""

    def __init__(self, machine: Machine, disks: PersistentDisks, ways: Ways, tasks: Tasks, releases: Releases) -> None:
        self._tasks = tasks
        self._messages = {
            **_of_tasks(tasks),
            **_of_machine(machine),
            **_of_disks(disks),
            **_of_ways(ways),
            **_of_releases(releases),
        }

    async def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The reply to one request; never raises."""
        method = request.get("method")
        message = self._messages.get(str(method))
        if message is None:
            return _exception(f"unknown message {method}")
        arguments, protocol = request.get("arguments") or [], request.get("protocol")
        polls = isinstance(protocol, int) and protocol >= _POLLING_PROTOCOL
        _log.log(logging.DEBUG if method in _OFTEN else logging.INFO, "message %s", method)

        async def work() -> Any:
            return await _called(message, arguments)

        if message.is_long or (message.is_long_for_polling and polls):
            begin = self._tasks.begin_beside if message.is_beside else self._tasks.begin
            return {"value": begin(str(method), work, cancellable=message.is_cancellable)}
        at_once = asyncio.create_task(work(), name=str(method))
        await asyncio.wait({at_once})
        try:
            return {"value": outcome(at_once, f"Action Failed {method}")}
        except Fault as fault:
            return _exception(str(fault))


async def _called(message: _Message, arguments: Any) -> Any:
    if not isinstance(arguments, list):
        raise Fault("Extracting json arguments: arguments is no list")
    if len(arguments) < message.needed:
        counts = f"Not enough arguments, expected {message.needed}, got {len(arguments)}"
        raise Fault(f"Extracting method arguments from payload: {counts}")
    for number, argument in enumerate(arguments[: message.strings], 1):
        if not isinstance(argument, str):
            raise Fault(
                f"Extracting method arguments from payload: argument {number} must be a string, got {type(argument).__name__}"
            )
    return await message.run(*arguments[: message.taken])


def _exception(message: str) -> dict[str, Any]:
    return {"exception": {"message": message}}


def _of_tasks(tasks: Tasks) -> dict[str, _Message]:
    return {
        "get_task": _Message(tasks.get, 1, 1, 1),
        "cancel_task": _Message(tasks.cancel, 1, 1, 1),
    }


def _of_machine(machine: Machine) -> dict[str, _Message]:
    return {
        "ping": _Message(machine.ping),
        "info": _Message(machine.info),
        "get_state": _Message(machine.get_state, 0, 1, 1),
        "prepare": _Message(machine.prepare, 1, 1, is_long=True),
        "apply": _Message(machine.apply, 1, 1, is_long=True),
        "start": _Message(machine.start),
        "stop": _Message(machine.stop, is_long=True),
        "drain": _Message(machine.drain, 1, 2, 1, is_long=True, is_cancellable=True),
        "run_script": _Message(machine.run_script, 1, 2, 1, is_long=True, is_cancellable=True),
        "update_settings": _Message(machine.update_settings, 1, 1, is_long=True),
        "run_errand": _Message(machine.run_errand, 0, 1, 1, is_long=True, is_cancellable=True),
        "delete_arp_entries": _Message(machine.delete_arp_entries, 1, 1),
        "shutdown": _Message(machine.shutdown),
    }


def _of_disks(disks: PersistentDisks) -> dict[str, _Message]:
    return {
        "list_disk": _Message(disks.list, is_long_for_polling=True),
        "add_persistent_disk": _Message(disks.add, 2, 2, 1, is_long=True),
        "remove_persistent_disk": _Message(disks.remove, 1, 1, 1, is_long=True),
        "mount_disk": _Message(disks.mount, 1, 1, 1, is_long=True),
        "unmount_disk": _Message(disks.unmount, 1, 1, 1, is_long=True),
        "migrate_disk": _Message(disks.migrate, 0, 2, 2, is_long=True),
        "add_dynamic_disk": _Message(disks.add_dynamic, 2, 2, 1, is_long=True),
        "remove_dynamic_disk": _Message(disks.remove_dynamic, 1, 1, 1),
    }


def _of_ways(ways: Ways) -> dict[str, _Message]:
    return {
        "ssh": _Message(ways.ssh, 2, 2, 1),
        "exec": _Message(ways.exec, 1, 2, is_long=True, is_cancellable=True, is_beside=True),
    }


def _of_releases(releases: Releases) -> dict[str, _Message]:
    return {
        "compile_package": _Message(releases.compile_package, 4, 5, 4, is_long=True),
        "compile_package_with_signed_url": _Message(releases.compile_package_with_signed_url, 1, 1, is_long=True),
        "upload_blob": _Message(releases.upload_blob, 1, 1, is_long=True),
        "sync_dns": _Message(releases.sync_dns, 3, 3, 2),
        "sync_dns_with_signed_url": _Message(releases.sync_dns_with_signed_url, 1, 1),
        "fetch_logs": _Message(releases.logs.fetch, 1, 2, 1, is_long=True),
        "fetch_logs_with_signed_url": _Message(releases.logs.fetch_signed, 1, 1, is_long=True),
        "bundle_logs": _Message(releases.logs.bundle, 1, 1, is_long=True),
        "remove_file": _Message(releases.logs.remove_file, 1, 1, 1),
    }
