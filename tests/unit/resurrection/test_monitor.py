"""What the monitor decides, with a clock, silences and a database of the test's own."""

import time

import pytest

from cpi.contract import errors
from cpi.contract.encoding import to_plain
from cpi.contract.ids import DiskCid, VmCid
from cpi.durable.succession import Hold, Succession, disk_lock
from cpi.durable.works import Row
from cpi.resurrection.alert import Kind
from cpi.resurrection.report import Order, Report, Standing, Verdict
from cpi.resurrection.rules import Backoff, Group, Rules
from tests.unit.resurrection.place import Place


@pytest.mark.parametrize(("has", "verdict"), [(True, Verdict.UNRESPONSIVE), (False, Verdict.MISSING)])
def test_who_is_silent_too_long_is_judged_and_recreated_once(place: Place, has: bool, verdict: Verdict) -> None:  # noqa: FBT001 - a parameter of the test
    """Not before its time, and not again while that is under way."""
    place.watch(3)
    place.clouds.has = has
    place.silence(1, seconds=59)
    place.tick()
    assert (place.ordered(), place.alerts) == ([], [])
    place.silence(1)
    place.tick(6)
    (order,) = place.runner.orders
    assert (order.name, order.vm, order.verdict) == ("db/1", "vm-1", verdict)
    assert place.told() == [Kind.DOWN]
    place.runner.end(Report(Standing.RECREATED, 0.0, VmCid("vm-9"), "a"))
    place.tick()
    assert place.monitor.views()[1].vm == "vm-9"
    assert place.monitor.views()[1].condition == "well"
    assert place.ordered() == ["db/1"]


def test_a_cloud_without_has_vm_means_that_the_agent_is_unresponsive(place: Place) -> None:
    """As a director takes it."""
    place.watch(1)
    place.clouds.has = errors.NotImplemented("no has_vm")
    place.silence(0)
    place.tick()
    assert [order.verdict for order in place.runner.orders] == [Verdict.UNRESPONSIVE]


def test_nothing_is_done_while_it_is_not_known_whether_the_vm_is_there(place: Place) -> None:
    """It is told once, and asked again."""
    place.watch(1)
    place.clouds.has = errors.CloudError("the API is down")
    place.silence(0)
    place.tick(6)
    assert (place.ordered(), place.told()) == ([], [Kind.HELD])
    assert "the API is down" in place.alerts[0].message
    place.clouds.has = False
    place.tick()
    assert place.ordered() == ["db/0"]


@pytest.mark.parametrize("group", [Group(resurrect=False), Group(stateful=False)])
def test_a_group_can_be_switched_off_whole_or_for_those_with_disks(place: Place, group: Group) -> None:
    """Then there are alerts only: one when it is down, one when it is back."""
    place.watch(2, group)
    place.silence(0)
    place.tick(6)
    assert (place.ordered(), place.told()) == ([], [Kind.HELD])
    place.silence(0, seconds=1)
    place.tick()
    assert place.told() == [Kind.HELD, Kind.BACK]


def test_those_without_disks_are_recreated_where_stateful_ones_are_not(place: Place) -> None:
    """The switch is about disks."""
    place.watch(1, Group(stateful=False), disks=False)
    place.silence(0)
    place.tick()
    assert place.ordered() == ["db/0"]


@pytest.mark.parametrize("at_once", [1, 2])
def test_so_many_of_a_group_are_recreated_at_the_same_time(place: Place, at_once: int) -> None:
    """The next one begins when one has ended; waiting is no alert."""
    place.watch(40, Group(at_once=at_once))
    place.silence(1, 2, 3)
    place.tick(6)
    assert len(place.ordered()) == at_once
    place.runner.end(Report(Standing.RECREATED, 0.0, VmCid("vm-new"), "a"))
    place.tick(6)
    assert len(place.ordered()) == at_once + 1
    assert set(place.told()) == {Kind.DOWN}


def test_a_meltdown_is_one_alert_and_no_recreation(place: Place) -> None:
    """Also for the first of them, though the others are not silent long enough yet."""
    place.watch(20)
    place.silence(*range(5), seconds=40)
    place.silence(5)
    place.tick(6)
    place.silence(*range(6))
    place.tick(6)
    assert (place.ordered(), place.told()) == ([], [Kind.MELTDOWN])
    assert place.alerts[0].down == tuple(f"db/{number}" for number in range(6))
    assert place.monitor.is_meltdown
    place.silence(*range(6), seconds=0)
    place.now += 601
    place.tick()
    assert place.told() == [Kind.MELTDOWN, Kind.OVER]


def test_what_keeps_dying_is_left_alone_for_a_while(place: Place) -> None:
    """It failed just now, so the next try waits; a try that is long ago does not count."""
    place.watch(1, rules=Rules(backoff=Backoff(first=500, longest=500, forget=1000)))
    place.silence(0)
    place.tick()
    place.runner.end(Report(Standing.FAILED, time.time(), message="no", failed_step="create_vm"))
    place.tick()
    place.silence(0)
    place.tick(6)
    assert (place.ordered(), place.told()) == (["db/0"], [Kind.DOWN, Kind.HELD])
    assert "tried 1 times recently" in place.alerts[1].message
    place.runner.rows[0] = Row(
        "vm-0-1", place.runner.rows[0].argument, "me", 0.0, is_open=False, fault="",
        answer=to_plain(Report(Standing.FAILED, time.time() - 501, message="no", failed_step="create_vm")),
    )  # fmt: skip
    place.now += 5
    place.tick()
    assert place.ordered() == ["db/0", "db/0"]


