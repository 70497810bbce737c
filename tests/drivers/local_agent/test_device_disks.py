"""Persistent disks that are devices: made, grown, copied, never overwritten."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.drivers.local_agent.conftest import MakeVm
from tests.drivers.local_agent.loops import Loop, run
from tests.drivers.local_agent.vm import AgentSaysNoError, Vm, eventually

pytestmark = pytest.mark.root

MakeLoop = Callable[..., Loop]


@pytest.fixture
def make_loop(tmp_path: Path) -> Iterator[MakeLoop]:
    """Makes loop devices; made before the VM, they are freed after it."""
    made: list[Loop] = []

    def make(size_mib: int = 64) -> Loop:
        made.append(Loop(tmp_path / f"image-{len(made)}", size_mib))
        return made[-1]

    yield make
    for loop in made:
        loop.close()


@pytest.fixture
def isolated(make_vm: MakeVm) -> Callable[..., Vm]:
    """A VM with mounts of its own, with this env and these disks attached."""

    def start(*loops: Loop, **env: object) -> Vm:
        vm = make_vm(env)
        (vm.path / "launch.json").write_text(json.dumps({"isolate_mounts": True, "overlay": None, "command": None}))
        vm.attach({f"disk-{number}": {"path": loop.device} for number, loop in enumerate(loops, 1)})
        return vm.start()

    return start


StartVm = Callable[..., Vm]

_IMPATIENT = {"bosh": {"agent": {"settings": {"busy_seconds": 0.5}}}}
"""What stays busy is not waited for longer than a test has to."""


def _inside(vm: Vm, path: Path) -> Path:
    """path as the VM sees it."""
    return Path(f"/proc/{vm.pid}/root{path}")


def _size_mib(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_frsize * status.f_blocks // 1024 // 1024


@pytest.mark.parametrize(("kind", "size"), [("ext4", 64), ("xfs", 320)])
def test_an_empty_disk_gets_a_filesystem_and_a_larger_one_is_grown(
    make_loop: MakeLoop, isolated: StartVm, kind: str, size: int
) -> None:
    """Once: what is on it stays; the mount is seen by the VM alone."""
    loop = make_loop(size)
    vm = isolated(loop, persistent_disk_fs=kind)
    assert vm.done("mount_disk", "disk-1") == {}
    assert vm.done("mount_disk", "disk-1") == {}
    assert vm.done("list_disk") == ["disk-1"]
    assert loop.kind() == kind
    (_inside(vm, vm.store) / "file").write_text("kept")
    before = _size_mib(_inside(vm, vm.store))
    assert not (vm.store / "file").exists()
    assert "Unmounted partition of" in vm.done("unmount_disk", "disk-1")["message"]
    loop.grow(size * 2)
    vm.done("mount_disk", "disk-1")
    assert (_inside(vm, vm.store) / "file").read_text() == "kept"
    assert _size_mib(_inside(vm, vm.store)) > before * 1.8


def test_the_default_is_ext4_and_mount_options_are_heeded(make_loop: MakeLoop, isolated: StartVm) -> None:
    """As env says."""
    loop = make_loop()
    vm = isolated(loop, persistent_disk_mount_options=["noatime", "nodev"])
    vm.done("mount_disk", "disk-1")
    assert loop.kind() == "ext4"
    (line,) = [line for line in Path(f"/proc/{vm.pid}/mountinfo").read_text().splitlines() if str(vm.store) in line]
    assert {"noatime", "nodev"} <= set(line.split()[5].split(","))


def test_a_filesystem_nobody_knows_is_refused(make_loop: MakeLoop, isolated: StartVm) -> None:
    """env names one that this agent does not make."""
    vm = isolated(make_loop(), persistent_disk_fs="btrfs")
    with pytest.raises(AgentSaysNoError, match=r"env\.persistent_disk_fs is 'btrfs', this agent makes ext4 or xfs"):
        vm.done("mount_disk", "disk-1")


def test_a_disk_with_another_filesystem_is_mounted_as_it_is(make_loop: MakeLoop, isolated: StartVm) -> None:
    """env says ext4, the disk has xfs: it is not made anew."""
    loop = make_loop(320)
    run("mkfs.xfs", "-q", loop.device)
    vm = isolated(loop, persistent_disk_fs="ext4")
    vm.done("mount_disk", "disk-1")
    assert loop.kind() == "xfs"


@pytest.mark.parametrize("wreck", ["partition table", "swap", "raw data", "raw data further on", "damaged superblock"])
def test_a_disk_that_is_not_empty_is_never_formatted(make_loop: MakeLoop, isolated: StartVm, wreck: str) -> None:
    """Whatever it is: the disk has the same bytes after the refusal."""
    loop = make_loop(32)
    _wreck(loop, wreck)
    before = loop.image.read_bytes()
    vm = isolated(loop)
    for _ in range(2):
        with pytest.raises(AgentSaysNoError, match="Mounting persistent disk: "):
            vm.done("mount_disk", "disk-1")
    assert loop.image.read_bytes() == before
    assert vm.done("list_disk") == []


def _wreck(loop: Loop, wreck: str) -> None:
    if wreck == "swap":
        run("mkswap", loop.device)
        return
    if wreck == "damaged superblock":
        run("mkfs.ext4", "-q", loop.device)
    content, offset = {
        "partition table": (b"\x83" + b"\0" * 3 + (2048).to_bytes(4, "little") + (4096).to_bytes(4, "little"), 450),
        "raw data": (b"rows of a database", 700_000),
        "raw data further on": (b"rows of a database" * 16384, 20_000_000),
        "damaged superblock": (b"\0" * 1024, 1024),
    }[wreck]
    with Path(loop.device).open("r+b") as device:
        device.seek(offset)
        device.write(content)
        if wreck == "partition table":
            device.seek(510)
            device.write(b"\x55\xaa")


def test_a_mkfs_that_was_cut_off_is_done_again(make_loop: MakeLoop, isolated: StartVm) -> None:
    """The agent has it on record that it was its own."""
    loop = make_loop(32)
    vm = isolated(loop)
    with Path(loop.device).open("r+b") as device:
        device.seek(4096)
        device.write(b"half a filesystem")
    (vm.path / "state/formatting.json").write_text('"disk-1"')
    vm.done("mount_disk", "disk-1")
    assert loop.kind() == "ext4"
    assert json.loads((vm.path / "state/formatting.json").read_text()) is None


@pytest.mark.slow
def test_a_disk_that_another_vm_has_mounted_is_refused(make_loop: MakeLoop, isolated: StartVm) -> None:
    """Two that write to one filesystem would ruin it; once the other has let go it can be had."""
    loop = make_loop()
    first, second, patient = isolated(loop), isolated(loop, **_IMPATIENT), isolated(loop)
    first.done("mount_disk", "disk-1")
    with pytest.raises(AgentSaysNoError, match="cannot be had alone: Device or resource busy; is it mounted elsewhere"):
        second.done("mount_disk", "disk-1")
    marker = patient.call("mount_disk", "disk-1")
    first.lose()
    assert patient.result(marker) == {}


def test_migrating_copies_everything_and_swaps(make_loop: MakeLoop, isolated: StartVm) -> None:
    """Also to another filesystem, and to a smaller disk if it fits; owners and attributes of the system come along."""
    vm = isolated(make_loop(128), make_loop(64))
    vm.done("mount_disk", "disk-1")
    vm.done("mount_disk", "disk-2")
    store = _inside(vm, vm.store)
    (store / "file").write_text("content")
    os.chown(store / "file", 12345, 54321)
    os.setxattr(store / "file", "trusted.colour", b"blue")
    (store / "data").write_bytes(os.urandom(8 * 1024 * 1024))
    before = (store / "data").read_bytes()
    assert vm.done("migrate_disk", "disk-1", "disk-2") == {}
    assert vm.done("list_disk") == ["disk-2"]
    status = (store / "file").stat()
    assert (status.st_uid, status.st_gid, os.getxattr(store / "file", "trusted.colour")) == (12345, 54321, b"blue")
    assert (store / "data").read_bytes() == before
    assert _size_mib(store) < 64
    (store / "can be written").touch()
    vm.reboot()
    assert vm.done("list_disk") == ["disk-2"]
    assert (_inside(vm, vm.store) / "data").read_bytes() == before


def test_a_copy_for_which_there_is_no_room_leaves_the_old_disk_as_it_was(make_loop: MakeLoop, isolated: StartVm) -> None:
    """No space on the new one: the old is at the store, can be written to, and the jobs start on it."""
    vm = isolated(make_loop(64), make_loop(16))
    vm.done("mount_disk", "disk-1")
    vm.done("mount_disk", "disk-2")
    store = _inside(vm, vm.store)
    (store / "data").write_bytes(os.urandom(30 * 1024 * 1024))
    with pytest.raises(AgentSaysNoError) as no:
        vm.done("migrate_disk", "disk-1", "disk-2")
    assert "No space left on device" in str(no.value)
    assert "disk-1 is at store as before, and can be written to" in str(no.value)
    assert vm.done("list_disk") == ["disk-1", "disk-2"]
    (store / "more").write_text("written")
    vm.run_jobs({"name": "writer", "command": ["sh", "-c", "echo x > $BOSH_STORE/job && exec sleep 60"]})
    vm.wait_for_job_state("running")
    vm.done("stop")
    vm.done("unmount_disk", "disk-2")
    assert vm.done("list_disk") == ["disk-1"]


@pytest.mark.slow
def test_a_swap_that_fails_leaves_the_old_disk_at_the_store(make_loop: MakeLoop, isolated: StartVm) -> None:
    """Somebody stands in it, so it cannot be unmounted: the old disk can be written to, and a later attempt works."""
    vm = isolated(make_loop(), make_loop(), **_IMPATIENT)
    vm.done("mount_disk", "disk-1")
    vm.done("mount_disk", "disk-2")
    (_inside(vm, vm.store) / "file").write_text("content")
    vm.run_jobs({"name": "bystander", "command": ["sh", "-c", "cd $BOSH_STORE && exec sleep 60"]})
    vm.wait_for_job_state("running")
    with pytest.raises(AgentSaysNoError, match=r"target is busy.*in use by sleep"):
        vm.done("migrate_disk", "disk-1", "disk-2")
    assert vm.done("list_disk") == ["disk-1"]
    (_inside(vm, vm.store) / "file").write_text("changed")
    vm.done("stop")
    vm.done("mount_disk", "disk-2")
    vm.done("migrate_disk", "disk-1", "disk-2")
    assert vm.done("list_disk") == ["disk-2"]
    assert (_inside(vm, vm.store) / "file").read_text() == "changed"


@pytest.mark.slow
def test_a_copy_while_somebody_writes_is_refused(make_loop: MakeLoop, isolated: StartVm) -> None:
    """The store cannot be made read-only under an open file; the fault names who has it."""
    vm = isolated(make_loop(), make_loop(), **_IMPATIENT)
    vm.done("mount_disk", "disk-1")
    vm.done("mount_disk", "disk-2")
    vm.run_jobs({"name": "writer", "command": ["sh", "-c", "exec sleep 60 > $BOSH_STORE/open"]})
    vm.wait_for_job_state("running")
    with pytest.raises(AgentSaysNoError) as no:
        vm.done("migrate_disk", "disk-1", "disk-2")
    assert "in use by sleep (pid " in str(no.value)
    (_inside(vm, vm.store) / "still").write_text("writable")


def test_a_busy_disk_is_unmounted_once_it_is_free(make_loop: MakeLoop, isolated: StartVm) -> None:
    """The agent tries for a while."""
    vm = isolated(make_loop())
    vm.done("mount_disk", "disk-1")
    vm.run_jobs({"name": "holder", "command": ["sh", "-c", "cd $BOSH_STORE && exec sleep 60"]})
    vm.wait_for_job_state("running")
    (holder,) = psutil.Process(vm.pid).children()
    vm.call("drain", "shutdown")
    marker = vm.call("unmount_disk", "disk-1")
    eventually(lambda: "running" in str(vm.call("get_task", marker["agent_task_id"])), lambda: "unmounted a busy disk")
    holder.kill()
    assert "Unmounted partition" in vm.result(marker)["message"]


def test_a_vm_that_is_lost_lets_go_of_its_disk(make_loop: MakeLoop, isolated: StartVm) -> None:
    """The mount goes with the namespace; the next VM has every synced byte, its journal replayed."""
    loop = make_loop()
    vm = isolated(loop)
    vm.done("mount_disk", "disk-1")
    rows = "import os; rows = open(os.environ['BOSH_STORE'] + '/rows', 'w')"
    job = f"{rows}\nfor row in range(10**9): print(row, file=rows, flush=True); os.fsync(rows.fileno())"
    vm.run_jobs({"name": "writer", "command": ["python3", "-c", job]})
    eventually((_inside(vm, vm.store) / "rows").exists, vm.log)
    os.killpg(vm.pid, signal.SIGKILL)
    vm.wait_until_gone()
    heir = isolated(loop)
    heir.done("mount_disk", "disk-1")
    written = (_inside(heir, heir.store) / "rows").read_text().splitlines()
    assert written
    assert written == [str(number) for number in range(len(written))]


def test_a_lost_vm_mounts_its_disk_again(make_loop: MakeLoop, isolated: StartVm) -> None:
    """The device may have another name then: the settings tell."""
    loop = make_loop()
    vm = isolated(loop)
    vm.done("mount_disk", "disk-1")
    (_inside(vm, vm.store) / "file").write_text("kept")
    vm.lose()
    spare = make_loop()
    loop.close()
    loop.device = run("losetup", "--find", "--show", str(loop.image))
    vm.attach({"disk-1": {"path": loop.device}, "disk-2": {"path": spare.device}})
    vm.start()
    assert vm.done("list_disk") == ["disk-1"]
    assert (_inside(vm, vm.store) / "file").read_text() == "kept"
