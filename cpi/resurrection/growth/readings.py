"""How full a disk was when, from what its agent tells, and when it will be full if that goes on. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

KEPT_SECONDS: Final = 6 * 3600.0
_APART_SECONDS: Final = 30.0
_FULL: Final = 100.0
_LEAST_RISE: Final = 1.0
"""Agents tell whole per cent: less than this may be rounding."""


class Reading(msgspec.Struct, frozen=True):
    """One of them."""

    at: float
    """Seconds since 1970."""

    used: float
    """Per cent."""

    inodes: float = 0.0


def reading_from(vitals: Mapping[str, Any], at: float) -> Reading | None:
    """From an agent's vitals; None if they say nothing of a persistent disk."""
    disk = vitals.get("disk")
    store = disk.get("persistent") if isinstance(disk, Mapping) else None
    if not isinstance(store, Mapping):
        return None
    used = _number(store.get("percent"))
    return None if used is None else Reading(at, used, _number(store.get("inode_percent")) or 0.0)


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


class Readings:
    """Those of one disk in the last hours."""

    def __init__(self) -> None:
        self._kept: list[Reading] = []
        self.latest: Reading | None = None

    def add(self, reading: Reading) -> None:
        """The newest one; of many within a short time, one is kept beside it."""
        if self.latest is not None and reading.at <= self.latest.at:
            return
        self.latest = reading
        if not self._kept or reading.at - self._kept[-1].at >= _APART_SECONDS:
            self._kept = [one for one in self._kept if one.at > reading.at - KEPT_SECONDS]
            self._kept.append(reading)

    def since(self, moment: float) -> tuple[Reading, ...]:
        """Those after a moment, the newest last."""
        found = [one for one in self._kept if one.at > moment]
        if self.latest is not None and self.latest.at > moment and (not found or found[-1] != self.latest):
            found.append(self.latest)
        return tuple(found)


def full_in(readings: Sequence[Reading]) -> float | None:
    """In how many seconds the disk is full at the rate of these readings; None if it does not fill."""
    if not readings or max(one.used for one in readings) - readings[0].used < _LEAST_RISE:
        return None
    middle = sum(one.at for one in readings) / len(readings)
    level = sum(one.used for one in readings) / len(readings)
    spread = sum((one.at - middle) ** 2 for one in readings)
    rate = sum((one.at - middle) * (one.used - level) for one in readings) / spread if spread else 0.0
    return max(_FULL - readings[-1].used, 0.0) / rate if rate > 0 else None
