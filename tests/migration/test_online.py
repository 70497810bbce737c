"""Disks of the local cloud that grow while their job writes to them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cpi.contract.units import MiB, bytes_from_mib
from cpi.migration import MoveRefused, Strategy
from fixtures.local_cloud import local_config
from tests.migration.database_vm import DatabaseVm, MakeVm, database_vms

_LESS_THAN_A_TENTH_GOES_TO_THE_FILESYSTEM = 0.9


@pytest.fixture
def make_xfs(tmp_path: Path) -> Iterator[MakeVm]:
    """VMs with xfs on loop devices."""
    with database_vms(tmp_path, local_config(tmp_path, "loop"), {"persistent_disk_fs": "xfs"}) as make:
        yield make


@pytest.mark.root
def test_an_xfs_grows_under_its_job(make_xfs: MakeVm) -> None:
    """Chosen by itself: the same disk, the jobs never down, and the filesystem has the room."""
    vm = make_xfs(400, 8)
    disk_cid = vm.disk_cid
    for before, size in ((400, 800), (800, 4 * 1024 * 1024)):
        report = vm.move(size, old_size=before, old_cloud_properties={}, shell=vm.shell())
        assert (report.strategy, report.disk_cid, report.jobs_down_seconds) == (Strategy.ONLINE, disk_cid, 0)
        assert _bytes_of_the_store(vm) > _LESS_THAN_A_TENTH_GOES_TO_THE_FILESYSTEM * bytes_from_mib(MiB(size))
        vm.assert_well()
    assert vm.disks() == {disk_cid}


def test_a_folder_has_its_size_on_record(tmp_path: Path) -> None:
    """Its agent reports by it how full the disk is."""
    with database_vms(tmp_path, local_config(tmp_path, "folder")) as make:
        vm = make(64, 8)
        report = vm.move(640, old_size=64, old_cloud_properties={}, shell=vm.shell())
        assert (report.strategy, report.jobs_down_seconds) == (Strategy.ONLINE, 0)
        assert (vm.root / "disks" / vm.disk_cid / "size").read_text() == "640\n"
        vm.assert_well()


@pytest.mark.root
@pytest.mark.nightly
def test_an_ext4_grows_under_its_job_where_root_may(tmp_path: Path) -> None:
    """Elsewhere the reason is named, and the jobs are stopped for it if any way is right."""
    with database_vms(tmp_path, local_config(tmp_path, "loop")) as make:
        vm = make(400, 8)
        wish: dict[str, Any] = {"old_size": 400, "old_cloud_properties": {}, "shell": vm.shell()}
        if _may_grow_ext4():
            assert vm.move(800, **wish).strategy is Strategy.ONLINE
        else:
            with pytest.raises(MoveRefused, match="root in the guest lacks CAP_SYS_RESOURCE, without which ext4 does not grow"):
                vm.move(800, strategy="online", **wish)
            assert vm.move(800, **wish).strategy is Strategy.NATIVE_RESIZE
        vm.assert_well()


def _bytes_of_the_store(vm: DatabaseVm) -> int:
    store = f"{vm.shell().root}/var/vcap/store"
    block, blocks = vm.shell().run(["stat", "-f", "-c", "%S %b", store], deadline_seconds=60).stdout.split()
    return int(block) * int(blocks)


def _may_grow_ext4() -> bool:
    caps = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff:"))
    return bool(int(caps.split()[1], 16) >> 24 & 1)
