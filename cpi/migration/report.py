"""What a move of a disk tells: events while it goes on, a report at its end, an error if it did not get there."""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import TypeAlias

import msgspec

from cpi.contract import errors
from cpi.contract.encoding import to_json
from cpi.contract.ids import DiskCid, SnapshotCid, VmCid
from cpi.contract.units import MiB


class Strategy(Enum):
    """How the disk's data gets to the disk that is wished for."""

    NOTHING = "nothing"
    NATIVE_RESIZE = "native_resize"
    NATIVE_UPDATE = "native_update"
    ONLINE = "online"
    LIVE_COPY = "live_copy"
    COPY = "copy"
    BETWEEN_CLOUDS = "between_clouds"
    """To a new VM on another cloud, if a destination is given, and only then."""


class Verify(Enum):
    """What of the content is read from both disks with the jobs down."""

    CHANGES = "changes"
    """What changed since it was compared while they ran, or was in doubt."""

    FULL = "full"
    """Every byte."""


class EventKind(Enum):
    """What an event tells of."""

    PLANNED = "planned"
    BEGUN = "begun"
    PROGRESS = "progress"
    DONE = "done"
    FAILED = "failed"
    FELL_BACK = "fell back"
    UNDOING = "undoing"
    UNDONE = "undone"
    NOT_UNDONE = "not undone"


class Progress(msgspec.Struct, frozen=True):
    """How far a live copy is."""

    number: int
    """Which pass, from 1."""

    copied_bytes: int
    of_bytes: int
    rate: float
    """Bytes a second."""

    changed_bytes: int | None = None
    """What had changed since the pass before; None while the first one runs."""

    expected_down_seconds: float | None = None
    """How long copying what changed would keep the jobs down now, without stopping and starting them."""


class Pass(msgspec.Struct, frozen=True):
    """One pass of a live copy."""

    number: int
    seconds: float
    changed_bytes: int
    """The size of the files that it had to look at; the first pass looks at all of them."""

    files: int
    partial: bool = False
    """Whether something vanished or could not be read meanwhile: left to the next pass."""

    strange: int = 0
    """How many paths differed though they had not changed; they were copied again."""

    jobs_down: bool = False
    step: str = ""
    """Which step made it."""


class Event(msgspec.Struct, frozen=True):
    """Something that happened in a move."""

    kind: EventKind
    step: str
    """The step's name, empty for the move as a whole."""

    message: str
    seconds: float
    """Since the move began."""

    number: int = 0
    """Which step of the plan this is, from 1; 0 for none of them."""

    of: int = 0
    """How many steps the plan has."""

    progress: Progress | None = None


OnEvent: TypeAlias = Callable[[Event], None]


class StepTime(msgspec.Struct, frozen=True):
    """When a step ran."""

    name: str
    began: float
    """Since the move began, in seconds."""

    seconds: float
    undone: bool = False
    """Whether this was its undoing."""

    fault: str = ""
    """Why it failed; empty if it did not."""


class Report(msgspec.Struct, frozen=True):
    """A move that has ended."""

    move_id: str
    strategy: Strategy
    reason: str
    vm_cid: VmCid
    old_disk_cid: DiskCid
    disk_cid: DiskCid
    """The disk with the data and the jobs on it now."""

    size: MiB
    began_at: str
    """UTC, ISO 8601."""

    seconds: float
    jobs_down_seconds: float
    """From the first message that stops the jobs until they run again."""

    old_size: MiB | None = None
    """The old disk's, where it was told."""

    jobs_run: bool = True
    """Whether the jobs ran before and shall run again; if they were stopped before, they stay so."""

    planning_seconds: float = 0
    """How long it took to see what is true, and to choose the way."""

    data_bytes: int | None = None
    """What the data took on the disk, where the agent tells."""

    orphaned_at: str | None = None
    """Since when the old disk is kept without a VM; None if it is in use, or became the new one."""

    passes: tuple[Pass, ...] = ()
    """Of a live copy; the last one with the jobs down."""

    verified_bytes: int | None = None
    """What was read from both disks and compared while the jobs ran; what changed later was compared with the jobs down."""

    verified_files: int | None = None
    listed_paths: int | None = None
    """How many were listed on both disks with the jobs down, and agree in all but content."""

    expected_down_seconds: float | None = None
    """What the last pass was expected to take when the jobs were told to stop."""

    snapshot_cid: SnapshotCid | None = None
    new_vm_cid: VmCid | None = None
    """The VM on the other cloud, in a move between clouds: the disk and the jobs are there."""

    kept_until: str | None = None
    """How long the old VM and its disk are meant to be kept, as the way back."""

    notes: tuple[str, ...] = ()
    steps: tuple[StepTime, ...] = ()
    events: tuple[Event, ...] = ()

    def to_json(self) -> bytes:
        """The report as one JSON document."""
        return to_json(self)


class MoveRefused(errors.CpiError):
    """The move cannot be made, and nothing was changed."""


class MoveFailed(errors.CloudError):
    """The move did not get to its end; the message says what failed, what was undone and what is left to do."""

    def __init__(
        self, message: str, *, report: Report, swapped: bool, undone: Sequence[str] = (), left: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.report = report
        self.swapped = swapped
        """Whether the data lies on the new disk: report.disk_cid says which one the jobs belong to."""
        self.undone = tuple(undone)
        self.left = tuple(left)
        """What could not be undone, or not be finished."""
