"""The disk move: the same data on a disk of another size or kind, the jobs stopped meanwhile.

from cpi.migration import migrate_disk

report = migrate_disk(cloud, agent, vm_cid, disk_cid, cpi.MiB(20480), {}, on_event=print)
"""

from cpi.migration.between.calling import move_between_clouds
from cpi.migration.between.destination import Destination, Way
from cpi.migration.report import Event, EventKind, MoveFailed, MoveRefused, Report, StepTime, Strategy
from cpi.migration.routine import migrate_disk

__all__ = [
    "Destination",
    "Event",
    "EventKind",
    "MoveFailed",
    "MoveRefused",
    "Report",
    "StepTime",
    "Strategy",
    "Way",
    "migrate_disk",
    "move_between_clouds",
]
