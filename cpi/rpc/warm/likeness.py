"""What a process has that a child of another process has not: where it differs, the call is made cold."""

import os
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

_NAMESPACES: Final = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
_STATUS: Final = ("Gid", "Groups", "NoNewPrivs", "Seccomp", "SigBlk", "Uid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
_READ_AT_START: Final = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC_", "OPENSSL_")
"""How the names of variables begin that an interpreter, its libraries or the loader read once, at the start."""

LIMITS: Final = tuple(number for name, number in sorted(vars(resource).items()) if name.startswith("RLIMIT_"))


class Surroundings(NamedTuple):
    """What cannot be handed over."""

    namespaces: tuple[str, ...]
    root: str
    status: tuple[str, ...]
    niceness: int
    read_at_start: tuple[tuple[str, str], ...]


def surroundings(pid: int, environment: Mapping[str, str]) -> Surroundings:
    """Those of a process of this user. Raises OSError if it is gone or may not be looked at."""
    own = Path("/proc") / str(pid)
    lines = (own / "status").read_text(errors="replace").splitlines()
    return Surroundings(
        tuple(str((own / "ns" / name).readlink()) for name in _NAMESPACES if (own / "ns" / name).is_symlink()),
        str((own / "root").readlink()),
        tuple(line for line in lines if line.partition(":")[0] in _STATUS),
        os.getpriority(os.PRIO_PROCESS, pid),
        tuple(sorted((name, value) for name, value in environment.items() if name.startswith(_READ_AT_START))),
    )


def take_limits_of(pid: int) -> None:
    """Give this process another one's limits. Raises OSError or ValueError where it may not have them."""
    for limit in LIMITS:
        theirs = resource.prlimit(pid, limit)
        if theirs != resource.getrlimit(limit):
            resource.setrlimit(limit, theirs)
