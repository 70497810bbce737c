"""One growth: looked at first, then grown in use, or copied live where that is wanted. Each part is kept once it is done."""

import hashlib
import time
from collections.abc import Callable
from typing import Final

import msgspec

from cpi.contract import errors
from cpi.contract.encoding import from_plain, to_plain
from cpi.contract.ids import DiskCid
from cpi.contract.operator import ShowsDiskSizes
from cpi.contract.units import MiB, bytes_from_mib, mib_from_bytes
from cpi.kit.redaction import scrubbed
from cpi.migration.disks import Site
from cpi.migration.durable.recording import Keep, Recorder
from cpi.migration.guest import Guest, Room
from cpi.migration.plan import Order
from cpi.migration.report import Event, MoveFailed, MoveRefused, Report, Strategy
from cpi.migration.routine import carry_out
from cpi.resurrection.growth.policy import Policy
from cpi.resurrection.growth.report import GrowthOrder, GrowthReport, GrowthStanding

_ROUNDING_PERCENT: Final = 2.0
"""An agent and `df` do not count alike."""

_WHOLE: Final = 100.0
_REFUSALS: Final = (errors.NotSupported, errors.NotImplemented)
_NOT_SEEN: Final = "its size cannot be seen: the disk is a folder of the host"


class Seen(msgspec.Struct, frozen=True):
    """The disk, as the guest sees it."""

    size: MiB
    is_needed: bool = True
    fault: str = ""


class DiskGrowth:
    """One disk of one VM. site is opened when it is first needed; keep has each part done once."""

    def __init__(self, order: GrowthOrder, policy: Policy, site: Site, move_id: str, keep: Keep) -> None:
        self._order = order
        self._policy = policy
        self._site = site
        self._move_id = move_id
        self._keep = keep

    def report(self, ready: Callable[[], object]) -> GrowthReport:
        """Do it, and tell. ready makes the cloud and the agent reachable. Raises nothing that these raise."""
        seen = from_plain(self._keep("look", lambda: to_plain(self._looked(ready))), Seen)
        if seen.fault:
            return self._failed(seen, seen.fault)
        if not seen.is_needed:
            return self._told(GrowthStanding.NOT_NEEDED, seen, "there is room by now")
        return self._grown_in_use(seen, ready)

    def _grown_in_use(self, seen: Seen, ready: Callable[[], object]) -> GrowthReport:
        try:
            return self._grown(self._moved(seen, Strategy.ONLINE, ready), seen)
        except MoveRefused as refused:
            return self._copied(seen, refused.message, ready)
        except MoveFailed as failed:
            reason = failed.__cause__.message if isinstance(failed.__cause__, errors.Error) else failed.message
            if failed.swapped:
                return self._failed(seen, failed.message, is_unfinished=True)
            return self._copied(seen, reason, ready) if isinstance(failed.__cause__, _REFUSALS) else self._failed(seen, reason)
        except errors.Error as error:
            return self._failed(seen, error.message)

    def _copied(self, seen: Seen, refusal: str, ready: Callable[[], object]) -> GrowthReport:
        if not self._order.or_copy:
            return self._failed(seen, refusal)
        try:
            return self._grown(self._moved(seen, Strategy.LIVE_COPY, ready), seen)
        except errors.Error as error:
            return self._failed(seen, f"{refusal}; nor by a live copy: {error.message}")

    def _looked(self, ready: Callable[[], object]) -> Seen:
        try:
            ready()
            self._site.agent.wait_until_ready()
            size, room = look(self._site, self._site.guest(self._move_id), self._order.disk)
        except errors.Error as error:
            return Seen(MiB(0), fault=scrubbed(error.message))
        order = self._order
        return Seen(size, order.is_unfinished or (size < order.size and _is_full(room, self._policy)))

    def _moved(self, seen: Seen, strategy: Strategy, ready: Callable[[], object]) -> Report:
        recorder = Recorder(self._keep, ready, is_cancelled=_never, was_cancelled=_never, on_event=_unheard)
        order = self._order
        online = strategy is Strategy.ONLINE
        wish = Order(
            move_id=self._move_id,
            vm_cid=order.vm,
            old_disk_cid=order.disk,
            size=order.size,
            cloud_properties={} if online else order.properties,
            strategy=strategy,
            old_size=None if order.is_unfinished else seen.size,
            old_cloud_properties={} if online else None,
            start_jobs=None if online else True,
        )
        return carry_out(wish, self._site, recorder.tell, again=True, perform=recorder.perform)

    def _grown(self, moved: Report, seen: Seen) -> GrowthReport:
        report = self._told(GrowthStanding.GROWN, seen, "")
        return msgspec.structs.replace(
            report,
            disk=moved.disk_cid,
            size=moved.size,
            strategy=moved.strategy.value,
            jobs_down_seconds=moved.jobs_down_seconds,
            message="\n".join(moved.notes),
        )

    def _failed(self, seen: Seen, message: str, *, is_unfinished: bool = False) -> GrowthReport:
        report = self._told(GrowthStanding.FAILED, seen, scrubbed(message))
        size = self._order.size if is_unfinished else report.size
        return msgspec.structs.replace(report, size=size, is_unfinished=is_unfinished)

    def _told(self, standing: GrowthStanding, seen: Seen, message: str) -> GrowthReport:
        size = seen.size or None
        ended = self._keep("ended", time.time)
        return GrowthReport(standing, ended, self._order.disk, message, old_size=size, size=size)


def look(site: Site, guest: Guest, disk: DiskCid) -> tuple[MiB, Room]:
    """How large the disk is, as the guest sees it, or as its cloud can tell, and how full. Raises CloudError."""
    extent = guest.extent(guest.store)
    if extent is not None:
        return mib_from_bytes(extent.disk), guest.room(guest.store)
    if not isinstance(site.cloud, ShowsDiskSizes):
        raise errors.CloudError(_NOT_SEEN)
    size = site.cloud.disk_size(disk)
    used = guest.room(guest.store, exact=True).used_bytes
    return size, Room(used, 0, max(bytes_from_mib(size) - used, 0), None)


def move_id_of(work_id: str) -> str:
    """What the move of a growth is called: short, for it becomes part of tokens and paths; the same for each monitor."""
    return hashlib.sha256(work_id.encode()).hexdigest()[:12]


def _is_full(room: Room, policy: Policy) -> bool:
    inodes = 0.0 if room.free_inodes is None else _share(room.used_inodes, room.free_inodes)
    used = _share(room.used_bytes, room.free_bytes)
    return used >= policy.used_percent - _ROUNDING_PERCENT or inodes >= policy.inode_percent - _ROUNDING_PERCENT


def _share(used: int, free: int) -> float:
    return _WHOLE * used / (used + free) if used + free else 0.0


def _never() -> bool:
    return False


def _unheard(_event: Event) -> None:
    """What a growth tells is its end."""
