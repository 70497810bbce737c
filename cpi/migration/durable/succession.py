"""What the moves of a database tell about their disks: which one replaced which, and which are in hand. Pure."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cpi.durable.succession import Hold, Succession
from cpi.migration.durable.records import MoveRecord, Standing

if TYPE_CHECKING:
    from cpi.contract.ids import DiskCid


def succession_of(records: Iterable[MoveRecord]) -> Succession:
    """From the moves in the order of their making: of two that replaced one disk, the later one is believed."""
    heirs: dict[str, DiskCid] = {}
    holds: dict[str, Hold] = {}
    for record in records:
        if record.claims is None:
            continue
        outcome = record.outcome
        if outcome is None:
            holds[record.claims] = Hold(record.move_id, is_left=record.standing is Standing.LEFT)
        elif outcome.swapped and record.entry.to is not None:
            # what is there now is another cloud's: nothing here is to take its place
            holds[record.claims] = Hold(record.move_id, gone_to=record.entry.to.config)
        elif outcome.swapped and outcome.report is not None and outcome.report.disk_cid != outcome.report.old_disk_cid:
            heirs[record.claims] = outcome.report.disk_cid
    return Succession(heirs, holds)
