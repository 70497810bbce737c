"""Sizes. BOSH counts in MiB everywhere; this is the only place that knows 1024."""

from typing import Final, NewType

MiB = NewType("MiB", int)

_STEP = 1024
_LETTERS: Final = "MGT"


def mib_from_gib(gib: int) -> MiB:
    """gib in MiB."""
    return MiB(gib * _STEP)


def gib_from_mib(size: MiB) -> int:
    """The smallest whole number of GiB that holds size: clouds that sell GiB round up, never down."""
    return -(-size // _STEP)


def bytes_from_mib(size: MiB) -> int:
    """size in bytes."""
    return size * _STEP * _STEP


def mib_from_bytes(count: int) -> MiB:
    """The smallest whole number of MiB that holds count bytes."""
    return MiB(-(-count // (_STEP * _STEP)))


def bytes_from_kib(kib: int) -> int:
    """kib, as some tools report sizes, in bytes."""
    return kib * _STEP


def mib_from_text(text: str) -> MiB:
    """A size as people write it: 512M, 20G, 1T, with or without iB; a plain number is MiB. Raises ValueError."""
    number = text.strip().upper().removesuffix("B").removesuffix("I")
    letter = number[-1:] if number[-1:] in _LETTERS else ""
    count = int(number.removesuffix(letter)) if letter else int(number)
    if count <= 0:
        raise ValueError(f"invalid disk size {text!r}")
    return MiB(count * _STEP ** _LETTERS.index(letter or "M"))
