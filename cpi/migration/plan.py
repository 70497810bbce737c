"""Which way a move goes, and by which steps. Pure: from what is known to what is to be done, without asking anybody."""

from typing import Final

import msgspec

from cpi.contract.capability import Capability
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import CloudProperties, Metadata
from cpi.contract.units import MiB, bytes_from_mib, mib_from_bytes
from cpi.migration.between.destination import Destination
from cpi.migration.extent import MBR_LABEL
from cpi.migration.foretelling import Sample, expected_down_seconds
from cpi.migration.guest import REPAIR
from cpi.migration.report import MoveRefused, Strategy, Verify
from cpi.migration.stopping import Limits

Steps = tuple[str, ...]

# mke2fs counts a filesystem below this as small, and gives it more inodes.
_SMALL_EXT: Final = 512


class Order(msgspec.Struct, frozen=True):
    """What is wished for, as plain values: it can be stored, and carried out by another process."""

    move_id: str
    vm_cid: VmCid
    old_disk_cid: DiskCid
    size: MiB
    cloud_properties: CloudProperties = {}
    strategy: Strategy | None = None
    """The one to take; None lets the plan choose."""

    old_size: MiB | None = None
    old_cloud_properties: CloudProperties | None = None
    """The director's record of the old disk; no cloud can be asked for either."""

    metadata: Metadata = {}
    """What the new disk is tagged with, beside the move itself."""

    verify: Verify = Verify.CHANGES
    """What is compared with the jobs down."""

    snapshot: bool = False
    """Whether the cloud takes a snapshot of the old disk first; it is kept."""

    limits: Limits = Limits()
    """What a live copy may take."""

    start_jobs: bool | None = None
    """Whether the jobs shall run afterwards; None: if they were not stopped before."""

    to: Destination | None = None
    """Where the disk goes, if it leaves its cloud."""

    finish: bool = False
    """Whether an earlier try is known to have got past the point from which there is only forward."""

    @property
    def token(self) -> str:
        """What makes create_disk answer this move's disk instead of making a second one."""
        return f"move-{self.move_id}"


class Facts(msgspec.Struct, frozen=True):
    """What was true when the move began."""

    capabilities: frozenset[Capability]
    mounted: tuple[DiskCid, ...]
    """What the agent has mounted."""

    jobs_run: bool
    new_disk_cid: DiskCid | None = None
    """The disk that an earlier try of the same move has made and mounted."""

    used_bytes_at_least: int | None = None
    """What the data takes on the old disk, never too much; None if it cannot be measured."""

    used_inodes: int | None = None
    """How many inodes the data takes, where the guest was asked."""

    filesystem: str = ""
    filesystem_faults: str = ""
    """What it knows to be wrong with itself; empty if nothing, or if it was not asked."""

    sample: Sample | None = None
    """What the store is like, where it was looked at to choose between the two ways of copying."""

    no_live_copy: str = "no shell in the guest was provided"
    """Why the guest cannot copy its disk while the jobs run; empty if it can."""

    moved: bool = False
    """Whether the guest says that its jobs run on another cloud since this move."""

    grows_attached: bool = False
    changes_attached: bool = False
    """Whether the cloud can do so to a disk that a VM uses."""

    no_growth: str = "no shell in the guest was provided"
    """Why the guest cannot use what its disk gains while it is mounted; empty if it can."""


class Plan(msgspec.Struct, frozen=True):
    """The steps of a move. Until the last of `before` has ended all can be undone; then there is only forward."""

    strategy: Strategy
    reason: str
    before: Steps = ()
    after: Steps = ()
    fallback: "Plan | None" = None
    """What follows when the cloud refuses a native step, or a live copy turns out not to be worth it."""

    @property
    def steps(self) -> Steps:
        """All of them, in order."""
        return self.before + self.after


