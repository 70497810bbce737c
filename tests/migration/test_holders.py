"""What holds the disk and is no job: nothing that it was told is written gets lost, or the move is undone and names it."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from cpi.agent.shell import OnOutput, Output
from cpi.contract.units import MiB
from cpi.migration import MoveFailed
from cpi.migration.disks import Site
from cpi.migration.forecast import dry_run
from cpi.migration.holding import holders_from, told
from cpi.migration.plan import Order
from tests.migration.database_vm import DatabaseVm
from tests.migration.guest_shells import VmShell


@pytest.fixture
def backing() -> str:
    """Only what has a filesystem of its own can be held."""
    return "loop"


class _Writer:
    """Opens, appends, syncs, closes, again and again; counts what it was told is written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._path.touch()
        self._over = threading.Event()
        self.written: list[bytes] = []

    @contextmanager
    def at_work(self) -> Iterator[None]:
        thread = threading.Thread(target=self._write)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _write(self) -> None:
        number = 0
        while not self._over.wait(0.02):
            number += 1
            row = b"%d\n" % number
            try:
                file = os.open(self._path, os.O_WRONLY | os.O_APPEND)
            except OSError:  # it is read-only, or not mounted, for a moment
                continue
            try:
                os.write(file, row)
                os.fsync(file)
                self.written.append(row)
            except OSError:
                continue
            finally:
                os.close(file)


@pytest.mark.root
def test_what_is_no_job_and_writes_loses_nothing(vm: DatabaseVm) -> None:
    """Every row that was synced is on the new disk, whenever it was written."""
    writer = _Writer(vm.seen / "var/vcap/store/log")
    with writer.at_work():
        for size in (128, 96):
            vm.move(size, strategy="live_copy", shell=vm.shell())
    vm.assert_well()
    rows = set((vm.seen / "var/vcap/store/log").read_bytes().splitlines(keepends=True))
    assert [row for row in writer.written if row not in rows] == []
    assert writer.written


@pytest.mark.root
def test_who_keeps_a_file_open_for_writing_is_named_and_the_move_undone(vm: DatabaseVm) -> None:
    """By a dry run, and with the jobs down; the jobs can write again."""
    order = Order(move_id="dry", vm_cid=vm.vm_cid, old_disk_cid=vm.disk_cid, size=MiB(128))
    with (vm.seen / "var/vcap/store/held").open("w"):
        foretold = dry_run(order, Site(vm.cloud, vm.agent, vm.vm_cid, vm.shell()))
        with pytest.raises(MoveFailed) as failed:
            vm.move(128, strategy="live_copy", shell=vm.shell())
    named = f"process {os.getpid()} ("
    assert [held for held in foretold.held_by if held.startswith(named) and held.endswith("store/held")]
    assert not [held for held in foretold.held_by if "rows.sqlite" in held]
    assert named in failed.value.message
    assert [note for note in failed.value.report.notes if "a process that is not a job" in note and named in note]
    assert (failed.value.left, failed.value.swapped) == ((), False)
    vm.assert_well()
    assert vm.disks() == {vm.disk_cid}


@pytest.mark.root
def test_a_bind_mount_of_the_disk_is_named_and_the_move_undone(vm: DatabaseVm) -> None:
    """What is mounted a second time would stay behind."""
    shell, second = vm.shell(), vm.seen / "second"
    second.mkdir()
    places = [f"{shell.root}/var/vcap/store", f"{shell.root}/second"]
    assert shell.run(["mount", "--bind", *places], deadline_seconds=60).status == 0
    with pytest.raises(MoveFailed, match=r"sees it mounted at \S*/second"):
        vm.move(128, strategy="live_copy", shell=shell)
    assert shell.run(["umount", places[1]], deadline_seconds=60).status == 0
    vm.assert_well()
    assert vm.disks() == {vm.disk_cid}


