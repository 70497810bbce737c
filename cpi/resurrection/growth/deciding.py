"""What is to be done about a disk: from its readings, its policy and its past. Pure."""

from collections.abc import Sequence
from enum import Enum
from typing import Final

import msgspec

from cpi.contract.units import MiB
from cpi.resurrection.growth.policy import Policy
from cpi.resurrection.growth.readings import Reading, full_in
from cpi.resurrection.rules import Backoff

_DAY: Final = 24 * 3600.0
_FORETOLD_SECONDS: Final = _DAY
"""A disk that will be full later than this is left without a word."""

_HOUR: Final = 3600.0
_MINUTE: Final = 60.0
_MARGIN_SECONDS: Final = 2.0
"""What was read so shortly after a growth may have been measured before it."""


class Past(msgspec.Struct, frozen=True):
    """What was done for a disk."""

    grown_at: tuple[float, ...] = ()
    """When it was grown, in seconds since 1970."""

    failed_at: tuple[float, ...] = ()
    """When it was tried in vain since then."""

    why_failed: str = ""
    unfinished: MiB | None = None
    """The size that the cloud has given it, and the guest cannot use yet."""

    ended: float = 0.0
    """When the last try ended, however that was."""

    tries: int = 0


class Act(Enum):
    """What is to be done."""

    NOTHING = "nothing"
    WARN = "filling"
    GROW = "grow"
    REFUSE = "cannot grow"


class Decision(msgspec.Struct, frozen=True):
    """One of them."""

    act: Act
    reason: str = ""
    """For people."""

    size: MiB | None = None
    """What it grows to."""

    full_in: float | None = None
    """Seconds, at the rate of the last hours."""


def decide(
    policy: Policy, size: MiB | str, readings: Sequence[Reading], past: Past, now: float, backoff: Backoff | None = None
) -> Decision:
    """size is the disk's, or why it is not known; empty: not yet. readings are those of the last hours, the newest last."""
    fresh = [one for one in readings if one.at > past.ended + _MARGIN_SECONDS]
    if not fresh:
        return Decision(Act.NOTHING)
    left = full_in(fresh)
    waiting = bool(past.failed_at) and now < past.failed_at[-1] + (backoff or Backoff()).seconds(len(past.failed_at))
    need = too_full(policy, fresh[-1])
    if past.unfinished is not None:
        why = "an earlier growth was not finished"
        return Decision(Act.REFUSE, past.why_failed, None, left) if waiting else Decision(Act.GROW, why, past.unfinished, left)
    if not need:
        soon = left is not None and left <= _FORETOLD_SECONDS
        return Decision(Act.WARN if soon else Act.NOTHING, f"{fresh[-1].used:.0f} % used{in_words(left)}", None, left)
    if waiting:
        return Decision(Act.REFUSE, past.why_failed, None, left)
    return _grown(policy, size, past, now, Decision(Act.GROW, f"{need}{in_words(left)}", None, left))


def _grown(policy: Policy, size: MiB | str, past: Past, now: float, wish: Decision) -> Decision:
    if isinstance(size, str):
        reason = f"{wish.reason}; its size is not known{f': {size}' if size else ' yet'}"
        return Decision(Act.REFUSE if size else Act.NOTHING, reason, None, wish.full_in)
    lately = sum(now - at < _DAY for at in past.grown_at)
    if size >= policy.limit:
        reason = f"{wish.reason}; it has {size} MiB, the most that it may have (up_to: {policy.up_to})"
        return Decision(Act.REFUSE, reason, None, wish.full_in)
    if lately >= policy.per_day:
        times = f"{lately} {'times' if lately > 1 else 'time'} within 24 hours (per_day: {policy.per_day})"
        reason = f"{wish.reason}; it fills faster than it may grow: it was grown {times}; find out what writes to it"
        return Decision(Act.REFUSE, reason, None, wish.full_in)
    return msgspec.structs.replace(wish, size=policy.next_size(size))


def too_full(policy: Policy, reading: Reading) -> str:
    """What there is too much of, for people; empty if there is room."""
    if reading.used >= policy.used_percent:
        return f"{reading.used:.0f} % used"
    if reading.inodes >= policy.inode_percent:
        return f"{reading.inodes:.0f} % of the inodes used"
    return ""


def in_words(left: float | None) -> str:
    """When it will be full."""
    if left is None:
        return ""
    told = f"{left / _HOUR:.0f} h" if left >= 10 * _HOUR else f"{left / _HOUR:.1f} h"
    return f", full in {told if left >= _HOUR else f'{max(left / _MINUTE, 1):.0f} min'} at this rate"
