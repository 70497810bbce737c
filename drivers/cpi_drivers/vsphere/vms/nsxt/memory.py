"""What a VM remembers of NSX in an option of its own, so that nobody has to look for it among all groups."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from cpi.contract.encoding import from_json
from cpi_drivers.vsphere.vms.nsxt.pools import Member

OPTION: Final = "multicpi.nsxt"


class Joined(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a VM joins at its birth."""

    groups: tuple[str, ...] = ()
    """Paths of groups."""

    members: tuple[Member, ...] = ()
    """In static pools."""

    vif_type: str | None = None
    tagged: bool = False
    """Whether the VM's metadata are tags of the VM itself, too."""


def memory(joined: Joined | None) -> dict[str, str]:
    """The VM's option; it says of a VM that joins nothing that nothing has to be looked for."""
    return {} if joined is None else {OPTION: msgspec.json.encode(joined).decode()}


def remembered(options: Sequence[Any]) -> Joined | None:
    """What a VM's options say; None if they say nothing."""
    text = next((option.value for option in options if option.key == OPTION), None)
    try:
        return from_json(str(text), Joined) if text else None
    except msgspec.MsgspecError:
        return None
