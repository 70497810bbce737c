"""Who holds a guest's disk beside its jobs: processes by open or mapped files, working folders, roots, sockets and mounts
elsewhere; the kernel by overlays, swap and files behind loop devices.
"""

from typing import Final

import msgspec

from cpi.agent.shell import Output
from cpi.contract import errors
from cpi.migration.guest import Guest
from cpi.migration.holding_scripts import HOLDERS

_TOLD: Final = 5


class Holder(msgspec.Struct, frozen=True):
    """A process, and by what it holds the disk."""

    pid: int
    """0 for the kernel itself."""

    of_a_job: bool
    writes: bool
    how: str
    """open, mapped, cwd, root, exe, mount or socket; of the kernel loop, swap or overlay."""

    path: str
    command: str

    def __str__(self) -> str:
        if self.pid == 0:
            what = {"loop": f"the loop device {self.command} uses {self.path}", "swap": f"{self.path} is used as swap"}
            return what.get(self.how) or f"the overlay mounted at {self.path} uses {self.command}"
        what = {
            "cwd": "is in",
            "root": "has its root in",
            "exe": "runs",
            "mount": "sees it mounted at",
            "mapped": "has mapped",
            "socket": "has a socket at",
        }
        doing = what.get(self.how) or ("writes to" if self.writes else "has open")
        return f"process {self.pid} ({self.command}) {doing} {self.path}"


class Busy(errors.CloudError):
    """Something that is no job holds the disk; the message names it."""


def holders(guest: Guest) -> tuple[Holder, ...]:
    """Whoever holds the store now, jobs among them."""
    return holders_from(guest.run(HOLDERS).stdout)


def strangers(guest: Guest) -> tuple[Holder, ...]:
    """Whoever holds the store and belongs to no job."""
    return tuple(holder for holder in holders(guest) if not holder.of_a_job)


def busy(done: Output) -> Busy:
    """What a script has found that could not make the store read-only."""
    held = holders_from(done.stdout)
    reason = told(held) if held else done.complaint
    return Busy(f"with the jobs stopped the disk is still held: {reason}; what to do: end it, then move the disk")


def told(held: tuple[Holder, ...]) -> str:
    """Some of them, for people; of one process what it writes comes first."""
    best: dict[int | str, Holder] = {}
    for holder in sorted(held, key=lambda holder: not holder.writes):
        best.setdefault(holder.pid or holder.path, holder)
    lines = [str(holder) for holder in list(best.values())[:_TOLD]]
    return "; ".join(lines) + (f" and {len(best) - _TOLD} more" if len(best) > _TOLD else "")


def holders_from(said: bytes) -> tuple[Holder, ...]:
    """From the lines of the script."""
    lines = [line.split("\t") for line in said.decode(errors="replace").splitlines()]
    return tuple(
        Holder(int(pid), of_a_job == "1", writes == "1", how, path, command)
        for pid, of_a_job, writes, how, path, command in lines
    )
