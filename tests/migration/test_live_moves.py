"""Disks copied while a real job writes to them."""

from collections.abc import Callable

from cpi.migration import Strategy
from tests.migration.place import Place

Make = Callable[[int, int], Place]


def test_a_disk_is_copied_while_the_job_runs(place: Make) -> None:
    """Every acknowledged row is on the new disk, which was compared with the old one; the job was down for a part of the time."""
    there = place(128, 32)
    old = there.disk_cid
    report = there.move(192, shell=there.shell())
    there.assert_well()
    assert report.strategy is Strategy.LIVE_COPY
    assert there.disks() == {old, report.disk_cid}
