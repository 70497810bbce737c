"""Persistent disks that are folders: no root needed, and the same messages."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from cpi_drivers.local.agent.folder_disk import used_bytes
from tests.drivers.local_agent.vm import AgentSaysNoError, Vm, eventually

MakeFolderDisk = Callable[..., Path]


def _mounted(vm: Vm, **disks: Path) -> None:
    """Attach the disks, and mount them in this order."""
    vm.attach({cid: {"path": str(data)} for cid, data in disks.items()})
    for cid in disks:
        assert vm.done("mount_disk", cid) == {}


def test_what_a_job_stores_lies_on_the_mounted_disk(vm: Vm, make_folder_disk: MakeFolderDisk) -> None:
    """Mounting again changes nothing."""
    data = make_folder_disk("disk-1")
    _mounted(vm, **{"disk-1": data})
    assert vm.done("mount_disk", "disk-1") == {}
    assert vm.done("list_disk") == ["disk-1"]
    vm.run_jobs({"name": "writer", "command": ["sh", "-c", "echo kept > $BOSH_STORE/file; exec sleep 60"]})
    eventually(lambda: (data / "file").exists() and (data / "file").read_text() == "kept\n", vm.log)
    assert set(vm.call("get_state", "full")["vitals"]["disk"]) == {"system", "ephemeral", "persistent"}


def test_a_folder_disk_is_as_full_as_its_size_on_record_says(vm: Vm, make_folder_disk: MakeFolderDisk) -> None:
    """The host's filesystem has nothing to do with it."""
    data = make_folder_disk("disk-1", 10)
    (data / "file").write_bytes(os.urandom(5 * 1024 * 1024))
    (data / "same file").hardlink_to(data / "file")
    _mounted(vm, **{"disk-1": data})
    assert vm.call("get_state", "full")["vitals"]["disk"]["persistent"]["percent"] == "50"


def test_a_file_that_is_gone_uses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs remove files while their disk is measured."""
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    monkeypatch.setattr(os, "walk", lambda folder: [(str(folder), [], ["gone", "file"])])
    assert 100_000 <= used_bytes(tmp_path) < 200_000


def test_unmounting_says_what_it_did(vm: Vm, make_folder_disk: MakeFolderDisk) -> None:
    """In the BOSH agent's words; the store is an empty folder then, and the data stays on the disk."""
    data = make_folder_disk("disk-1")
    _mounted(vm, **{"disk-1": data})
    (vm.store / "file").write_text("kept")
    description = (
        f"{{ID:disk-1 DeviceID: VolumeID: Lun: HostDeviceID: Path:{data} "
        "ISCSISettings:{InitiatorName: Username: Target: Password:} FileSystemType: MountOptions:[] Partitioner:}"
    )
    assert vm.done("unmount_disk", "disk-1") == {"message": f"Unmounted partition of {description}"}
    assert vm.done("unmount_disk", "disk-1") == {"message": f"Partition of {description} is not mounted"}
    assert vm.done("list_disk") == []
    assert list(vm.store.iterdir()) == []
    assert (data / "file").read_text() == "kept"


def test_what_lay_at_the_store_is_covered_while_a_disk_is_mounted(vm: Vm, make_folder_disk: MakeFolderDisk) -> None:
    """As a mount would cover it."""
    (vm.store / "early").write_text("bird")
    _mounted(vm, **{"disk-1": make_folder_disk("disk-1")})
    assert list(vm.store.iterdir()) == []
    vm.done("unmount_disk", "disk-1")
    assert (vm.store / "early").read_text() == "bird"


def test_a_disk_is_found_by_its_hint_alone(vm: Vm, make_folder_disk: MakeFolderDisk) -> None:
    """Until the hint is removed; the settings need not know the disk."""
    data = make_folder_disk("disk-1")
    assert vm.done("add_persistent_disk", "disk-1", str(data)) == {}
    vm.done("mount_disk", "disk-1")
    assert vm.store.resolve() == data
    vm.done("unmount_disk", "disk-1")
    assert vm.done("remove_persistent_disk", "disk-1") == {}
    with pytest.raises(
        AgentSaysNoError, match="Reading persistent disk settings: Persistent disk with volume id 'disk-1' could not be"
    ):
        vm.done("mount_disk", "disk-1")


def test_the_settings_win_over_a_hint(vm: Vm, make_folder_disk: MakeFolderDisk) -> None:
    """A hint may be of before a reboot, and lead to another's disk."""
    stale, true = make_folder_disk("stale"), make_folder_disk("true")
    vm.done("add_persistent_disk", "disk-1", str(stale))
    _mounted(vm, **{"disk-1": true})
    assert vm.store.resolve() == true


