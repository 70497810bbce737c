"""The passes of a live copy: all of it once, then what changed meanwhile, again and again; the last one with the jobs down."""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from cpi.agent.shell import OnOutput, Output
from cpi.migration import holding, scripts
from cpi.migration.guest import Guest, NoRoom, Room
from cpi.migration.holding_scripts import HELD
from cpi.migration.report import Pass, Progress
from cpi.migration.stopping import Limits, enough, expected_seconds
from cpi.migration.verifying import three_numbers

Tell = Callable[[Progress], None]


class Runs(Protocol):
    """A guest that runs a script: what copies to its other disk, or to another guest."""

    def run(self, script: str, *words: str, on_output: OnOutput | None = None, fine: Sequence[int] = (0,)) -> Output:
        """Raises CloudError for an exit status that is not fine."""


_PARTIAL = 23
_VANISHED = 24
_WHILE_LIVE = (0, _PARTIAL, _VANISHED)


def check_room(guest: Guest) -> Room:
    """What is used on the old disk. Raises NoRoom with the figures if the new disk, its filesystem made, cannot hold it."""
    used, there = guest.room(guest.store), guest.room(guest.target)
    if why_no_room(used, there):
        used = guest.room(guest.store, exact=True)
    reason = why_no_room(used, there)
    if reason:
        raise NoRoom(f"the data does not fit: {reason}")
    return used


def why_no_room(used: Room, there: Room) -> str:
    """The figures, if what is used does not fit; empty if it does."""
    room = there.used_bytes + there.free_bytes
    if used.used_bytes > room:
        return f"{used.used_bytes} bytes are used, and the new disk has room for {room}"
    if there.free_inodes is not None and used.used_inodes > there.used_inodes + there.free_inodes:
        return f"{used.used_inodes} inodes are used, and the new disk has {there.used_inodes + there.free_inodes}"
    return ""


def skipped(guest: Guest) -> tuple[int, int, int]:
    """How many sockets are left out; how many files and bytes are not. Changes count from here on."""
    nodes, files, size = three_numbers(guest.run(scripts.BEGIN).stdout)
    return nodes, files, size


def copy_all(guest: Runs, limits: Limits, files: int, size: int, tell: Tell, script: str = scripts.BULK) -> Pass:
    """The first pass. What vanishes or changes while it is read is left to later ones."""
    began = time.monotonic()

    def on_output(chunk: bytes) -> None:
        copied = told_bytes(chunk)
        if copied is not None:
            tell(Progress(number=1, copied_bytes=min(copied, size), of_bytes=size, rate=_rate(copied, began)))

    done = guest.run(script, str(limits.bandwidth_kib), on_output=on_output, fine=_WHILE_LIVE)
    return Pass(1, time.monotonic() - began, size, files, partial=done.status != 0)


def copy_changes(guest: Runs, limits: Limits, number: int, tell: Tell, script: str = scripts.ROUND) -> Pass:
    """A pass over what changed since the one before, the jobs still running."""
    began = time.monotonic()
    done = guest.run(script, str(limits.bandwidth_kib), fine=_WHILE_LIVE)
    files, size, strange = three_numbers(done.stdout)
    took = time.monotonic() - began
    made = Pass(number, took, size, files, partial=done.status != 0, strange=strange)
    tell(Progress(number, size, size, _rate(size, began), changed_bytes=size, expected_down_seconds=expected_seconds((made,))))
    return made


def copy_until_little_is_left(
    guest: Runs, limits: Limits, passes: tuple[Pass, ...], tell: Tell, since: int = 0, script: str = scripts.ROUND
) -> tuple[tuple[Pass, ...], str]:
    """Passes while another one is of use; and why there are no more. Those before `since` do not count."""
    while (reason := enough(passes[since:], limits)) is None:
        passes = (*passes, copy_changes(guest, limits, len(passes) + 1, tell, script))
    return passes, reason


def catch_up(guest: Guest, limits: Limits, passes: tuple[Pass, ...], tell: Tell) -> tuple[tuple[Pass, ...], str]:
    """The passes after everything was read and compared, which takes long: the first has much to do, the rest little."""
    return copy_until_little_is_left(guest, limits, passes, tell, since=len(passes) - 1)


def copy_last(guest: Guest, number: int) -> tuple[Pass, str]:
    """The pass with the jobs down, and why the store could not be made read-only before it, if so.

    Raises CloudError if anything cannot be read or copied, Busy if something holds the store.
    """
    began = time.monotonic()
    done = guest.run(scripts.LAST, fine=(0, HELD))
    if done.status == HELD:
        raise holding.busy(done)
    files, size, strange = three_numbers(done.stdout)
    why = " ".join(done.stdout.decode(errors="replace").splitlines()[:-2])
    made = Pass(number, time.monotonic() - began, size, files, strange=strange, jobs_down=True)
    return made, why


def told_bytes(chunk: bytes) -> int | None:
    """The bytes so far, from the last whole line of what a copy says of itself."""
    for line in reversed(chunk.replace(b"\r", b"\n").split(b"\n")):
        first = line.split()[:1]
        if first and (digits := first[0].replace(b",", b"")).isdigit():
            return int(digits)
    return None


def _rate(copied: int, began: float) -> float:
    return copied / max(time.monotonic() - began, 0.001)
