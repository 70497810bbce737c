"""The OpenSSH server of this machine, and whether a VM can have it."""

import os
import pwd
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from cpi_drivers.local.agent.commands import Commands
from cpi_drivers.local.agent.layout import VmFolder

RUN: Final = Path("/run")
PRIVILEGE_SEPARATION: Final = RUN / "sshd"
"""Compiled into sshd: as root it does not start without this folder."""

_LOCKED = "!"


class SshProgram(NamedTuple):
    """How it is started, and the one user that it lets in."""

    command: Sequence[str]
    user: str
    search_path: str


def find_program(commands: Commands, vm: VmFolder) -> SshProgram | None:
    """None where there is no SSH server, or where it could let nobody in."""
    search = commands.environment()["PATH"]
    program = shutil.which("sshd", path=search)
    account = _account()
    if program is None or account is None:
        return None
    if os.geteuid() == 0 and not PRIVILEGE_SEPARATION.is_dir() and not _may_have_own_run(vm):
        return None
    room = [sys.executable, "-P", "-m", "cpi_drivers.local.agent.ssh_room", str(os.getpid())] if sys.platform == "linux" else []
    return SshProgram([*room, program], account.pw_name, search)


def _may_have_own_run(vm: VmFolder) -> bool:
    return vm.has_own_mounts and not Path(os.path.realpath(vm.path)).is_relative_to(RUN)


def _account() -> pwd.struct_passwd | None:
    """The agent's own, None if sshd would refuse it."""
    try:
        account = pwd.getpwuid(os.geteuid())
    except KeyError:
        return None
    return account if os.access(account.pw_shell or "/bin/sh", os.X_OK) and not _is_locked(account.pw_name) else None


def _is_locked(user: str) -> bool:
    try:
        lines = Path("/etc/shadow").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return False
    return any(line.startswith(f"{user}:{_LOCKED}") for line in lines)
