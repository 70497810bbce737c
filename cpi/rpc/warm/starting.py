"""A process that is ready for the calls that follow: started by the first one, where the configuration wishes it."""

import fcntl
import os
import sys
from typing import Any, Final

from cpi import config
from cpi.contract import errors
from cpi.rpc.warm import launcher

_MODULE: Final = "cpi.rpc.warm.server"


def command(path: str, idle_seconds: float) -> list[str]:
    """What serves a configuration until it has been idle so long, with the interpreter's options of this process."""
    flags = [option for option, is_set in (("-I", sys.flags.isolated), ("-B", sys.flags.dont_write_bytecode)) if is_set]
    return [sys.executable, "-P", *flags, "-m", _MODULE, os.path.abspath(path), str(idle_seconds)]  # noqa: PTH100 - as launcher has it


def start_if_wished(arguments: list[str]) -> None:
    """After a cold call. No call depends on it: what goes wrong costs the next one time."""
    if not hasattr(os, "pidfd_open"):
        return
    path = launcher.config_path(arguments)
    try:
        idle = path and config.warm_idle_of(config.read_document(path))
    except errors.Error:
        return
    if path and idle and not _is_served(path):
        _start(command(path, idle))


def _is_served(path: str) -> bool:
    """Whether a process serves it, and refused this call for what its caller has. The kernel frees the lock of a dead one."""
    try:
        with open(f"{launcher.socket_path(path)}.lock", encoding="utf-8") as lock:  # noqa: PTH123 - as launcher has it
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _start(command: list[str]) -> None:
    null: Any = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
    try:
        os.posix_spawn(command[0], command, os.environ, file_actions=null, setsid=True)
    except OSError:
        return