def test_a_disk_that_is_not_there_is_not_mounted(vm: Vm, tmp_path: Path) -> None:
    """The fault says where it should be; a file is no disk."""
    vm.attach({"disk-1": str(tmp_path / "gone"), "disk-2": str(vm.path / "settings.json"), "disk-3": {"id": "x"}})
    for cid, said in (
        ("disk-1", "is not at .*/gone: No such file"),
        ("disk-2", "neither a block device nor a folder"),
        ("disk-3", "`path`"),
    ):
        with pytest.raises(AgentSaysNoError, match=said):
            vm.done("mount_disk", cid)


def test_the_second_disk_is_mounted_beside_the_first_and_a_third_nowhere(vm: Vm, make_folder_disk: MakeFolderDisk) -> None:
    """As the BOSH agent does before a migration."""
    disks = {name: make_folder_disk(name) for name in ("disk-1", "disk-2", "disk-3")}
    vm.attach({cid: str(data) for cid, data in disks.items()})
    vm.done("mount_disk", "disk-1")
    vm.done("mount_disk", "disk-2")
    assert (vm.store.resolve(), vm.target.resolve()) == (disks["disk-1"], disks["disk-2"])
    assert vm.done("list_disk") == ["disk-1", "disk-2"]
    with pytest.raises(AgentSaysNoError, match="disk-3 has no place"):
        vm.done("mount_disk", "disk-3")


def _populate(folder: Path) -> None:
    """What a copy has to get right."""
    (folder / "dir").mkdir(mode=0o750)
    (folder / "dir/file").write_text("content")
    os.utime(folder / "dir/file", ns=(1_600_000_000_123_456_789, 1_500_000_000_987_654_321))
    (folder / "dir/file").chmod(0o640)
    (folder / "hard link").hardlink_to(folder / "dir/file")
    (folder / "link").symlink_to("dir/file")
    (folder / "nach Köln\n").write_text("odd name")
    with (folder / "sparse").open("wb") as file:
        file.truncate(64 * 1024 * 1024)
        file.seek(32 * 1024 * 1024)
        file.write(b"in the middle")
    if hasattr(os, "setxattr"):
        os.setxattr(folder / "dir/file", "user.colour", b"blue")


def _check(folder: Path) -> None:
    file = folder / "dir/file"
    assert file.read_text() == "content"
    assert (file.stat().st_mode & 0o777, file.stat().st_mtime_ns) == (0o640, 1_500_000_000_987_654_321)
    assert (folder / "dir").stat().st_mode & 0o777 == 0o750
    assert (folder / "hard link").samefile(file)
    assert os.readlink(folder / "link") == "dir/file"  # noqa: PTH115 - as it is written
    assert (folder / "nach Köln\n").read_text() == "odd name"
    sparse = folder / "sparse"
    assert sparse.stat().st_size == 64 * 1024 * 1024
    assert sparse.stat().st_blocks * 512 < 1024 * 1024
    assert sparse.read_bytes().strip(b"\0") == b"in the middle"
    if hasattr(os, "getxattr"):
        assert os.getxattr(file, "user.colour") == b"blue"


@pytest.mark.parametrize("named", [True, False])
def test_migrating_copies_everything_and_swaps(vm: Vm, make_folder_disk: MakeFolderDisk, *, named: bool) -> None:
    """Modes, times, links, holes, attributes; the new disk is the store then, the old one is left as it was, unmounted."""
    old, new = make_folder_disk("disk-1"), make_folder_disk("disk-2")
    _populate(old)
    _mounted(vm, **{"disk-1": old, "disk-2": new})
    arguments = ["disk-1", "disk-2"] if named else []
    assert vm.done("migrate_disk", *arguments) == {}
    assert vm.done("list_disk") == ["disk-2"]
    assert vm.store.resolve() == new
    assert not vm.target.is_symlink()
    _check(new)
    _check(old)


def test_migrating_twice_changes_nothing(vm: Vm, make_folder_disk: MakeFolderDisk) -> None:
    """Whoever was killed before the answer may ask again."""
    old, new = make_folder_disk("disk-1"), make_folder_disk("disk-2")
    _mounted(vm, **{"disk-1": old, "disk-2": new})
    vm.done("migrate_disk", "disk-1", "disk-2")
    (vm.store / "written since").touch()
    assert vm.done("migrate_disk", "disk-1", "disk-2") == {}
    assert [path.name for path in new.iterdir()] == ["written since"]


def test_migrating_what_is_not_mounted_so_is_refused(vm: Vm, make_folder_disk: MakeFolderDisk) -> None:
    """One disk is too few, and another pair than the mounted one is a mistake."""
    old, new = make_folder_disk("disk-1"), make_folder_disk("disk-2")
    _mounted(vm, **{"disk-1": old})
    with pytest.raises(AgentSaysNoError, match="a disk at store and one beside it are needed, mounted are disk-1 and None"):
        vm.done("migrate_disk", "disk-1", "disk-2")
    _mounted(vm, **{"disk-1": old, "disk-2": new})
    with pytest.raises(AgentSaysNoError, match="asked to copy disk-2 to disk-1, but disk-1 is at store and disk-2 beside it"):
        vm.done("migrate_disk", "disk-2", "disk-1")