def _with_a_socket(store: Path, _shell: VmShell, made: ExitStack) -> str:
    """Bound by a relative name, which is gone by the time that it is looked for."""
    command = (
        "import os, socket, sys; os.chdir(sys.argv[1]); s = socket.socket(socket.AF_UNIX); s.bind('s'); os.chdir('/'); s.listen()"
    )
    program = subprocess.Popen(
        [sys.executable, "-c", f"{command}; print(flush=True); sys.stdin.read()", str(store)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    made.callback(program.communicate)
    assert program.stdout is not None
    program.stdout.readline()
    (store / "s").unlink()
    return f"process {program.pid} ({sys.executable} -c import os, socket"


def _with_a_loop_device(store: Path, _shell: VmShell, made: ExitStack) -> str:
    with (store / "image").open("wb") as image:
        image.truncate(1 << 20)
    device = subprocess.run(
        ["losetup", "-f", "--show", store / "image"], check=True, capture_output=True, text=True
    ).stdout.strip()
    made.callback(subprocess.run, ["losetup", "-d", device], check=True)
    return f"the loop device {device} uses "


def _with_swap(store: Path, _shell: VmShell, made: ExitStack) -> str:
    (store / "swap").write_bytes(bytes(1 << 20))
    (store / "swap").chmod(0o600)
    subprocess.run(["mkswap", "-q", store / "swap"], check=True)
    subprocess.run(["swapon", store / "swap"], check=True)
    made.callback(subprocess.run, ["swapoff", str(store / "swap")], check=True)
    return "store/swap is used as swap"


def _with_an_overlay(store: Path, shell: VmShell, made: ExitStack) -> str:
    for name in ("lower", "upper", "work"):
        (store / name).mkdir()
    place, merged = f"{shell.root}/var/vcap/store", f"{shell.root}/merged"
    (store.parents[2] / "merged").mkdir()
    options = f"lowerdir={place}/lower,upperdir={place}/upper,workdir={place}/work"
    assert shell.run(["mount", "-t", "overlay", "none", "-o", options, merged], deadline_seconds=60).status == 0
    made.callback(shell.run, ["umount", merged], deadline_seconds=60)
    return f"the overlay mounted at {merged} uses {place}/"


@pytest.mark.root
@pytest.mark.parametrize("hold", [_with_a_socket, _with_a_loop_device, _with_swap, _with_an_overlay])
def test_what_holds_the_disk_without_an_open_file_is_named_before_anything_is_unmounted(
    vm: DatabaseVm, hold: Callable[[Path, VmShell, ExitStack], str]
) -> None:
    """A socket's name, files that the kernel uses: no list of open files has them, and the disk cannot be unmounted."""
    order = Order(move_id="dry", vm_cid=vm.vm_cid, old_disk_cid=vm.disk_cid, size=MiB(128))
    with ExitStack() as made:
        named = hold(vm.seen / "var/vcap/store", vm.shell(), made)
        foretold = dry_run(order, Site(vm.cloud, vm.agent, vm.vm_cid, vm.shell()))
        with pytest.raises(MoveFailed) as failed:
            vm.move(128, strategy="live_copy", shell=vm.shell())
    assert [held for held in foretold.held_by if named in held]
    assert named in failed.value.message
    assert "swap_disks" not in [step.name for step in failed.value.report.steps]
    vm.assert_well()


def test_of_each_process_one_thing_is_told_and_writing_comes_first() -> None:
    """As the script says it."""
    said = b"7\t0\t0\tcwd\t/store/a\tsh -c x\n7\t0\t1\topen\t/store/log\tsh -c x\n8\t1\t0\tmapped\t/store/b\tjob\n"
    held = holders_from(said)
    assert [holder.of_a_job for holder in held] == [False, False, True]
    assert told(held) == "process 7 (sh -c x) writes to /store/log; process 8 (job) has mapped /store/b"


class _CopiedView:
    """A shell whose commands see a copy of the VM's mounts, as sshd's sessions do where the machine has no /run/sshd."""

    def __init__(self, inner: VmShell) -> None:
        self._inner = inner
        self.root = inner.root

    def run(
        self, command: Sequence[str], *, deadline_seconds: float, stdin: bytes = b"", on_output: OnOutput | None = None
    ) -> Output:
        """As a Shell does."""
        inside = ["unshare", "--mount", "--propagation", "slave", *command]
        return self._inner.run(inside, deadline_seconds=deadline_seconds, stdin=stdin, on_output=on_output)


@pytest.mark.root
def test_a_shell_in_a_copy_of_the_guests_mounts_does_not_hold_the_disk(vm: DatabaseVm) -> None:
    """The agent unmounts the guest's own: it is no stranger's."""
    vm.move(128, strategy="live_copy", shell=_CopiedView(vm.shell()))
    vm.assert_well()