_STEPS: Final[dict[Strategy, tuple[Steps, Steps]]] = {
    Strategy.NOTHING: ((), ()),
    Strategy.NATIVE_RESIZE: (("stop_jobs", "detach_old_disk", "resize_disk"), ("attach_disk", "start_jobs")),
    Strategy.NATIVE_UPDATE: (("stop_jobs", "detach_old_disk", "update_disk"), ("attach_disk", "start_jobs")),
    Strategy.ONLINE: (("grow_attached_disk",), ("grow_in_guest",)),
    Strategy.LIVE_COPY: (
        (
            "attach_old_disk",
            "create_disk",
            "attach_beside",
            "copy_live",
            "verify_live",
            "stop_jobs",
            "copy_last",
            "verify_last",
            "swap_disks",
        ),
        # a cloud may take a minute to detach a disk: the jobs do not wait for it
        ("start_jobs", "remove_old_disk", "orphan_old_disk"),
    ),
    Strategy.BETWEEN_CLOUDS: (
        (
            "attach_old_disk",
            "create_vm_there",
            "wait_for_vm_there",
            "create_disk_there",
            "attach_there",
            "copy_across",
            "verify_across",
            "apply_there",
            "stop_jobs",
            "copy_last_across",
            "verify_last_across",
        ),
        ("start_jobs_there", "release_old_disk", "leave_guests", "tag_disks"),
    ),
    Strategy.COPY: (
        ("stop_jobs", "attach_old_disk", "create_disk", "attach_new_disk", "copy_data"),
        ("remove_old_disk", "orphan_old_disk", "start_jobs"),
    ),
}
# The jobs are stopped already when a native step is refused.
_COPY_INSTEAD: Final[Steps] = _STEPS[Strategy.COPY][0][1:]
# The new disk is attached already; that it is made sure of once more has it taken away before the jobs are started again.
_COPY_AFTER_ALL: Final[Steps] = ("empty_new_disk", "stop_jobs", "attach_new_disk", "copy_data")

# An earlier try got as far as the swap: the new disk may be mounted beside the store, or the jobs may run on it.
_FINISH: Final[Steps] = ("stop_jobs", "mount_new_disk", *_STEPS[Strategy.COPY][1])

_FINISH_THERE: Final[Steps] = (
    "stop_jobs",
    "create_vm_there",
    "create_disk_there",
    *_STEPS[Strategy.BETWEEN_CLOUDS][1],
)

_NEEDS: Final = {Strategy.NATIVE_RESIZE: Capability.RESIZE_DISK, Strategy.NATIVE_UPDATE: Capability.UPDATE_DISK}


def plan(order: Order, facts: Facts) -> Plan:
    """The way to go. Raises MoveRefused, saying why, for a move that cannot be made."""
    _check_size(order)
    if order.to is not None and (order.finish or facts.moved):
        return Plan(Strategy.BETWEEN_CLOUDS, "an earlier attempt of this move got to the other cloud", after=_FINISH_THERE)
    _check_mounted(order, facts)
    if facts.new_disk_cid is not None and order.old_disk_cid not in facts.mounted:
        return Plan(Strategy.COPY, "an earlier attempt of this move has swapped the disks", after=_FINISH)
    strategy, reason = (order.strategy, "asked for") if order.strategy else _chosen(order, facts)
    _check_forced(order, facts, strategy)
    if facts.filesystem_faults and strategy is not Strategy.NOTHING:
        raise MoveRefused(
            f"the filesystem on {order.old_disk_cid} has recorded errors ({facts.filesystem_faults}): its data may not be what"
            f" was written; what to do: {REPAIR}, then move it"
        )
    if strategy in {Strategy.COPY, Strategy.LIVE_COPY, Strategy.BETWEEN_CLOUDS}:
        _check_data_fits(order, facts)
    before, after = _STEPS[strategy]
    if order.snapshot and strategy is not Strategy.NOTHING:
        before = ("snapshot_disk", *before)
    return Plan(strategy, reason, before, after, fallback=_fallback(strategy, order, facts))


def _chosen(order: Order, facts: Facts) -> tuple[Strategy, str]:
    if order.to is not None:
        return Strategy.BETWEEN_CLOUDS, f"to another cloud{f' ({order.to.name})' if order.to.name else ''}"
    strategy, reason = _without_copying(order, facts)
    if strategy is not None:
        return strategy, reason
    if not facts.no_live_copy:
        return _quicker(facts, reason)
    return Strategy.COPY, f"{reason}; not while the jobs run: {facts.no_live_copy}"


