"""Tags and labels: what everything made carries from birth, and metadata cut to what a cloud allows."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NamedTuple

from cpi.contract.model import CallContext
from cpi.contract.request import request_id

MADE_BY: Final = "multicpi"
DIRECTOR: Final = "multicpi-director"
REQUEST: Final = "multicpi-request"
TOKEN: Final = "multicpi-token"  # noqa: S105 - the name of a tag
_UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


BOSH_NAMES: Final = frozenset(
    {
        "director",
        "deployment",
        "instance_group",
        "job",
        "index",
        "id",
        "name",
        "Name",
        "created_at",
        "compiling",
        "instance_id",
        "instance_index",
        "attached_at",
        "replaced_by",
        "orphaned_at",
        "orphaned_from",
        "move_id",
    }
)
"""What a director says of its VMs and disks, and a move of the disk that it replaced: there is always room for these."""


class Limits(NamedTuple):
    """How long a name and a value may be, and how many there may be."""

    key: int
    value: int
    number: int


def birth_tags(context: CallContext, token: str | None = None) -> dict[str, str]:
    """Who made it, for which director, by which request, under which token: `cpi sweep` finds leftovers by these."""
    tags = {MADE_BY: "1", DIRECTOR: context.director_uuid, REQUEST: request_id(context), TOKEN: token or ""}
    return {name: value for name, value in tags.items() if value}


def fitted(
    metadata: Mapping[str, Any],
    limits: Limits,
    *,
    present: Mapping[str, str] | None = None,
    spelled: Callable[[str], str] = str,
    first: Collection[str] = BOSH_NAMES,
) -> dict[str, str]:
    """metadata as a cloud takes it beside the tags that are present: spelled, cut, and no more than fit. Nulls are left out.

    Room is kept for the names in first, so that no number of other tags can crowd them out.
    """
    present = present or {}
    fitting: dict[str, str] = {}
    kept = sum(name not in present for name in first)
    room = limits.number - len(present)
    for key, value in metadata.items():
        name = spelled(_printable(key))[: limits.key]
        if not name or value is None:
            continue
        if name not in present and name not in fitting:
            if room <= (0 if name in first else kept):
                continue
            room -= 1
            kept -= name in first
        fitting[name] = spelled(_printable(value))[: limits.value]
    return fitting


def _printable(said: Any) -> str:
    """Without what no XML, and no cloud's console, can show: one such character ends the whole call."""
    return _UNPRINTABLE.sub(" ", str(said))
