"""`python -m cpi_drivers.local.agent.pid_process PIDFILE TIMEOUT COMMAND…`: stands for a process that makes itself a daemon.

Runs the command, which starts the process and ends; then lives for as long as the process that the pid file names. The agent
supervises this program as any job.
"""

import contextlib
import os
import subprocess
import sys
import time
from typing import Final

from cpi.kit.waiting import pause

_LOOK_SECONDS: Final = 0.2


def pid_in(pidfile: str) -> int | None:
    """The living process that a pid file names."""
    try:
        with open(pidfile, encoding="ascii") as file:  # noqa: PTH123 - started for each process: no more imports than needed
            pid = int(file.read().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return pid if pid > 1 and _lives(pid) else None


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:  # noqa: PTH123 - as above
            return file.read().rsplit(")", 1)[1].split()[0] not in {"Z", "X"}
    except FileNotFoundError:
        return not os.path.exists("/proc/self") and _answers(pid)  # noqa: PTH110 - as above


def _answers(pid: int) -> bool:
    with contextlib.suppress(OSError):
        os.kill(pid, 0)
        return True
    return False


def main(arguments: list[str]) -> int:
    """Ends with 1 once the process is gone, or if it did not come up."""
    pidfile, timeout, *command = arguments
    deadline = time.monotonic() + float(timeout)
    try:
        done = subprocess.run(command, timeout=float(timeout), check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"{command[0]}: {error}\n")
        return 1
    if done.returncode:
        sys.stderr.write(f"{command[0]} ended with status {done.returncode}\n")
    while pid_in(pidfile) is None:
        if time.monotonic() > deadline:
            sys.stderr.write(f"{pidfile} names no living process {timeout} s after the start\n")
            return 1
        pause(_LOOK_SECONDS)
    while pid_in(pidfile) is not None:
        pause(_LOOK_SECONDS)
    sys.stderr.write(f"the process in {pidfile} is gone\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
