"""Makes a VM of a process group: takes the lock, leaves the caller's session, mounts the root, becomes the agent.

The lock on agent.lock is held through a descriptor that every process of the VM inherits, so it is free exactly when
all of them are gone. Until the caller has its answer nothing heavy is imported.
"""

import argparse
import contextlib
import fcntl
import json
import os
import sys
from typing import Any, NoReturn

from cpi_drivers.local.agent.log_files import rotate

_READY = b"ready"
_ERRORS = 2


def main(arguments: list[str] | None = None) -> int:
    """0 once the VM's own process holds the lock and is on its way; else 1 with the reason on stderr."""
    parser = argparse.ArgumentParser(prog="python -m cpi_drivers.local.agent", description="The agent of a local VM.")
    parser.add_argument("--vm-dir", required=True, help="the VM's folder, with settings.json in it")
    vm_dir = os.path.abspath(parser.parse_args(arguments).vm_dir)  # noqa: PTH100 - pathlib costs time before the answer
    try:
        lock = _locked(vm_dir)
        return _launch(vm_dir, lock)
    except (OSError, ValueError) as error:
        return _refuse(f"{vm_dir}: {error}")


def _refuse(reason: str) -> int:
    os.write(_ERRORS, f"the agent cannot start: {reason}\n".encode())
    return 1


def _locked(vm_dir: str) -> int:
    lock = os.open(f"{vm_dir}/agent.lock", os.O_RDWR | os.O_CREAT, 0o600)
    if not _taken(lock):
        from cpi.contract.errors import CloudError
        from cpi.kit.waiting import wait_until

        # whoever asks if the VM lives holds the lock shared for an instant
        try:
            wait_until(lambda: _taken(lock), "the lock", deadline_seconds=1)
        except CloudError as error:
            raise ValueError("the VM is running already: its agent.lock is held") from error
    os.set_inheritable(lock, True)  # noqa: FBT003 - os takes no name for it
    return lock


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _launch(vm_dir: str, lock: int) -> int:
    answer, report = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(answer)
        _become_vm(vm_dir, lock, report)
    os.close(report)
    with os.fdopen(answer, "rb") as pipe:
        said = pipe.read()
    # a command that was exec'd says nothing: its end of the pipe closed as it started
    if said == _READY or (not said and os.waitpid(child, os.WNOHANG)[0] == 0):
        return 0
    return _refuse(said.decode(errors="replace") or f"{vm_dir}: its process died at once, see {vm_dir}/agent.log")


def _become_vm(vm_dir: str, lock: int, report: int) -> NoReturn:
    try:
        command = _prepare(vm_dir, lock)
        if command:
            os.execvp(command[0], command)  # noqa: S606 - no shell is wanted
    except (OSError, ValueError, KeyError) as error:
        os.write(report, f"{vm_dir}: {error}".encode())
        os._exit(1)
    os.write(report, _READY)
    os.close(report)
    from cpi_drivers.local.agent.running import run

    sys.exit(run(vm_dir, lock))


def _prepare(vm_dir: str, lock: int) -> list[str]:
    os.setsid()
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpgrp()}\n".encode())
    _redirect(f"{vm_dir}/agent.log")
    os.chdir("/")
    launch = _document(f"{vm_dir}/launch.json")
    if launch.get("isolate_mounts"):
        from cpi_drivers.local.agent.namespace import isolate_mounts, mark_mounts, show_var_vcap

        isolate_mounts()
        mark_mounts(vm_dir)
        show_var_vcap(vm_dir)
    elif os.geteuid() == 0 and sys.platform == "linux":
        _mark(vm_dir)
    if launch.get("overlay"):
        from cpi_drivers.local.agent.namespace import mount_overlay

        mount_overlay(launch["overlay"]["lower"], vm_dir)
    return [_filled(part, vm_dir) for part in launch.get("command") or []]


def _mark(vm_dir: str) -> None:
    """So that a process of the VM is found that has left its group and closed the lock; not where root may not mount."""
    from cpi_drivers.local.agent.namespace import isolate_mounts, mark_mounts

    with contextlib.suppress(PermissionError):
        isolate_mounts()
        mark_mounts(vm_dir)


def _document(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib costs time before the answer
            document = json.load(file)
    except FileNotFoundError:
        return {}
    if not isinstance(document, dict):
        raise ValueError(f"{path} holds no object")  # noqa: TRY004 - main reports ValueError
    return document


def _filled(part: str, vm_dir: str) -> str:
    settings = f"{vm_dir}/settings.json"
    if "{agent_id}" in part:
        part = part.replace("{agent_id}", str(_document(settings)["agent_id"]))
    return part.replace("{vm_dir}", vm_dir).replace("{settings}", settings)


def _redirect(log: str) -> None:
    rotate(log)
    nothing = os.open(os.devnull, os.O_RDONLY)
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((nothing, 0), (written, 1), (written, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(written)
