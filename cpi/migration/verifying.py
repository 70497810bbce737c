"""Whether the new disk holds what the old one does, read from both: names, content byte by byte, all that belongs to a file."""

from typing import Final

import msgspec

from cpi.contract import errors
from cpi.migration import comparing, flagging
from cpi.migration.guest import Guest
from cpi.migration.report import Verify

_NAMES_TOLD: Final = 5
_LONGEST_NAME: Final = 120


class Verified(msgspec.Struct, frozen=True):
    """What was read, and what of it differed."""

    files: int
    size: int
    differing: int = 0
    paths: int = 0
    """How many were listed on both disks."""


def verify_all(guest: Guest) -> Verified:
    """Compare everything while the jobs run. What differs, most of it since it is written to, goes with the next pass."""
    files, size, differing = three_numbers(guest.run(comparing.ALL).stdout)
    return Verified(files, size, differing)


def verify_doubtful(guest: Guest) -> None:
    """Read once more, while the jobs run, what had differed or could not be read. Raises Unreadable if it still cannot be."""
    guest.run(comparing.DOUBTFUL)


def check_lasting(guest: Guest) -> None:
    """Raises CloudError, while the jobs run, naming what the new disk cannot hold, and what differs though it did not change."""
    guest.run(flagging.PROBE)
    names = names_in(guest.run(comparing.LASTING).stdout)
    if names:
        raise errors.CloudError(f"the new disk cannot hold these as they are on the old one: {told(names)}")


def verify_changes(guest: Guest, what: Verify = Verify.CHANGES) -> Verified:
    """Everything that lies on both disks, and the content of what changed, was in doubt, or of all; what differs is copied again.
    When they are the same, flags that rsync leaves behind are carried over, as immutable.

    Raises CloudError naming what still differs, or cannot be kept.
    """
    found, names = _compared(guest, what)
    if names:
        guest.run(comparing.REPAIR)
        found, still = _compared(guest, what)
        if still:
            raise errors.CloudError(f"the new disk differs from the old one although it was copied twice: {told(still)}")
    return msgspec.structs.replace(found, differing=len(names))


def list_before(guest: Guest, what: Verify) -> None:
    """Note all that the store holds, the jobs down; with checksums if every byte is to be compared. Raises CloudError."""
    guest.run(comparing.BEFORE, what.value)


def check_after(guest: Guest) -> int | None:
    """Set what was noted before the disks were swapped against what the store holds now; flags are carried over.

    How many paths there are, None if nothing was noted. Raises CloudError naming what differs.
    """
    head, _, rest = guest.run(comparing.AFTER).stdout.partition(b"\n")
    names = names_in(rest)
    if names:
        raise errors.CloudError(f"the new disk differs from the old one: {told(names)}")
    return int(head) if head else None


def _compared(guest: Guest, what: Verify) -> tuple[Verified, list[bytes]]:
    head, _, names = guest.run(comparing.LAST, what.value).stdout.partition(b"\n")
    paths, files, size = three_numbers(head)
    return Verified(files, size, paths=paths), names_in(names)


def three_numbers(said: bytes) -> tuple[int, int, int]:
    """The last three that a script says."""
    try:
        first, second, third = (int(word) for word in said.split()[-3:])
    except ValueError as error:
        raise errors.CloudError(f"in the guest: expected three numbers, got {said[-200:]!r}") from error
    return first, second, third


def names_in(said: bytes) -> list[bytes]:
    """Paths that a script says, each ended by NUL."""
    return [name.removeprefix(b"./") for name in said.split(b"\0") if name]


def told(names: list[bytes]) -> str:
    """Some of the names, for people."""
    shown = ", ".join(_shown(name) for name in names[:_NAMES_TOLD])
    return shown if len(names) <= _NAMES_TOLD else f"{shown} and {len(names) - _NAMES_TOLD} more"


def _shown(name: bytes) -> str:
    text = "".join(letter if letter.isprintable() else "?" for letter in name.decode(errors="replace"))
    half = _LONGEST_NAME // 2
    return text if len(text) <= _LONGEST_NAME else f"{text[:half]}…{text[-half:]}"
