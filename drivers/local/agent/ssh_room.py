"""`python -m drivers.local.agent.ssh_room SSHD ARGUMENT…`: the SSH server of one connection, as root.

In a room of its own: its processes are gone when this one is, whatever they did to leave it; and it sees a /run with the
folder that sshd asks for, which the machine may not have. Mounts that the VM makes later are seen in the room too.
"""

import os
import signal
import sys
from typing import NoReturn

from drivers.local.agent.namespace import die_with_parent, hide, separate_processes, separate_view
from drivers.local.agent.ssh_program import PRIVILEGE_SEPARATION, RUN


def main(command: list[str]) -> int:
    """The server's exit status."""
    if not PRIVILEGE_SEPARATION.is_dir():
        separate_view()
        hide(str(RUN))
        PRIVILEGE_SEPARATION.mkdir(mode=0o755)
    separate_processes()
    child = os.fork()
    if child == 0:
        _become(command)
    # the caller's connection belongs to the server alone
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _become(command: list[str]) -> NoReturn:
    die_with_parent(signal.SIGKILL)
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