def test_migrating_to_a_disk_that_is_too_small_is_refused(vm: Vm, make_folder_disk: MakeFolderDisk) -> None:
    """By its size on record, before anything is copied; both disks stay where they are."""
    old, new = make_folder_disk("disk-1"), make_folder_disk("disk-2", 1)
    (old / "large").write_bytes(b"x" * 3 * 1024 * 1024)
    _mounted(vm, **{"disk-1": old, "disk-2": new})
    with pytest.raises(AgentSaysNoError, match=r"3 MiB are in use, the new disk holds 1 MiB: No space left on device"):
        vm.done("migrate_disk", "disk-1", "disk-2")
    assert vm.done("list_disk") == ["disk-1", "disk-2"]
    assert list(new.iterdir()) == []


def test_nothing_is_copied_over_data(vm: Vm, make_folder_disk: MakeFolderDisk) -> None:
    """A disk with something on it is not the new one that was meant."""
    old, new = make_folder_disk("disk-1"), make_folder_disk("disk-2")
    (new / "precious").touch()
    _mounted(vm, **{"disk-1": old, "disk-2": new})
    with pytest.raises(AgentSaysNoError, match="disk-2 is not empty, nothing is copied over what is on it"):
        vm.done("migrate_disk", "disk-1", "disk-2")
    assert (new / "precious").exists()


def test_a_copy_that_was_cut_off_starts_anew(vm: Vm, make_folder_disk: MakeFolderDisk) -> None:
    """The VM is lost in the middle: the old disk is back at the store, and what was half copied is not mixed in."""
    old, new = make_folder_disk("disk-1"), make_folder_disk("disk-2")
    (old / "deleted later").write_text("x")
    (old / "big").write_bytes(os.urandom(32 * 1024 * 1024))
    _mounted(vm, **{"disk-1": old, "disk-2": new})
    vm.call("migrate_disk", "disk-1", "disk-2")
    eventually(lambda: list(new.iterdir()), vm.log)
    os.killpg(vm.pid, signal.SIGKILL)
    vm.wait_until_gone()
    left_half_done = vm.path / "state/copying.json"
    if left_half_done.read_text() == "null":
        pytest.fail("the copy was done before the VM could be lost")
    vm.start()
    assert vm.done("list_disk") == ["disk-1"]
    (old / "deleted later").unlink()
    vm.done("mount_disk", "disk-2")
    vm.done("migrate_disk", "disk-1", "disk-2")
    assert [path.name for path in new.iterdir()] == ["big"]
    assert (new / "big").read_bytes() == (old / "big").read_bytes()


def test_the_last_disk_is_mounted_again_after_a_reboot_before_the_jobs_start(vm: Vm, make_folder_disk: MakeFolderDisk) -> None:
    """Only the one at the store: after a migration that is the new one."""
    old, new = make_folder_disk("disk-1"), make_folder_disk("disk-2")
    _mounted(vm, **{"disk-1": old, "disk-2": new})
    vm.done("migrate_disk", "disk-1", "disk-2")
    vm.run_jobs({"name": "writer", "command": ["sh", "-c", "echo $$ >> $BOSH_STORE/starts; exec sleep 60"]})
    vm.wait_for_job_state("running")
    vm.reboot()
    vm.wait_for_job_state("running")
    assert len((new / "starts").read_text().splitlines()) == 2
    assert vm.done("list_disk") == ["disk-2"]


def test_jobs_are_not_started_without_their_disk(vm: Vm, make_folder_disk: MakeFolderDisk) -> None:
    """If it was detached while the VM was down they would write beside it; the state says that they fail."""
    data = make_folder_disk("disk-1")
    _mounted(vm, **{"disk-1": data})
    vm.run_jobs({"name": "writer", "command": ["sh", "-c", "touch $BOSH_STORE/file; exec sleep 60"]})
    vm.wait_for_job_state("running")
    vm.lose()
    vm.attach({})
    vm.start()
    state = vm.call("get_state")
    assert (state["job_state"], state["processes"][0]["state"]) == ("failing", "failing")
    assert "the jobs are not started: disk disk-1 was mounted when the VM ended, and is not attached now" in vm.log()
    assert list(vm.store.iterdir()) == []
    _mounted(vm, **{"disk-1": data})
    vm.call("start")
    vm.wait_for_job_state("running")


def test_an_unmounted_disk_is_not_mounted_at_a_reboot(vm: Vm, make_folder_disk: MakeFolderDisk) -> None:
    """And the jobs start without it, as they ran."""
    _mounted(vm, **{"disk-1": make_folder_disk("disk-1")})
    vm.done("unmount_disk", "disk-1")
    vm.run_jobs({"name": "steady", "command": ["sleep", "60"]})
    vm.reboot()
    vm.wait_for_job_state("running")
    assert vm.done("list_disk") == []
