"""How full the store is: from what an agent tells of it, and by asking the guest."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from cpi.agent.protocol import AgentState
from cpi.contract.units import MiB, bytes_from_mib
from cpi.migration.disks import Site
from cpi.migration.plan import Facts, Order

# Agents round percentages, and the filesystem is somewhat smaller than its disk: what is told from them is never too much.
_ROUNDING_PERCENT: Final = 1
_LEAST_FILESYSTEM: Final = 0.9


def used_bytes_at_least(state: AgentState, disk_size: MiB | None) -> int | None:
    """What the data surely takes; None if the agent does not tell, or gives a share of a size that is not known."""
    disk = state.vitals.get("disk")
    store = disk.get("persistent") if isinstance(disk, Mapping) else None
    if not isinstance(store, Mapping):
        return None
    percent = _whole(store.get("percent"))
    if percent is None or disk_size is None:
        return None
    return int(bytes_from_mib(disk_size) * _LEAST_FILESYSTEM * max(percent - _ROUNDING_PERCENT, 0) / 100)


def _whole(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def measured(facts: Facts, order: Order, site: Site) -> Facts:
    """The facts with what the guest itself says, if it lets us in: whether it can copy, and how full its store is."""
    if site.shell is None:
        return facts
    guest = site.guest(order.move_id)
    unfit = guest.unfit()
    if unfit or order.old_disk_cid not in facts.mounted:
        return msgspec.structs.replace(facts, no_live_copy=unfit)
    room = guest.room(guest.store)
    if room.used_bytes > bytes_from_mib(order.size):
        room = guest.room(guest.store, exact=True)
    return msgspec.structs.replace(
        facts,
        no_live_copy="",
        used_bytes_at_least=room.used_bytes,
        used_inodes=room.used_inodes,
        filesystem=room.filesystem,
        filesystem_faults=guest.faults(),
    )
