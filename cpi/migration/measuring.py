"""How full the store is: from what an agent tells of it, and by asking the guest."""

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from cpi.agent.protocol import AgentState
from cpi.contract import errors
from cpi.contract.units import MiB, bytes_from_mib
from cpi.migration import scripts
from cpi.migration.between.scripts import IS_MARKED
from cpi.migration.disks import Site
from cpi.migration.foretelling import Sample, sample_from
from cpi.migration.growing import why_not_mounted
from cpi.migration.guest import Guest
from cpi.migration.plan import Facts, Order, has_to_choose

# Agents round percentages, and the filesystem is somewhat smaller than its disk: what is told from them is never too much.
_ROUNDING_PERCENT: Final = 1
_LEAST_FILESYSTEM: Final = 0.9
_SAMPLED_SECONDS: Final = 3.0
_NOTHING: Final = ":\n"


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
    if order.old_disk_cid not in facts.mounted:
        return msgspec.structs.replace(facts, no_live_copy=unfit, no_growth=f"{order.old_disk_cid} is not mounted")
    growth = _why_not_mounted(facts, guest, order)
    facts = msgspec.structs.replace(facts, no_live_copy=unfit, no_growth=growth, filesystem_faults=_faults(guest, unfit))
    if unfit:
        return facts
    room = guest.room(guest.store)
    if room.used_bytes > bytes_from_mib(order.size):
        room = guest.room(guest.store, exact=True)
    facts = msgspec.structs.replace(
        facts, used_bytes_at_least=room.used_bytes, used_inodes=room.used_inodes, filesystem=room.filesystem
    )
    return msgspec.structs.replace(facts, sample=take_sample(site, order)) if has_to_choose(order, facts) else facts


def _faults(guest: Guest, unfit: str) -> str:
    """Those of a guest that lacks what a live copy takes are looked for as well; one that cannot be asked has none."""
    with contextlib.suppress(errors.CloudError) if unfit else contextlib.nullcontext():
        return guest.faults()
    return ""


def _why_not_mounted(facts: Facts, guest: Guest, order: Order) -> str:
    if not (facts.grows_attached or facts.changes_attached):
        return "the cloud cannot grow a disk that is attached"
    return why_not_mounted(guest, order.size)


def is_marked(guest: Guest) -> bool:
    """Whether this move took the guest's jobs to another cloud."""
    return bool(guest.ask(IS_MARKED, guest.moved).stdout.strip())


def take_sample(site: Site, order: Order) -> Sample:
    """Look at the store for some seconds."""
    guest = site.guest(order.move_id)
    try:
        found = sample_from(guest.run(scripts.SAMPLE, str(_SAMPLED_SECONDS)).stdout)
        answer, task = _timed(lambda: guest.run(_NOTHING)), _timed(site.agent.list_disk)
    finally:
        guest.end_leftovers()
    return msgspec.structs.replace(found, answer_seconds=answer, task_seconds=task)


def _timed(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began
