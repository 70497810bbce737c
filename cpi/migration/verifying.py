"""Whether the new disk holds what the old one does, read from both: content by checksums, and all that belongs to a file."""

import re
from typing import Final

import msgspec

from cpi.contract import errors
from cpi.migration import scripts
from cpi.migration.guest import Guest

_ITEM: Final = re.compile(rb"^(?:[<>ch.*][fdLDS][^ ]{9}|\*deleting {2,3}) ?(.+)$", re.DOTALL)
_ESCAPE: Final = re.compile(rb"\\#([0-7]{3})")
_NAMES_TOLD: Final = 5
_WHILE_LIVE: Final = (0, 23, 24)


class Verified(msgspec.Struct, frozen=True):
    """What was read, and what of it differed."""

    files: int
    size: int
    differing: int = 0


def verify_all(guest: Guest) -> Verified:
    """Compare everything while the jobs run. What differs, most of it since it is written to, goes with the next pass."""
    done = guest.run(scripts.VERIFY_ALL, fine=_WHILE_LIVE)
    head, _, rest = done.stdout.partition(b"\n")
    files, size = (int(word) for word in head.split())
    names = differing(rest)
    guest.run(scripts.NOTE, stdin=as_list(names))
    return Verified(files, size, len(names))


def verify_changes(guest: Guest) -> int:
    """Compare what the last pass took; what differs is copied once more, and compared again. How many differed.

    Raises CloudError naming what still differs.
    """
    names = _changes(guest)
    if names:
        guest.run(scripts.REPAIR, stdin=as_list(names))
        still = _changes(guest)
        if still:
            raise errors.CloudError(f"the new disk differs from the old one although it was copied twice: {_told(still)}")
    return len(names)


def _changes(guest: Guest) -> list[bytes]:
    return differing(guest.run(scripts.VERIFY_CHANGED).stdout)


def differing(said: bytes) -> list[bytes]:
    """The names in what rsync would change, as they are on the disk, relative to it."""
    found = (_ITEM.match(line) for line in said.split(b"\n"))
    return [_ESCAPE.sub(lambda octal: bytes([int(octal[1], 8)]), item[1]) for item in found if item]


def as_list(names: list[bytes]) -> bytes:
    """As a listing names them."""
    paths = (name.removeprefix(b"./").rstrip(b"/") for name in names)
    return b"".join(b"./" + path + b"\0" for path in paths if path)


def _told(names: list[bytes]) -> str:
    told = ", ".join(name.decode(errors="replace") for name in names[:_NAMES_TOLD])
    return told if len(names) <= _NAMES_TOLD else f"{told} and {len(names) - _NAMES_TOLD} more"
