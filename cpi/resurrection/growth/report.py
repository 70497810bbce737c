"""What is reported of a growth."""

from enum import Enum

import msgspec

from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import CloudProperties
from cpi.contract.units import MiB


class GrowthStanding(Enum):
    """How a growth ended."""

    GROWN = "grown"
    NOT_NEEDED = "not needed"
    """There was room when it was looked at: nothing was done."""

    FAILED = "failed"


class GrowthOrder(msgspec.Struct, frozen=True):
    """Which disk is to grow, as it is kept: nothing secret."""

    file: str
    """The instances file, absolute: a process that takes the work up reads it there."""

    name: str
    group: str
    plugin: str
    vm: VmCid
    disk: DiskCid
    size: MiB
    """What it grows to."""

    reason: str
    agent_id: str | None = None
    is_unfinished: bool = False
    """Whether the cloud has grown it before, and the guest has not."""

    known_fault: str = ""
    """Why it could not grow before: that was reported."""

    or_copy: bool = False
    properties: CloudProperties = {}


class GrowthReport(msgspec.Struct, frozen=True):
    """How a growth ended, as it is kept."""

    standing: GrowthStanding
    ended: float
    """Seconds since 1970."""

    disk: DiskCid
    """The one with the data now."""

    message: str = ""
    old_size: MiB | None = None
    size: MiB | None = None
    strategy: str = ""
    jobs_down_seconds: float = 0.0
    is_unfinished: bool = False
    """Whether the cloud has grown the disk, and the guest cannot use all of it."""
