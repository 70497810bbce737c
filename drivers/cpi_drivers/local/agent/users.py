"""Users that programs of jobs run as: those of the machine, for the VM has none of its own."""

import grp
import os
import pwd
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cpi_drivers.local.agent.faults import Fault
from cpi_drivers.local.agent.monit import Program

VCAP: Final = "vcap"
_PROGRAM: Final = "cpi_drivers.local.agent.as_user"


def command_of(program: Program, where: str) -> tuple[str, ...]:
    """What runs it as its user, if the agent may. Raises Fault for a user or group that the machine does not have."""
    if os.geteuid() != 0 or not (program.user or program.group):
        return program.command
    user, group, groups = _identity(program.user, program.group, where)
    return (sys.executable, "-P", "-m", _PROGRAM, str(user), str(group), ",".join(map(str, groups)), *program.command)


def _identity(user: str, group: str, where: str) -> tuple[int, int, Sequence[int]]:
    given = _group(group, where) if group else None
    if not user:
        return os.geteuid(), given or 0, ()
    try:
        entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except KeyError as error:
        if user.isdecimal() and given is not None:
            return int(user), given, ()
        raise Fault(f"{where}: there is no user {user} on this machine, whose users are those of a local VM") from error
    chosen = entry.pw_gid if given is None else given
    return entry.pw_uid, chosen, os.getgrouplist(entry.pw_name, chosen)


def _group(group: str, where: str) -> int:
    try:
        return int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise Fault(f"{where}: there is no group {group} on this machine, whose groups are those of a local VM") from error


def share(folder: Path) -> None:
    """Lets the group vcap write to a job's folder, where the machine has that group."""
    if _has_vcap():
        shutil.chown(folder, group=VCAP)
        folder.chmod(0o770)


def let_read(content: Path) -> None:
    """Lets the group vcap alone read the templates of jobs, where the machine has that group."""
    if not _has_vcap():
        return
    for path in (content, *content.rglob("*")):
        if not path.is_symlink():
            os.chown(path, 0, grp.getgrnam(VCAP).gr_gid)
            path.chmod(0o750 if path.is_dir() or path.parent.name == "bin" else 0o640)


def _has_vcap() -> bool:
    try:
        return os.geteuid() == 0 and bool(grp.getgrnam(VCAP))
    except KeyError:
        return False
