"""Each thing that can go wrong, by its name: the job ends up on the old disk with every row, and no other disk is left."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cpi.agent.errors import AgentTaskFailed
from cpi.agent.protocol import Deadlines
from cpi.contract import errors
from cpi.migration import Event, EventKind, MoveFailed
from fixtures.local_cloud import local_config
from tests.migration.conftest import on_folders, on_loop
from tests.migration.database_vm import DatabaseVm, database_vms
from tests.unit.migration.world import Faults

_COPIES = ["live_copy", "copy"]


class _Says(Faults):
    """What a cloud or an agent answers to one message: each time, or at its numbered times only; or it acts and says nothing."""

    def __init__(self, method: str, fault: errors.Error, *, times: tuple[int, ...] = (), acts: bool = False) -> None:
        super().__init__()
        self._method = method
        self.fault = fault
        self._times = times
        self._silent = acts

    def through(self, fault: errors.Error, call: Callable[[], Any]) -> Any:
        if not fault.message.startswith(f"{self._method}:"):
            return call()
        self.count += 1
        if self._times and self.count not in self._times:
            return call()
        if self._silent:
            call()
        raise self.fault


_REFUSED: dict[str, Callable[[], _Says]] = {
    "not enough quota": lambda: _Says("create_disk", errors.NoDiskSpace("no disk: the project's quota of 10 volumes is used up")),
    "attaching fails": lambda: _Says("attach_disk", errors.CloudError("no free slot at this VM"), times=(1,)),
    "the cloud is silent": lambda: _Says("attach_disk", errors.CloudError("no answer within 300 s"), times=(1,), acts=True),
    "mounting fails": lambda: _Says("mount_disk", AgentTaskFailed("mount: wrong fs type, bad superblock"), times=(1,)),
}


@pytest.mark.parametrize("strategy", _COPIES)
@pytest.mark.parametrize("why", _REFUSED)
def test_what_is_refused_leaves_the_job_on_the_old_disk(vm: DatabaseVm, strategy: str, why: str) -> None:
    """By a cloud or an agent, in words that reach whoever asked."""
    says = _REFUSED[why]()
    with pytest.raises(MoveFailed) as failed:
        vm.move(128, says, strategy=strategy, shell=vm.shell())
    assert says.fault.message in failed.value.message
    assert failed.value.report.jobs_down_seconds == 0 or strategy == "copy"
    _assert_undone(vm, failed.value)


@on_loop
def test_a_new_disk_that_can_not_be_mounted_in_the_old_ones_place_is_taken_away(vm: DatabaseVm) -> None:
    """The worst moment: neither disk is mounted."""
    third = _Says("mount_disk", AgentTaskFailed("mount: wrong fs type, bad superblock"), times=(3,))
    with pytest.raises(MoveFailed, match="bad superblock") as failed:
        vm.move(128, third, strategy="live_copy", shell=vm.shell())
    assert [step.name for step in failed.value.report.steps if step.undone][:1] == ["swap_disks"]
    _assert_undone(vm, failed.value)


@on_loop
def test_an_old_disk_that_stays_busy_is_left_where_it_is(vm: DatabaseVm) -> None:
    """It is still the store: nothing is tried again, the jobs are started, and nothing is left to do."""
    busy = _Says("unmount_disk", AgentTaskFailed("umount: target is busy"), times=tuple(range(3, 30)))
    with pytest.raises(MoveFailed, match="target is busy") as failed:
        vm.move(128, busy, strategy="live_copy", shell=vm.shell())
    undone = [step.name for step in failed.value.report.steps if step.undone]
    assert undone[:2] == ["swap_disks", "stop_jobs"]
    assert failed.value.left == ()
    assert busy.count == 3
    _assert_undone(vm, failed.value)


@pytest.mark.root
@pytest.mark.parametrize("strategy", _COPIES)
def test_a_filesystem_that_can_not_be_made_fails_the_move(tmp_path: Path, strategy: str) -> None:
    """mkfs.xfs makes none below 300 MB; the old disk has one."""
    with database_vms(tmp_path, local_config(tmp_path, "loop"), {"persistent_disk_fs": "xfs"}) as make:
        vm = make(320, 4)
        with pytest.raises(MoveFailed, match=r"mkfs\.xfs") as failed:
            vm.move(128, strategy=strategy, shell=vm.shell())
        _assert_undone(vm, failed.value)


@pytest.mark.root
@pytest.mark.parametrize("strategy", _COPIES)
def test_a_filesystem_that_is_broken_fails_the_move(tmp_path: Path, strategy: str) -> None:
    """What makes disks makes one with a torn ext4 on it: nobody formats it, and it cannot be mounted."""
    with database_vms(tmp_path, local_config(tmp_path, "loop")) as make:
        vm = make(96, 4)

        def tear(event: Event) -> None:
            if (event.step, event.kind) == ("create_disk", EventKind.DONE):
                (new,) = vm.disks() - {vm.disk_cid}
                with (vm.root / "disks" / new / "image").open("r+b") as image:
                    image.seek(5 << 20)
                    image.write(b"torn" * 1000)

        with pytest.raises(MoveFailed, match="it is not formatted, look what is on it") as failed:
            vm.move(128, strategy=strategy, shell=vm.shell(), on_event=tear)
        _assert_undone(vm, failed.value)


@pytest.mark.root
@pytest.mark.parametrize("strategy", _COPIES)
def test_an_xfs_that_is_full_fails_the_move(tmp_path: Path, strategy: str) -> None:
    """A real "no space left": before anything is copied where the guest can be asked, else in the middle of the copy."""
    with database_vms(tmp_path, local_config(tmp_path, "loop"), {"persistent_disk_fs": "xfs"}) as make:
        vm = make(700, 310)
        shell = vm.shell() if strategy == "live_copy" else None
        with pytest.raises(MoveFailed, match=r"does not fit: \d+ bytes|No space left on device") as failed:
            vm.move(330, strategy=strategy, shell=shell)
        _assert_undone(vm, failed.value)


@pytest.mark.root
def test_an_xfs_grows_in_place_and_by_copying(tmp_path: Path) -> None:
    """By the cloud and xfs_growfs, then by the agent's own copy; the filesystem is as large as its disk."""
    with database_vms(tmp_path, local_config(tmp_path, "loop"), {"persistent_disk_fs": "xfs"}) as make:
        vm = make(320, 8)
        vm.move(400, old_size=320, old_cloud_properties={})
        vm.assert_well()
        assert _mib(vm) > 320
        vm.move(480, strategy="copy")
        vm.assert_well()
        assert _mib(vm) > 400


