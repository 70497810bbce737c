"""What holds the disk and is no job: nothing that it was told is written gets lost, or the move is undone and names it."""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
