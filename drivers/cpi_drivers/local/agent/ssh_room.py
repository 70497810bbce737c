"""`python -m cpi_drivers.local.agent.ssh_room AGENT SSHD ARGUMENT…`: the SSH server of one connection, on Linux.

It looks after all that the connection starts, also what leaves its session, and ends it when the agent asks for that or is
gone: sshd gives no descriptor on to its sessions, so they cannot hold the VM's lock, and none stays in its process group.
As root, where the machine lacks the folder that sshd asks for, the connection sees a /run of its own that has it; mounts
that the VM makes later are seen there too.
"""

import contextlib
import os
import signal
import sys

from cpi_drivers.local.agent.namespace import die_with_parent, hide, inherit_orphans, separate_view
from cpi_drivers.local.agent.ssh_program import PRIVILEGE_SEPARATION, RUN

_TOLD = {signal.SIGTERM, signal.SIGCHLD}


def main(agent: int, command: list[str]) -> int:
    """0 when nothing of the connection is left."""
    # waited for, not caught: a handler would not be run if its signal came just before a wait
    signal.pthread_sigmask(signal.SIG_BLOCK, _TOLD)
    die_with_parent(signal.SIGTERM)
    inherit_orphans()
    if os.getppid() == agent:
        _serve(command)
    _end_all()
    return 0


def _serve(command: list[str]) -> None:
    if os.geteuid() == 0 and not PRIVILEGE_SEPARATION.is_dir():
        separate_view()
        hide(str(RUN))
        PRIVILEGE_SEPARATION.mkdir(mode=0o755)
    os.posix_spawn(command[0], command, os.environ, setsigmask=())
    # the connection belongs to the server alone: nobody would see it end
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    while not _is_alone() and signal.sigwait(_TOLD) is not signal.SIGTERM:
        pass


def _is_alone() -> bool:
    """Whether all that was started has ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return True
    return False


def _end_all() -> None:
    # the children of those that are killed become this process's own
    while children := _children():
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in children:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _children() -> list[int]:
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208 - names are all that is wanted
        with contextlib.suppress(OSError):
            if name.isdecimal() and _parent(name) == os.getpid():
                found.append(int(name))
    return found


def _parent(pid: str) -> int:
    with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - read for every process there is
        return int(file.read().rpartition(b")")[2].split()[1])


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