def _mib(vm: DatabaseVm) -> int:
    status = os.statvfs(vm.seen / "var/vcap/store")
    return status.f_blocks * status.f_frsize >> 20


@on_folders
@pytest.mark.parametrize(("strategy", "step"), [("live_copy", "verify_live"), ("copy", "attach_new_disk")])
def test_an_agent_that_is_silent_for_a_while_fails_the_move(vm: DatabaseVm, strategy: str, step: str) -> None:
    """It is stopped as a machine under load may be, and goes on while the move is undone."""
    leader = vm.group

    def silence(event: Event) -> None:
        if (event.step, event.kind) == (step, EventKind.BEGUN):
            vm.agent.deadlines = Deadlines(message=1, ready=1)
            os.kill(leader, signal.SIGSTOP)
        if event.kind is EventKind.FAILED:
            vm.agent.deadlines = Deadlines()
            os.kill(leader, signal.SIGCONT)

    with pytest.raises(MoveFailed, match=r"did not answer|was not ready") as failed:
        vm.move(128, strategy=strategy, shell=vm.shell(), on_event=silence)
    assert vm.agent.deadlines == Deadlines()
    _assert_undone(vm, failed.value)


@on_folders
@pytest.mark.parametrize("strategy", _COPIES)
def test_a_job_that_can_not_be_drained_fails_the_move(vm: DatabaseVm, strategy: str) -> None:
    """Its own script says so, to a real agent; it goes on as before."""
    (job,) = vm.spec["jobs"]
    vm.agent.apply({"jobs": [{**job, "drain": {"command": ["sh", "-c", "echo still writing >&2; exit 3", "drain"]}}]})
    with pytest.raises(MoveFailed, match=r"drain: .*rows.*exit status 3") as failed:
        vm.move(128, strategy=strategy, shell=vm.shell())
    _assert_undone(vm, failed.value)
    vm.agent.apply(vm.spec)


def _assert_undone(vm: DatabaseVm, failed: MoveFailed) -> None:
    assert (failed.left, failed.swapped, failed.report.disk_cid) == ((), False, vm.disk_cid)
    vm.assert_well()
    assert vm.disks() == {vm.disk_cid}