def _quicker(facts: Facts, reason: str) -> tuple[Strategy, str]:
    live, copy = (expected_down_seconds(strategy, facts.sample) for strategy in (Strategy.LIVE_COPY, Strategy.COPY))
    if live is None or copy is None:
        return Strategy.LIVE_COPY, f"{reason}; the guest can copy it while the jobs run"
    if live > copy:
        told = f"the constant changes would keep the jobs down for {live:.0f} s, a plain copy for {copy:.0f} s"
        return Strategy.COPY, f"{reason}; not while the jobs run: {told}"
    told = f"jobs down for about {live:.1f} s by forecast, by a plain copy {copy:.0f} s"
    return Strategy.LIVE_COPY, f"{reason}; the guest can copy it while the jobs run: {told}"


def has_to_choose(order: Order, facts: Facts) -> bool:
    """Whether the choice is between the two ways of copying, so that the store has to be looked at."""
    if order.to is not None:
        return False
    return order.strategy is None and not facts.no_live_copy and _without_copying(order, facts)[0] is None


def _without_copying(order: Order, facts: Facts) -> tuple[Strategy | None, str]:
    if order.old_size is None or order.old_cloud_properties is None:
        return None, "the old disk's size and properties are not known, so nothing simpler is certain to fit"
    same_kind = order.old_cloud_properties == order.cloud_properties
    if same_kind and order.old_size == order.size:
        return Strategy.NOTHING, "the disk has this size and these properties"
    if order.size < order.old_size:
        return None, f"smaller, from {order.old_size} to {order.size} MiB: no cloud shrinks a disk"
    return _in_place(order, facts, same_kind=same_kind)


def _in_place(order: Order, facts: Facts, *, same_kind: bool) -> tuple[Strategy | None, str]:
    wish, offline = _difference(order, same_kind=same_kind), no_online(order, facts)
    if not offline:
        return Strategy.ONLINE, f"{wish}, which the cloud and the guest do while the jobs run"
    if offline == MBR_LABEL:
        return None, f"{wish}; {offline}, and that of a new disk does not"
    if same_kind and Capability.RESIZE_DISK in facts.capabilities:
        return Strategy.NATIVE_RESIZE, f"{wish}, and the cloud can resize"
    if Capability.UPDATE_DISK in facts.capabilities:
        return Strategy.NATIVE_UPDATE, f"{wish}, and the cloud can update a disk"
    return None, f"{wish}, and the cloud cannot change a disk in this way"


def no_online(order: Order, facts: Facts) -> str:
    """Why the disk cannot be grown, or changed, while it is in use; empty if it can."""
    if order.old_cloud_properties is None or order.old_cloud_properties == order.cloud_properties:
        able, wish = facts.grows_attached, "grow"
    else:
        able, wish = facts.changes_attached, "change"
    return facts.no_growth if able else f"the cloud cannot {wish} a disk that is attached"


def _difference(order: Order, *, same_kind: bool) -> str:
    if same_kind:
        return f"only larger, from {order.old_size} to {order.size} MiB"
    return "other properties" if order.size == order.old_size else f"other properties and {order.size} MiB"


def _fallback(strategy: Strategy, order: Order, facts: Facts) -> Plan | None:
    if strategy is Strategy.ONLINE:
        return None if order.strategy else _instead_of_growing(order, facts)
    if strategy is Strategy.LIVE_COPY and order.strategy is None:
        reason = "a live copy was tried, and would have kept the jobs down for longer"
        return Plan(Strategy.COPY, reason, _COPY_AFTER_ALL, _STEPS[Strategy.COPY][1])
    if strategy not in _NEEDS:
        return None
    reason = f"the cloud refused to {_NEEDS[strategy].value.replace('_disk', '')} the disk"
    return Plan(Strategy.COPY, reason, _COPY_INSTEAD, _STEPS[Strategy.COPY][1])


def _instead_of_growing(order: Order, facts: Facts) -> Plan | None:
    """What the cloud refuses for a disk in use, it would refuse with the jobs down as well: where they can run on, they do."""
    natives = frozenset() if not facts.no_live_copy else facts.capabilities & {Capability.RESIZE_DISK, Capability.UPDATE_DISK}
    others = facts.capabilities - {Capability.RESIZE_DISK, Capability.UPDATE_DISK}
    less = msgspec.structs.replace(facts, grows_attached=False, changes_attached=False, capabilities=others | natives)
    try:
        return plan(msgspec.structs.replace(order, snapshot=False), less)
    except MoveRefused:
        return None


def _check_size(order: Order) -> None:
    if order.size <= 0:
        raise MoveRefused(f"invalid disk size: {order.size} MiB")


