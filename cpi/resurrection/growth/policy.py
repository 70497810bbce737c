"""What an operator may say about a disk that grows by itself."""

from typing import Final

import msgspec

from cpi.contract.model import CloudProperties
from cpi.contract.units import MiB, gib_from_mib, mib_from_gib, mib_from_text

_WHOLE: Final = 100.0


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """When a disk grows, and by how much; texts as people write them."""

    up_to: str
    """It never grows beyond this size."""

    when: str = "85%"
    """How much of it is used when it grows."""

    inodes: str = "90%"
    """The same of its inodes."""

    by: str = "25%"
    """Of its size."""

    at_least: str = "1G"
    per_day: int = 2
    """How often within 24 hours."""

    or_copy: bool = False
    """Whether its data may be copied to a new disk, the jobs stopped for a moment, where it cannot grow in use."""

    properties: CloudProperties = {}
    """What that disk is made with."""

    def __post_init__(self) -> None:
        for name in ("when", "inodes"):
            if not 0 < _percent(name, getattr(self, name)) < _WHOLE:
                raise ValueError(f"{name} must be between 0% and 100%, got {getattr(self, name)!r}")
        if _percent("by", self.by) <= 0:
            raise ValueError(f"by must be more than 0%, got {self.by!r}")
        for name in ("up_to", "at_least"):
            _size(name, getattr(self, name))
        if self.per_day < 1:
            raise ValueError(f"per_day must be at least 1, got {self.per_day}")

    @property
    def limit(self) -> MiB:
        """Of the size."""
        return _size("up_to", self.up_to)

    @property
    def used_percent(self) -> float:
        """From which on it is too full."""
        return _percent("when", self.when)

    @property
    def inode_percent(self) -> float:
        """From which on it has too many files."""
        return _percent("inodes", self.inodes)

    def next_size(self, size: MiB) -> MiB:
        """What a disk of this size grows to: whole GiB where it has some, for clouds sell these."""
        share = int(size * (1 + _percent("by", self.by) / _WHOLE))
        wanted = max(share, size + _size("at_least", self.at_least))
        if size >= mib_from_gib(1):
            wanted = mib_from_gib(gib_from_mib(MiB(wanted)))
        return MiB(min(wanted, self.limit))


def _percent(name: str, text: str) -> float:
    try:
        return float(text.strip().removesuffix("%"))
    except ValueError as error:
        raise ValueError(f"{name}: expected a percentage such as 85%, got {text!r}") from error


def _size(name: str, text: str) -> MiB:
    try:
        return mib_from_text(text)
    except ValueError as error:
        raise ValueError(f"{name}: expected a size such as 5G, got {text!r}") from error
