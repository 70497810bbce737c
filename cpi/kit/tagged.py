"""What drivers that list tagged resources share: which tags count, and whether one of the list may be deleted."""

import datetime as dt
from collections.abc import Mapping
from typing import Final

import msgspec

from cpi.contract import errors
from cpi.contract.operator import TaggedResource
from cpi.kit.tagging import MADE_BY

OFFICIAL: Final = "director"
"""Directors set it on their VMs, disks and snapshots, whichever CPI makes them."""

CREATED: Final = "multicpi-created"
"""When it was made, for resources whose cloud does not say so."""


def is_tagged(tags: Mapping[str, str]) -> bool:
    """Whether this CPI made it, or a director named it as its own."""
    return MADE_BY in tags or OFFICIAL in tags


def time_of(text: str | None) -> dt.datetime | None:
    """A time as clouds write it, with a time zone: UTC if none is given; None if it is no time."""
    try:
        time = dt.datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=dt.UTC)


def now_text() -> str:
    """The present time, for the tag CREATED."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


def may_delete(listed: TaggedResource, found: TaggedResource | None) -> bool:
    """Whether a listed resource is to be deleted as it is found now: False if it is gone. Raises CloudError if it must not be."""
    if found is None:
        return False
    if found.attached_to:
        raise errors.CloudError(f"the {found.kind} {found.id} is attached to {found.attached_to}: it was not deleted")
    same = msgspec.structs.replace(found, attached_to=listed.attached_to)
    if same != listed:
        fields = [name for name in listed.__struct_fields__ if getattr(same, name) != getattr(listed, name)]
        raise errors.CloudError(f"the {found.kind} {found.id} has changed since it was listed ({', '.join(fields)}): not deleted")
    return True
