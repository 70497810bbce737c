"""Which disks an instance has now: those that its file names, followed through the moves that replaced them.

By the records of the moves where they can be read, and by the tags that a move leaves on a disk that it replaced, where the
cloud shows them: so an orphan is never attached in the place of its successor.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid
from cpi.contract.operator import ShowsDiskTags
from cpi.durable.succession import DiskRecords, Hold, Succession, disk_lock
from cpi.resurrection.instance import Instance

_FRESH_SECONDS: Final = 5.0
_REPLACED_BY: Final = "replaced_by"


class DisksInHand(errors.CloudError):
    """A move has a disk of the instance in hand."""


class Disks:
    """Follows disks, and keeps them from moves while an instance is recreated. Any number of threads may ask."""

    def __init__(
        self,
        records: DiskRecords | None,
        clock: Callable[[], float] = time.monotonic,
        grown: Callable[[], Mapping[str, DiskCid]] = dict,
    ) -> None:
        """Without records it goes by the tags alone. grown tells which disks took the place of others that had to grow."""
        self._records = records
        self._grown = grown
        self._clock = clock
        self._guard = threading.Lock()
        self._seen: tuple[float, Succession] | None = None

    def recorded(self, instance: Instance, plugin: str) -> Instance:
        """The instance with the disks that it has as the records say. They may be some seconds old."""
        return _with_disks(instance, [self._look().present(plugin, disk) for disk in _followed(instance)])

    def present(self, instance: Instance, plugin: str, cloud: Cloud) -> Instance:
        """The instance with the disks that it has, the cloud's tags asked as well. Raises what the cloud raises."""
        return self._present(self._look(), instance, plugin, cloud)

    @property
    def unreadable(self) -> Mapping[str, str]:
        """The records of moves that cannot be read, and why."""
        return {} if self._records is None else self._records.unreadable

    def in_hand(self, instance: Instance, plugin: str) -> str:
        """Which move has one of its disks in hand, for people; empty if none has."""
        return _in_hand(self._look(), instance, plugin)

    def is_left(self, instance: Instance, plugin: str) -> bool:
        """Whether that move's process has died, so that it has to be taken up first."""
        return any(hold.is_left for _, hold in _holds(self._look(), instance, plugin))

    @contextlib.contextmanager
    def kept_from_moves(self, instance: Instance, plugin: str, cloud: Cloud) -> Iterator[Instance]:
        """As present, and no move begins with one of its disks before the block ends. Raises DisksInHand."""
        with contextlib.ExitStack() as held:
            locked = set[DiskCid]()
            while True:
                seen = self._look(fresh=True)
                now_in_hand = _in_hand(seen, instance, plugin)
                if now_in_hand:
                    raise DisksInHand(now_in_hand)
                present = self._present(seen, instance, plugin, cloud)
                if locked.issuperset(present.disks):
                    break  # nothing has changed since its disks are ours alone
                for disk in sorted(set(present.disks) - locked):
                    self._take(disk_lock(plugin, disk), held)
                    locked.add(disk)
            yield present

    def _take(self, lock: str, held: contextlib.ExitStack) -> None:
        if self._records is None:
            return
        if not self._records.hold(lock):
            raise DisksInHand(f"another process has the {lock} in hand")
        held.callback(self._records.release, lock)

    def _look(self, *, fresh: bool = False) -> Succession:
        with self._guard:
            now = self._clock()
            if fresh or self._seen is None or now - self._seen[0] >= _FRESH_SECONDS:
                self._seen = (now, Succession() if self._records is None else self._records.look())
            seen = self._seen[1]
            return msgspec.structs.replace(seen, heirs={**seen.heirs, **self._grown()})

    def _present(self, seen: Succession, instance: Instance, plugin: str, cloud: Cloud) -> Instance:
        return _with_disks(instance, [_heir(seen, plugin, disk, cloud) for disk in _followed(instance)])


def _followed(instance: Instance) -> tuple[DiskCid, ...]:
    return instance.disks if instance.follow_moves else ()


def _with_disks(instance: Instance, disks: list[DiskCid]) -> Instance:
    return msgspec.structs.replace(instance, disks=tuple(disks)) if instance.follow_moves else instance


def _heir(seen: Succession, plugin: str, disk: DiskCid, cloud: Cloud) -> DiskCid:
    """The disk that has this one's data now; one that its successor's tags name has to be asked for its own."""
    passed = {disk}
    while True:
        recorded = seen.present(plugin, disk)
        heir = recorded if recorded != disk else _tagged(cloud, disk)
        if heir is None or heir in passed:
            return disk
        passed.add(heir)
        disk = heir


def _tagged(cloud: Cloud, disk: DiskCid) -> DiskCid | None:
    if not isinstance(cloud, ShowsDiskTags):
        return None
    with contextlib.suppress(errors.DiskNotFound, errors.NotImplemented):
        heir = cloud.disk_tags(disk).get(_REPLACED_BY)
        return DiskCid(heir) if heir else None
    return None


def _in_hand(seen: Succession, instance: Instance, plugin: str) -> str:
    return next((hold.words(disk) for disk, hold in _holds(seen, instance, plugin)), "")


def _holds(seen: Succession, instance: Instance, plugin: str) -> Iterator[tuple[DiskCid, Hold]]:
    for named in instance.disks:
        disk = seen.present(plugin, named) if instance.follow_moves else named
        hold = seen.hold(plugin, disk)
        if hold is not None:
            yield disk, hold
