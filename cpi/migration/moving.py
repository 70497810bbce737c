"""What a step of a move is given, what it comes to know, and what a step is."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from cpi.contract.ids import DiskCid, SnapshotCid, VmCid
from cpi.migration.disks import Site
from cpi.migration.plan import Facts, Order
from cpi.migration.report import Pass


class State(msgspec.Struct, frozen=True):
    """What a move has come to know on its way."""

    disk_cid: DiskCid | None = None
    """The disk that will be, or is, in the old one's place; None until there is one."""

    new_vm_cid: VmCid | None = None
    """The VM on the other cloud, in a move between clouds."""

    orphaned_at: str | None = None
    kept_until: str | None = None
    snapshot_cid: SnapshotCid | None = None
    passes: tuple[Pass, ...] = ()
    verified_bytes: int | None = None
    verified_files: int | None = None
    listed_paths: int | None = None
    expected_down_seconds: float | None = None
    notes: tuple[str, ...] = ()


class Move(msgspec.Struct, frozen=True):
    """All that a step is given."""

    site: Site
    order: Order
    facts: Facts
    state: State = State()

    @property
    def disk_cid(self) -> DiskCid:
        """The disk that takes the old one's place: itself, if it was changed in place."""
        return self.state.disk_cid or self.order.old_disk_cid

    @property
    def tags(self) -> Mapping[str, Any]:
        """What the move's disk is tagged with."""
        return {**self.order.metadata, "move_id": self.order.move_id}

    @property
    def jobs_shall_run(self) -> bool:
        """Whether the jobs are started once the store is there."""
        return self.facts.jobs_run if self.order.start_jobs is None else self.order.start_jobs


class Step(msgspec.Struct, frozen=True):
    """One step, and how it is undone."""

    what: str
    """For people."""

    do: Callable[[Move], State]
    undo: Callable[[Move], None] | None = None
    undoing: str = ""
