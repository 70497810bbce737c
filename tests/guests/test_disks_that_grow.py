"""Disks that a cloud grows while a guest's jobs write to them."""

import itertools
from typing import Any, get_args

import pytest

from cpi.contract.units import MiB
from cpi.migration.extent import shortfall
from cpi.migration.guest import Guest
from fixtures.qemu import AttachedDisk, QemuGuest
from fixtures.qemu.guest import Bus
from tests.guests.written_disk import STORE, WrittenDisks

_BEFORE, _AFTER = 320, 512
_QUICK: list[Any] = [("virtio-blk", "ext4", ""), ("silent-scsi", "ext4", "dos"), ("virtio-scsi", "xfs", "gpt")]
_LONG = sorted(set(itertools.product(get_args(Bus), ("ext4", "xfs"), ("", "dos", "gpt"))) - set(_QUICK))


def _look(guest: QemuGuest, disk: AttachedDisk, size: int) -> None:
    """Until the kernel knows the new size; a SCSI disk is looked at anew."""
    rescan = f"/sys/class/block/{disk.name}/device/rescan"
    guest.run("sh", "-c", f"if [ -e {rescan} ]; then echo 1 >{rescan}; fi")
    guest.wait_until(f"[ $(cat /sys/class/block/{disk.name}/size) = {size * 2048} ]", "the guest does not see the size")


def _use(guest: QemuGuest, disk: AttachedDisk) -> None:
    """The partition and the filesystem as large as the disk."""
    if disk.image.table:
        guest.run("growpart", f"/dev/{disk.name}", "1")
    guest.run(*(("xfs_growfs", STORE) if disk.image.kind == "xfs" else ("resize2fs", disk.device)))


@pytest.mark.parametrize(("bus", "kind", "table"), _QUICK + [pytest.param(*one, marks=pytest.mark.nightly) for one in _LONG])
def test_a_mounted_filesystem_grows_under_a_writer(
    guest: QemuGuest, disks: WrittenDisks, bus: Bus, kind: str, table: str
) -> None:
    """The writer goes on, no acknowledged row is lost, and there is room for more than the whole disk had."""
    made = disks.make(bus, kind, table, _BEFORE)
    guest.resize(made.disk, _AFTER)
    assert bus != "silent-scsi" or guest.size(made.disk) == _BEFORE  # it has to look
    _look(guest, made.disk, _AFTER)
    _use(guest, made.disk)
    made.wait_for_rows()
    extent = Guest(guest.shell, "move").extent(STORE)
    assert extent is not None
    assert shortfall(extent, MiB(_AFTER)) == ""
    guest.run("fallocate", "-l", f"{_BEFORE}MiB", f"{STORE}/more")
    made.assert_nothing_lost()


def test_a_guest_is_fit_for_a_live_copy(guest: QemuGuest) -> None:
    """It has the tools of a stemcell, so that what moves do in guests runs in it as it is."""
    assert Guest(guest.shell, "move").unfit() == ""


@pytest.mark.nightly
def test_an_ext4_with_errors_does_not_grow_mounted(guest: QemuGuest, disks: WrittenDisks) -> None:
    """The kernel forbids it, and the partition is grown by then: so it has to be known before."""
    made = disks.make("virtio-scsi", "ext4", "gpt", _BEFORE, faulty=True)
    assert Guest(guest.shell, "move").faults()
    guest.resize(made.disk, _AFTER)
    _look(guest, made.disk, _AFTER)
    guest.run("growpart", f"/dev/{made.disk.name}", "1")
    done = guest.tried("resize2fs", made.disk.device)
    assert b"Permission denied to resize filesystem" in done.stderr
    made.assert_nothing_lost()


@pytest.mark.nightly
def test_an_msdos_label_does_not_take_a_disk_past_2_tib(guest: QemuGuest, disks: WrittenDisks) -> None:
    """growpart fails there, and has written the table and taken that back: so it must not be tried."""
    made = disks.make("virtio-scsi", "ext4", "dos", _BEFORE)
    guest.resize(made.disk, 3 << 20)
    _look(guest, made.disk, 3 << 20)
    done = guest.tried("growpart", f"/dev/{made.disk.name}", "1")
    assert done.status != 0
    assert b"larger than 2TB" in done.stderr
    made.wait_for_rows()
    made.assert_nothing_lost()
