"""When the monitor has disks grow, and when it does not."""

import time

from cpi.contract.encoding import to_plain
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.units import MiB
from cpi.durable.succession import Hold, Succession, disk_lock
from cpi.durable.works import Row
from cpi.resurrection.alert import Kind
from cpi.resurrection.growth.policy import Policy
from cpi.resurrection.growth.report import GrowthOrder, GrowthReport, GrowthStanding
from cpi.resurrection.report import Report, Standing
from cpi.resurrection.rules import Group
from tests.unit.resurrection.place import Place

_GROWS = Group(grow=Policy(up_to="100G"), at_once=5)


def _fill(place: Place, *numbers: int, percent: int = 90) -> None:
    """Their agents tell it now; how large their disks are is known."""
    for number in numbers:
        target = place.pulse.targets[f"db/{number}"]
        target.vitals, target.heard_at = {"disk": {"persistent": {"percent": str(percent)}}}, time.time()
        place.monitor._keeper._of(target.instance, "local").size = MiB(10240)


def test_one_disk_of_a_group_grows_at_a_time(place: Place) -> None:
    """The next one when that is over; how full they are is shown."""
    place.watch(3, _GROWS)
    _fill(place, 1, 2)
    place.tick()
    (order,) = place.runner.growing
    assert (order.name, order.disk, order.size) == ("db/1", "disk-1", 13 * 1024)
    assert place.told() == [Kind.FILLING]
    views = place.monitor.views()
    assert [view.fill.what for view in views if view.fill] == [
        "grows",
        "waits until another disk of its group has grown",
    ]
    grown = GrowthReport(GrowthStanding.GROWN, time.time(), order.disk, size=order.size)
    place.runner.grown[0] = Row("g", to_plain(order), "me", 0.0, is_open=False, answer=to_plain(grown), fault="")
    place.now += 5
    place.tick()
    assert [order.name for order in place.runner.growing] == ["db/1", "db/2"]


def test_no_disk_grows_during_a_meltdown_a_recreation_of_its_group_or_a_move(place: Place) -> None:
    """Each is told beside the disk."""
    place.watch(20, _GROWS)
    _fill(place, 19)
    place.silence(*range(6))
    place.tick()
    assert place.monitor.is_meltdown
    place.silence(*range(6), seconds=0)
    place.now += 601
    lock = disk_lock("local", "disk-19")
    place.runner.moved = Succession({}, {lock: Hold("move-1")})
    place.tick()
    assert not place.monitor.is_meltdown
    view = place.monitor.views()[19]
    assert view.fill is not None
    assert "move move-1 is using its disk" in view.fill.what
    place.silence(0)
    place.tick()
    assert place.ordered() == ["db/0"]
    place.runner.moved = Succession()
    place.tick()
    assert place.runner.growing == []
    place.runner.end(Report(Standing.RECREATED, 0.0, VmCid("vm-new"), "a"))
    place.now += 5
    place.tick()
    assert [order.name for order in place.runner.growing] == ["db/19"]


def test_who_dies_while_its_disk_grows_is_recreated_when_that_has_ended(place: Place) -> None:
    """The cloud has the disk in hand."""
    place.watch(1, _GROWS)
    _fill(place, 0)
    place.tick()
    place.silence(0)
    place.tick()
    assert (place.ordered(), place.told()) == ([], [Kind.FILLING, Kind.HELD])
    assert "its disk is being grown" in place.alerts[-1].message
    (order,) = place.runner.growing
    failed = GrowthReport(GrowthStanding.FAILED, time.time(), order.disk, "the VM is gone")
    place.runner.grown[0] = Row("g", to_plain(order), "me", 0.0, is_open=False, answer=to_plain(failed), fault="")
    place.now += 5
    place.tick()
    assert place.ordered() == ["db/0"]


def test_a_disk_that_another_monitor_has_begun_to_grow_is_left_to_it(place: Place) -> None:
    """Though that was not read yet."""
    place.watch(1, _GROWS)
    place.tick()
    _fill(place, 0)
    order = GrowthOrder("/f.yml", "db/0", "db", "local", VmCid("vm-0"), DiskCid("disk-0"), MiB(12800), "90 % used")
    place.runner.grown.append(Row("g", to_plain(order), "other", 0.0, is_open=True, answer=None, fault=""))
    place.tick()
    assert (place.runner.growing, place.told()) == ([], [])
