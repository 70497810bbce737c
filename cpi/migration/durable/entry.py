"""A move as it is kept: plain values and the names of files, nothing secret."""

import msgspec

from cpi.agent.reaching import Reach, faults_of
from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import CloudProperties, Metadata
from cpi.contract.units import MiB
from cpi.migration.between.destination import Destination
from cpi.migration.plan import Order
from cpi.migration.report import Strategy, Verify
from cpi.migration.stopping import Limits


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which disk of which VM of which cloud, and what it shall become."""

    config: str
    """The path of the cloud's configuration, absolute: whoever takes the move up reads it there."""

    vm: VmCid
    disk: DiskCid
    size: MiB
    properties: CloudProperties = {}
    strategy: Strategy | None = None
    old_size: MiB | None = None
    old_properties: CloudProperties | None = None
    metadata: Metadata = {}
    start_jobs: bool | None = None
    snapshot: bool = False
    verify: Verify = Verify.CHANGES
    limits: Limits = Limits()
    """What a live copy may take."""

    agent: Reach = Reach()
    to: Destination | None = None
    """The other cloud, and the VM that is made there, if the disk leaves its cloud."""

    finish: bool = False
    """Whether an earlier try got past the point from which there is only forward."""

    def order(self, move_id: str) -> Order:
        """The wish, for the routine. A move that is tried anew (`ID.2`) is the same move: it finds what it has made."""
        return Order(
            move_id=move_id.partition(".")[0],
            vm_cid=self.vm,
            old_disk_cid=self.disk,
            size=self.size,
            cloud_properties=self.properties,
            strategy=self.strategy,
            old_size=self.old_size,
            old_cloud_properties=self.old_properties,
            metadata=self.metadata,
            start_jobs=self.start_jobs,
            snapshot=self.snapshot,
            verify=self.verify,
            limits=self.limits,
            to=self.to,
            finish=self.finish,
        )


def check(entry: Entry) -> list[str]:
    """What is wrong with it, that can be told before anybody is asked."""
    faults = faults_of(entry.agent)
    if entry.to is not None:
        faults += [f"to.{fault}" for fault in faults_of(entry.to.agent)]
        if not entry.to.config:
            faults.append("to.config: required")
    if entry.size <= 0:
        faults.append(f"size: invalid disk size {entry.size} MiB")
    limits = entry.limits
    if min(limits.bandwidth_kib, limits.down_seconds, limits.small_bytes, limits.shrinking) < 0 or limits.most_passes < 1:
        faults.append("limits: values must not be negative, and most_passes must be at least 1")
    return faults


def checked(entry: Entry) -> Entry:
    """The entry itself. Raises CpiError with every fault in it."""
    faults = check(entry)
    if faults:
        raise errors.CpiError("\n  ".join(["invalid move:", *faults]))
    return entry
