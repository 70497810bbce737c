"""The disk move: the same data on a disk of another size or kind, the jobs stopped meanwhile.

from cpi.migration import migrate_disk

report = migrate_disk(cloud, agent, vm_cid, disk_cid, cpi.MiB(20480), {}, on_event=print)
"""

from cpi.migration.report import Event, EventKind, MoveFailed, MoveRefused, Report, StepTime, Strategy
from cpi.migration.routine import migrate_disk

__all__ = [
    "Event",
    "EventKind",
    "MoveFailed",
    "MoveRefused",
    "Report",
    "StepTime",
    "Strategy",
    "migrate_disk",
]
