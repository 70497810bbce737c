"""Disks that a cloud grows while a guest's jobs write to them."""

import itertools
from typing import Any, get_args

import pytest

from cpi.agent.protocol import Agent, Deadlines
from cpi.contract import errors
from cpi.contract.units import MiB
from cpi.migration import Strategy, migrate_disk
from cpi.migration.growing import grow_in_guest, why_not_mounted
from cpi.migration.guest import Guest
from fixtures.qemu import QemuGuest
from fixtures.qemu.guest import Bus
from tests.guests.written_disk import STORE, WrittenDisks
from tests.unit.migration.growing import GrowingCloud
from tests.unit.migration.world import OLD, VM, MemoryAgent, World

_BEFORE, _AFTER = 320, 512
_QUICK: list[Any] = [("virtio-blk", "ext4", ""), ("virtio-scsi", "xfs", "gpt")]
_LONG = sorted(set(itertools.product(get_args(Bus), ("ext4", "xfs"), ("", "dos", "gpt"))) - set(_QUICK))


@pytest.mark.parametrize(("bus", "kind", "table"), _QUICK + [pytest.param(*one, marks=pytest.mark.nightly) for one in _LONG])
def test_a_mounted_filesystem_grows_under_a_writer(
    guest: QemuGuest, disks: WrittenDisks, bus: Bus, kind: str, table: str
) -> None:
    """The writer goes on, no acknowledged row is lost, and there is room for more than the whole disk had."""
    made = disks.make(bus, kind, table, _BEFORE)
    inside = Guest(guest.shell, "move")
    assert why_not_mounted(inside, MiB(_AFTER)) == ""
    guest.resize(made.disk, _AFTER)
    assert bus != "silent-scsi" or guest.size(made.disk) == _BEFORE  # it has to look
    for _ in range(2 if bus == "virtio-blk" else 1):  # what a killed move has done is found done
        grow_in_guest(inside, MiB(_AFTER))
    made.wait_for_rows()
    guest.run("fallocate", "-l", f"{_BEFORE}MiB", f"{STORE}/more")
    made.assert_nothing_lost()


def test_a_move_grows_a_disk_that_the_guest_has_to_look_for(guest: QemuGuest, disks: WrittenDisks) -> None:
    """The whole move: `auto` takes the strategy online by what this guest says, and the jobs are never stopped."""
    made = disks.make("silent-scsi", "ext4", "dos", _BEFORE)
    world = World.with_disk(size=_BEFORE)
    cloud, transport = GrowingCloud(world, lambda size: guest.resize(made.disk, size)), MemoryAgent(world)
    agent = Agent(transport, Deadlines(ready=0.01, start=0.01))
    record: dict[str, Any] = {"old_size": MiB(_BEFORE), "old_cloud_properties": {}}
    report = migrate_disk(cloud, agent, VM, OLD, MiB(_AFTER), shell=guest.shell, **record)
    assert (report.strategy, report.jobs_down_seconds) == (Strategy.ONLINE, 0.0)
    assert "stop" not in transport.calls
    made.wait_for_rows()
    guest.run("fallocate", "-l", f"{_BEFORE}MiB", f"{STORE}/more")
    made.assert_nothing_lost()


def test_a_guest_is_fit_for_a_live_copy(guest: QemuGuest) -> None:
    """It has the tools of a stemcell, so that what moves do in guests runs in it as it is."""
    assert Guest(guest.shell, "move").unfit() == ""


@pytest.mark.nightly
def test_an_ext4_with_errors_does_not_grow_mounted(guest: QemuGuest, disks: WrittenDisks) -> None:
    """The kernel forbids it, and the partition is grown by then: the fault is known before, and its message says what is left."""
    made = disks.make("virtio-scsi", "ext4", "gpt", _BEFORE, faulty=True)
    inside = Guest(guest.shell, "move")
    assert inside.faults()
    guest.resize(made.disk, _AFTER)
    with pytest.raises(errors.CloudError, match="Permission denied to resize filesystem"):
        grow_in_guest(inside, MiB(_AFTER))
    made.assert_nothing_lost()


@pytest.mark.nightly
def test_an_msdos_label_past_2_tib_is_refused_before_it_is_touched(guest: QemuGuest, disks: WrittenDisks) -> None:
    """growpart would write the table, fail, and take it back."""
    made = disks.make("virtio-scsi", "ext4", "dos", _BEFORE)
    inside = Guest(guest.shell, "move")
    assert why_not_mounted(inside, MiB(1 << 17)) == ""
    assert why_not_mounted(inside, MiB(3 << 20)) != ""
    made.assert_nothing_lost()


@pytest.mark.nightly
def test_without_growpart_sfdisk_and_partx_do_it(guest: QemuGuest, disks: WrittenDisks) -> None:
    """As on a stemcell that has no cloud-utils."""
    made = disks.make("virtio-blk", "ext4", "gpt", _BEFORE)
    guest.resize(made.disk, _AFTER)
    guest.run("chmod", "a-x", "/usr/bin/growpart")
    try:
        grow_in_guest(Guest(guest.shell, "move"), MiB(_AFTER))
    finally:
        guest.run("chmod", "a+x", "/usr/bin/growpart")
    made.assert_nothing_lost()
