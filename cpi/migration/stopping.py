"""When the passes of a live copy have done what they can. Pure."""

from collections.abc import Sequence

import msgspec

from cpi.contract import errors
from cpi.migration.report import Pass


class NotWorth(errors.CloudError):
    """Copying what changes takes longer than copying everything: a plain copy keeps the jobs down for less."""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a live copy may take, and what it aims at."""

    down_seconds: float = 3.0
    """The jobs are stopped when the next pass is expected to take no longer than this."""

    small_bytes: int = 4 * 2**20
    """Or when no more than this has changed: less is not worth another pass."""

    most_passes: int = 8
    shrinking: float = 0.75
    """A pass that leaves more than this share of what the one before it had left is the last."""

    bandwidth_kib: int = 0
    """KiB a second that passes may take while the jobs run; 0 for all there is."""


def expected_seconds(passes: Sequence[Pass]) -> float:
    """How long the next pass takes if as much has changed as before the last one."""
    return passes[-1].seconds if passes else 0.0


def check_worth(passes: Sequence[Pass], limits: Limits, advice: str) -> None:
    """Raises NotWorth with the figures and the advice. The first pass has to have copied everything."""
    took, everything = passes[-1].seconds, passes[0].seconds
    if took > max(everything, limits.down_seconds):
        raise NotWorth(
            f"a pass over what changes takes {took:.1f} s, and copying everything took {everything:.1f} s: a live copy would keep"
            f" the jobs down for longer than a plain one{advice}"
        )


def enough(passes: Sequence[Pass], limits: Limits) -> str | None:
    """Why another pass while the jobs run is of no use; None if it is. The first pass, of everything, tells nothing."""
    rounds = passes[1:]
    if not rounds:
        return None
    last = rounds[-1]
    if last.seconds <= limits.down_seconds:
        return f"the last pass took {last.seconds:.1f} s"
    if last.changed_bytes <= limits.small_bytes:
        return f"{last.changed_bytes} bytes had changed"
    if len(passes) >= limits.most_passes:
        return f"{len(passes)} passes are the most allowed"
    if len(rounds) > 1 and last.changed_bytes > rounds[-2].changed_bytes * limits.shrinking:
        return f"what changes does not shrink: {rounds[-2].changed_bytes} bytes, then {last.changed_bytes}"
    return None