def _check_mounted(order: Order, facts: Facts) -> None:
    strangers = [cid for cid in facts.mounted if cid not in {order.old_disk_cid, facts.new_disk_cid}]
    if strangers and order.old_disk_cid not in facts.mounted and facts.new_disk_cid is None:
        raise MoveRefused(f"the agent of {order.vm_cid} has {', '.join(strangers)} mounted, and not {order.old_disk_cid}")
    if strangers:
        raise MoveRefused(
            f"the agent of {order.vm_cid} has {', '.join(strangers)} mounted, not only {order.old_disk_cid}:"
            " find out which disk holds the data, and unmount and detach the other"
        )


def _check_forced(order: Order, facts: Facts, strategy: Strategy) -> None:
    needed = _NEEDS.get(strategy)
    _check_between(order, facts, strategy)
    if strategy is Strategy.LIVE_COPY and facts.no_live_copy:
        raise MoveRefused(f"live_copy was requested, but it is not possible: {facts.no_live_copy}")
    if order.verify is Verify.FULL and facts.no_live_copy and strategy in {Strategy.COPY, Strategy.LIVE_COPY}:
        raise MoveRefused(f"a full comparison was requested, but it is not possible: {facts.no_live_copy}")
    if order.snapshot and Capability.SNAPSHOTS not in facts.capabilities:
        raise MoveRefused("a snapshot was requested, but the cloud does not support snapshots")
    if needed is not None and needed not in facts.capabilities:
        raise MoveRefused(f"{strategy.value} was requested, but the cloud does not support {needed.value}")
    if strategy is Strategy.ONLINE and no_online(order, facts):
        raise MoveRefused(f"online was requested, but it is not possible: {no_online(order, facts)}")
    smaller = order.old_size is not None and order.size < order.old_size
    if strategy is Strategy.ONLINE and smaller:
        raise MoveRefused(f"online was requested, but no cloud shrinks a disk: from {order.old_size} to {order.size} MiB")
    if needed is not None and smaller:
        raise MoveRefused(
            f"{strategy.value} was requested, but no cloud shrinks a disk: from {order.old_size} to {order.size} MiB"
        )
    different = order.old_cloud_properties is not None and order.old_cloud_properties != order.cloud_properties
    if strategy is Strategy.NATIVE_RESIZE and different:
        raise MoveRefused("native_resize was requested, but it cannot change the disk's properties")
    if strategy is Strategy.NOTHING and (order.old_size not in {None, order.size} or different):
        raise MoveRefused("nothing was requested, but the disk differs from the requested one")


def _check_between(order: Order, facts: Facts, strategy: Strategy) -> None:
    if (order.to is not None) != (strategy is Strategy.BETWEEN_CLOUDS):
        raise MoveRefused(f"{strategy.value} was requested, but {'the disk leaves its cloud' if order.to else 'no other cloud'}")
    if order.to is None:
        return
    if facts.no_live_copy:
        raise MoveRefused(f"a disk can only leave its cloud while its guest copies it: {facts.no_live_copy}")
    if order.to.spec is None and order.start_jobs is not False and facts.jobs_run:
        raise MoveRefused("the new VM's instance has no spec, so its jobs could not be started there")


def _check_data_fits(order: Order, facts: Facts) -> None:
    used = facts.used_bytes_at_least
    if used is not None and used > bytes_from_mib(order.size):
        raise MoveRefused(
            f"the data does not fit: at least {mib_from_bytes(used)} MiB are used on {order.old_disk_cid},"
            f" and the new disk would have {order.size} MiB"
        )
    inodes = most_inodes(facts.filesystem, order.size)
    if facts.used_inodes is not None and inodes is not None and facts.used_inodes > inodes:
        raise MoveRefused(
            f"the data does not fit: {facts.used_inodes} inodes are used on {order.old_disk_cid},"
            f" and a new disk of {order.size} MiB would have {inodes}"
        )


def most_inodes(filesystem: str, size: MiB) -> int | None:
    """What mkfs makes by default on a disk of this size, never too few; None where they are made as they are needed."""
    if filesystem != "ext":
        return None
    smallest_ratio = 4096 if size < _SMALL_EXT else 16384
    # rounded up to whole groups of blocks
    return int(bytes_from_mib(size) / smallest_ratio * 1.05) + 1024