def test_a_try_that_failed_is_gone_on_with_though_the_agent_answers(place: Place) -> None:
    """Its jobs do not run yet."""
    place.watch(1, rules=Rules(backoff=Backoff(first=0.001)))
    place.silence(0)
    place.tick()
    place.runner.end(Report(Standing.FAILED, 1.0, VmCid("vm-2"), "a", message="no", failed_step="mount_disks"))
    place.silence(0, seconds=0)
    place.tick()
    assert [order.vm for order in place.runner.orders] == ["vm-0", "vm-0"]
    assert place.runner.orders[1].verdict is Verdict.MISSING  # nobody asks the agent, which would answer
    assert place.runner.orders[1].down_since == place.runner.orders[0].down_since


def test_a_lost_bus_is_no_death(place: Place) -> None:
    """It is told once; when it is there again, everybody has all his time."""
    place.watch(3)
    place.pulse.deaf = True
    place.silence(0, 1, 2)
    place.tick(6)
    assert (place.ordered(), place.told()) == ([], [Kind.BUS_LOST])
    place.pulse.deaf = False
    place.tick()
    assert (place.ordered(), place.pulse.silences["db/0"]) == ([], 0)
    assert place.told() == [Kind.BUS_LOST, Kind.BUS_FOUND]


def test_who_slept_calls_nobody_silent(place: Place) -> None:
    """The monitor was stopped for a while: what it did not hear may have been said."""
    place.watch(1)
    place.tick()
    place.silence(0)
    place.now += 100
    place.monitor.tick()
    place.tick()
    assert (place.ordered(), place.alerts) == ([], [])


def test_what_another_monitor_recreates_is_left_to_it(place: Place) -> None:
    """It is shown as under way, by whom."""
    place.watch(2)
    order = Order(file="/f.yml", name="db/0", vm=VmCid("vm-0"), plugin="local", verdict=Verdict.MISSING)
    place.runner.rows.append(Row("local-vm-0-1", to_plain(order), "other", 0.0, is_open=True, answer=None, fault=""))
    place.silence(0)
    place.tick(6)
    assert place.ordered() == []
    place.now += 5
    place.tick()
    assert place.monitor.views()[0].condition == "under way"


def test_what_others_do_in_the_group_counts_at_once(place: Place) -> None:
    """Though it was not read yet; and while another decides about the group, nobody else does."""
    place.watch(2)
    order = Order(file="/f.yml", name="db/0", group="db", vm=VmCid("vm-0"), plugin="local", verdict=Verdict.MISSING)
    place.silence(1)
    place.runner.others = True
    place.tick(2)
    place.runner.others = False
    place.runner.rows.append(Row("local-vm-0-1", to_plain(order), "other", 0.0, is_open=True, answer=None, fault=""))
    place.tick(1)
    assert place.ordered() == []
    place.runner.end(Report(Standing.RECREATED, 0.0, VmCid("vm-9"), "a"))
    place.tick()
    assert place.ordered() == ["db/1"]


def test_who_answers_again_after_a_try_that_changed_nothing_is_left_alone(place: Place) -> None:
    """The cloud did not delete the VM, and then its agent was heard."""
    place.watch(1, rules=Rules(backoff=Backoff(first=0.001)))
    place.silence(0)
    place.tick()
    place.runner.end(Report(Standing.FAILED, 1.0, message="no", failed_step="delete_vm"))
    place.silence(0, seconds=0)
    place.tick(6)
    assert place.ordered() == ["db/0"]
    place.silence(0)
    place.tick()
    assert [order.verdict for order in place.runner.orders] == 2 * [Verdict.UNRESPONSIVE]


def test_who_has_a_disk_that_a_move_has_in_hand_is_recreated_when_the_move_has_ended(place: Place) -> None:
    """Told once, with the move; the disk that the move put in the old one's place is shown."""
    place.watch(1)
    (disk,) = place.monitor.watched["db/0"].instance.disks
    lock = disk_lock("local", disk)
    place.runner.moved = Succession({}, {lock: Hold("move-1")})
    place.silence(0)
    place.tick()
    assert (place.ordered(), place.told()) == ([], [Kind.HELD])
    assert "move move-1 is using its disk" in place.alerts[0].message
    place.runner.is_unreadable = True
    place.tick()
    assert (place.ordered(), place.told()) == ([], [Kind.HELD, Kind.HELD])
    place.runner.is_unreadable = False
    place.runner.moved = Succession({lock: DiskCid("disk-new")})
    place.tick()
    assert place.ordered() == ["db/0"]
    (view,) = place.monitor.views()
    assert view.disks == ("disk-new",)
