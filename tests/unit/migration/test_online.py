"""The strategy `online`: chosen before all that stops the jobs, finished by a repeat, and left for another where it cannot be."""

import time
from typing import Any

import msgspec
import pytest

from cpi.agent.protocol import Agent, Deadlines
from cpi.contract.capability import Capability
from cpi.contract.units import MiB
from cpi.migration import MoveFailed, MoveRefused, Report, Strategy, migrate_disk
from cpi.migration.disks import Site
from cpi.migration.extent import MBR_LABEL
from cpi.migration.forecast import dry_run
from cpi.migration.picture import picture
from cpi.migration.plan import Facts, Order, plan
from tests.unit.migration.growing import GrowingCloud, TalkingGuest
from tests.unit.migration.world import OLD, VM, MemoryAgent, World


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)


_WISH: dict[str, Any] = {"old_size": MiB(100), "old_cloud_properties": {}}
_ORDER = Order(move_id="m", vm_cid=VM, old_disk_cid=OLD, size=MiB(200), old_size=MiB(100), old_cloud_properties={})
_FACTS = Facts(
    capabilities=frozenset(Capability),
    mounted=(OLD,),
    jobs_run=True,
    no_live_copy="",
    grows_attached=True,
    changes_attached=True,
    no_growth="",
)


def _site(world: World, guest: TalkingGuest) -> tuple[GrowingCloud, MemoryAgent, Site]:
    cloud, agent = GrowingCloud(world), MemoryAgent(world)
    return cloud, agent, Site(cloud, Agent(agent, Deadlines(ready=0.01, start=0.01)), VM, guest)


def _move(site: Site, **more: Any) -> Report:
    return migrate_disk(site.cloud, site.agent, VM, OLD, MiB(200), shell=site.shell, **{**_WISH, **more})


def test_the_disk_grows_and_the_jobs_are_never_stopped() -> None:
    """The cloud, the partition and the filesystem, in this order; jobs down for 0 s."""
    world = World.with_disk()
    guest = TalkingGuest(world)
    cloud, agent, site = _site(world, guest)
    report = _move(site)
    world.assert_well(OLD)
    assert (report.strategy, report.jobs_down_seconds, report.disk_cid) == (Strategy.ONLINE, 0.0, OLD)
    assert [name for name in guest.asked if name in {"look", "partition", "filesystem"}] == ["look", "partition", "filesystem"]
    assert cloud.grown == [200]
    assert not {"stop", "drain", "unmount_disk"} & set(agent.calls)
    assert world.disks[OLD].tags["move_id"] == report.move_id
    assert "partition and the filesystem" in picture(report)


def test_it_needs_nothing_of_what_a_live_copy_takes() -> None:
    """A guest without rsync grows its disk; the errors of its filesystem are found all the same."""
    world = World.with_disk()
    guest = TalkingGuest(world, fitness="rsync perl\n")
    _, _, site = _site(world, guest)
    assert _move(site).strategy is Strategy.ONLINE
    guest.said["health"] = "2 errors, the last at inode 12"
    with pytest.raises(MoveRefused, match="2 errors"):
        _move(site, old_size=MiB(200), strategy="online")


def test_a_dry_run_tells_of_no_downtime() -> None:
    """And changes nothing."""
    world = World.with_disk()
    cloud, _, site = _site(world, TalkingGuest(world))
    told = dry_run(msgspec.structs.replace(_ORDER, strategy=Strategy.ONLINE), site)
    assert (told.strategy, told.expected_down_seconds, cloud.grown) == (Strategy.ONLINE, 0.0, [])


def test_what_is_left_is_told_and_finished_by_a_repeat() -> None:
    """There is no undo: a larger disk, the jobs running, and what a human has to know."""
    world = World.with_disk()
    guest = TalkingGuest(world, filesystem="!resize2fs: Permission denied to resize filesystem")
    cloud, _, site = _site(world, guest)
    with pytest.raises(MoveFailed) as caught:
        _move(site)
    world.assert_well(OLD)
    assert caught.value.swapped
    assert "grow the partition and the filesystem while the jobs run" in caught.value.left[0]
    assert "Permission denied" in caught.value.left[0]
    guest.said["filesystem"] = ""
    assert _move(site, strategy="online").strategy is Strategy.ONLINE
    assert cloud.grown == [200]


def test_a_cloud_that_refuses_ends_a_move_that_was_to_be_online(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its reason, and nothing changed; what auto does instead is in the plan."""
    world = World.with_disk()
    world.refuses = True
    _, agent, site = _site(world, TalkingGuest(world))
    with pytest.raises(MoveFailed, match="the cooling period ends at noon") as caught:
        _move(site, strategy="online")
    assert not caught.value.swapped
    world.assert_well(OLD)
    assert "stop" not in agent.calls


@pytest.mark.parametrize(
    ("order", "facts", "strategy"),
    [
        ({}, {}, Strategy.ONLINE),
        ({"cloud_properties": {"type": "fast"}}, {}, Strategy.ONLINE),
        ({"cloud_properties": {"type": "fast"}}, {"changes_attached": False}, Strategy.NATIVE_UPDATE),
        ({}, {"grows_attached": False}, Strategy.NATIVE_RESIZE),
        ({}, {"no_growth": "the filesystem is btrfs"}, Strategy.NATIVE_RESIZE),
        ({}, {"no_growth": MBR_LABEL}, Strategy.LIVE_COPY),
        ({"size": MiB(50)}, {}, Strategy.LIVE_COPY),
        ({"size": MiB(100)}, {}, Strategy.NOTHING),
        ({"old_size": None}, {}, Strategy.LIVE_COPY),
    ],
)
def test_auto_prefers_it_where_cloud_and_guest_can(order: dict[str, Any], facts: dict[str, Any], strategy: Strategy) -> None:
    """And says why not, where they cannot."""
    course = plan(msgspec.structs.replace(_ORDER, **order), msgspec.structs.replace(_FACTS, **facts))
    assert course.strategy is strategy
    assert facts.get("no_growth") != MBR_LABEL or MBR_LABEL in course.reason


def test_what_follows_a_refusal_lets_the_jobs_run_if_that_can_be() -> None:
    """The same call of the cloud would be refused with the jobs down as well."""
    fallback = plan(_ORDER, _FACTS).fallback
    assert fallback is not None
    assert fallback.strategy is Strategy.LIVE_COPY
    without = plan(_ORDER, msgspec.structs.replace(_FACTS, no_live_copy="no rsync")).fallback
    assert without is not None
    assert without.strategy is Strategy.NATIVE_RESIZE
    assert plan(msgspec.structs.replace(_ORDER, strategy=Strategy.ONLINE), _FACTS).fallback is None


@pytest.mark.parametrize(
    ("order", "facts", "told"),
    [
        ({}, {"grows_attached": False}, "the cloud cannot grow a disk that is attached"),
        ({}, {"no_growth": "the guest lacks resize2fs"}, "the guest lacks resize2fs"),
        ({"size": MiB(50)}, {}, "no cloud shrinks a disk"),
    ],
)
def test_asked_for_it_is_refused_with_the_reason(order: dict[str, Any], facts: dict[str, Any], told: str) -> None:
    """Before anything is touched."""
    asked = msgspec.structs.replace(_ORDER, strategy=Strategy.ONLINE, **order)
    with pytest.raises(MoveRefused, match=told):
        plan(asked, msgspec.structs.replace(_FACTS, **facts))
