"""How full the store is, from what an agent tells of it. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from cpi.agent.protocol import AgentState
from cpi.contract.units import MiB, bytes_from_mib

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
