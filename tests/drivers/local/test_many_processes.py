"""Many CPIs at once on one cloud: each call is a process of its own."""

import json
from collections.abc import Sequence
from subprocess import Popen

import pytest

from cpi.contract import errors
from tests.drivers.local.place import Place

_CALLS = """
for number in range(int(sys.argv[3])):
    disk_cid = cloud.create_disk(1, {})
    cloud.set_disk_metadata(sys.argv[2], {f"{disk_cid}": number})
    assert cloud.has_disk(disk_cid)
    if number % 2:
        cloud.delete_disk(disk_cid)
    else:
        print(disk_cid)
"""

_SAME_DISK = """
print(cloud.create_disk(1, {}, token="one"))
"""

_SAME_VM = """
from cpi import AgentId
print(cloud.create_vm(AgentId("a"), sys.argv[2], {}, {}, token="one").cid)
"""

_BACK_AND_FORTH = """
from cpi.contract import errors
for _ in range(6):
    for call in (cloud.attach_disk, cloud.detach_disk):
        try:
            call(sys.argv[2], sys.argv[3])
        except errors.DiskNotAttached:
            pass
"""


def _said(started: Sequence[Popen[str]]) -> list[str]:
    said: list[str] = []
    for process in started:
        out, err = process.communicate(timeout=150)
        assert process.returncode == 0, err
        said.extend(out.split())
    return said


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("processes", [8, pytest.param(32, marks=pytest.mark.nightly)])
def test_many_processes_lose_no_update(place: Place, processes: int) -> None:
    """20 calls each, and none is told that the database is locked. What costs most here is that they start."""
    shared = place.disk()
    kept = _said([place.python(_CALLS, shared, "6") for _ in range(processes)])
    assert len(set(kept)) == 3 * processes
    assert place.count("disks") == 3 * processes + 1
    assert len(json.loads(place.row("disks", shared)["metadata"])) == 6 * processes


def test_processes_with_one_token_make_one_disk(place: Place) -> None:
    """All of them answer it."""
    assert len(set(_said([place.python(_SAME_DISK) for _ in range(6)]))) == 1
    assert place.count("disks") == 1


def test_processes_with_one_token_make_one_vm(place: Place) -> None:
    """Who comes second waits for the first."""
    stemcell_cid = place.stemcell()
    assert len(set(_said([place.python(_SAME_VM, stemcell_cid) for _ in range(3)]))) == 1
    assert place.count("vms") == 1


def test_two_processes_at_one_vm_take_turns(either: Place) -> None:
    """What is true at the end is true everywhere."""
    vm_cid, disk_cid = either.attached()
    _said([either.python(_BACK_AND_FORTH, vm_cid, disk_cid) for _ in range(2)])
    with pytest.raises(errors.DiskNotAttached):
        either.cloud.detach_disk(vm_cid, disk_cid)
    assert either.persistent_disks(vm_cid) == {}
    either.cloud.attach_disk(vm_cid, disk_cid)
    assert set(either.persistent_disks(vm_cid)) == {disk_cid}
