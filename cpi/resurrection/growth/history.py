"""What has become of disks: the growths that a database knows. Pure."""

from collections.abc import Iterable

import msgspec

from cpi.contract.encoding import from_plain
from cpi.contract.ids import DiskCid
from cpi.durable.succession import disk_lock
from cpi.durable.works import Row
from cpi.resurrection.growth.deciding import Past
from cpi.resurrection.growth.report import GrowthOrder, GrowthReport, GrowthStanding


class Growth(msgspec.Struct, frozen=True):
    """One try to grow a disk."""

    work_id: str
    order: GrowthOrder
    is_open: bool
    report: GrowthReport | None
    """None while it is open."""


class Growths:
    """All that a database knows."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.unreadable: dict[str, str] = {}
        self._all: list[Growth] = []
        for row in rows:
            try:
                self._all.append(_growth(row))
            except msgspec.ValidationError as error:
                self.unreadable[row.work_id] = str(error)

    def under_way(self, group: str) -> tuple[Growth, ...]:
        """Those of a group that are not over."""
        return tuple(one for one in self._all if one.is_open and one.order.group == group)

    def all(self) -> tuple[Growth, ...]:
        """Every one."""
        return tuple(self._all)

    def heirs(self) -> dict[str, DiskCid]:
        """The disks that took the place of others, by the names of these ones' locks."""
        ended = ((one.order, one.report) for one in self._all if one.report is not None)
        return {disk_lock(order.plugin, order.disk): report.disk for order, report in ended if report.disk != order.disk}

    def past(self, plugin: str, disk: DiskCid) -> Past:
        """What was done for a disk, and for those whose data it has."""
        own, ancestors = list[Growth](), {disk}
        for one in reversed(self._all):
            if one.order.plugin == plugin and (one.order.disk in ancestors or (one.report and one.report.disk in ancestors)):
                own.append(one)
                ancestors.add(one.order.disk)
        over = [(one, one.report) for one in reversed(own) if one.report is not None]
        grown = [report for _, report in over if report.standing is GrowthStanding.GROWN]
        since = grown[-1].ended if grown else 0.0
        failed = [report for _, report in over if report.standing is GrowthStanding.FAILED and report.ended > since]
        half = [report.size for report in failed if report.is_unfinished]
        return Past(
            grown_at=tuple(report.ended for report in grown),
            failed_at=tuple(report.ended for report in failed),
            why_failed=failed[-1].message if failed else "",
            unfinished=half[-1] if half else None,
            ended=over[-1][1].ended if over else 0.0,
            tries=len([one for one in own if one.order.disk == disk]),
        )


def _growth(row: Row) -> Growth:
    order = from_plain(row.argument, GrowthOrder)
    report = from_plain(row.answer, GrowthReport) if row.answer is not None else None
    if report is None and not row.is_open:
        said = row.fault or "ended by hand, in the database"
        report = GrowthReport(GrowthStanding.FAILED, row.created, order.disk, said)
    return Growth(row.work_id, order, row.is_open, report)
