"""kill -9 of the CPI in the middle of a call, at every kind of thing it does: the next call finds a true state."""

import pytest

from cpi.contract import errors
from cpi.contract.ids import VmCid
from cpi.contract.model import Network
from cpi.contract.units import MiB
from cpi_drivers.local.host import loop_devices
from tests.drivers.local.killed_calls import killed_calls
from tests.drivers.local.place import AGENT, Place

AGAIN = "token-1"
_STEP = 8
_OFFSETS = range(1, _STEP + 1)
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("first", range(1, 4))
def test_a_killed_create_disk_is_repeated_with_its_token(place: Place, first: int) -> None:
    """Nothing of the killed one stays."""
    killed = 0
    for _ in killed_calls(place, f"cloud.create_disk(10, {{}}, token={AGAIN!r})", 3, first):
        killed += 1
        disk_cid = place.cloud.create_disk(MiB(10), {}, token=AGAIN)
        assert place.count("disks") == 1
        assert [path.name for path in (place.root / "disks").iterdir()] == [disk_cid]
        place.cloud.delete_disk(disk_cid)
        assert place.leftovers() == []
    assert killed >= 2
    place.cloud.delete_disk(place.cloud.create_disk(MiB(10), {}, token=AGAIN))
    assert place.leftovers() == []


@pytest.mark.parametrize("first", _OFFSETS)
def test_a_killed_create_vm_leaves_nothing_after_the_next_call(place: Place, first: int) -> None:
    """Neither its folder nor its address nor its processes; the same token makes it anew."""
    stemcell_cid = place.stemcell()
    before = place.leftovers()
    networks = "{'n': Network(ip='10.1.1.1')}"
    call = f"cloud.create_vm(AgentId('a'), {str(stemcell_cid)!r}, {{}}, {networks}, token={AGAIN!r})"
    killed = 0
    for _ in killed_calls(place, call, _STEP, first):
        killed += 1
        folders = list((place.root / "vms").glob("*"))
        if killed % 2:
            assert not place.cloud.has_vm(VmCid("vm-any")) or folders
        made = place.cloud.create_vm(AGENT, stemcell_cid, {}, {"n": Network(ip="10.1.1.1")}, token=AGAIN)
        assert place.cloud.has_vm(made.cid)
        assert [path.name for path in (place.root / "vms").iterdir()] == [made.cid]
        assert not any(place.process(VmCid(folder.name)).alive() for folder in folders if folder.name != made.cid)
        place.cloud.delete_vm(made.cid)
        assert place.leftovers() == before
    assert killed >= 1


@pytest.mark.parametrize("first", _OFFSETS)
def test_a_killed_attach_disk_is_repeated_or_undone(either: Place, first: int) -> None:
    """Record, settings and device say the same; the disk can be attached and deleted."""
    vm_cid, disk_cid = either.vm().cid, either.disk()
    killed = 0
    for _ in killed_calls(either, f"cloud.attach_disk({str(vm_cid)!r}, {str(disk_cid)!r})", _STEP, first):
        killed += 1
        attached = either.cloud.get_disks(vm_cid)
        assert either.persistent_disks(vm_cid).keys() == set(attached)
        _device_is_as_recorded(either)
        hint = either.cloud.attach_disk(vm_cid, disk_cid)
        assert either.persistent_disks(vm_cid) == {disk_cid: {"path": hint.path}}
        either.cloud.detach_disk(vm_cid, disk_cid)
    assert killed >= 1


@pytest.mark.parametrize("first", _OFFSETS)
def test_a_killed_detach_disk_is_ended_or_undone(either: Place, first: int) -> None:
    """Never half."""
    vm_cid, disk_cid = either.attached()
    killed = 0
    for _ in killed_calls(either, f"cloud.detach_disk({str(vm_cid)!r}, {str(disk_cid)!r})", _STEP, first):
        killed += 1
        attached = either.cloud.get_disks(vm_cid)
        assert either.persistent_disks(vm_cid).keys() == set(attached)
        _device_is_as_recorded(either)
        either.cloud.attach_disk(vm_cid, disk_cid)
    assert killed >= 1
    with pytest.raises(errors.DiskNotAttached):
        either.cloud.detach_disk(vm_cid, disk_cid)


@pytest.mark.parametrize("last", range(1, 40, 3))
def test_a_killed_delete_vm_is_ended_or_not_begun(place: Place, last: int) -> None:
    """The next call finds the VM whole or gone; then its disk is free and its address too."""
    stemcell_cid, disk_cid = place.stemcell(), place.disk()
    networks = {"n": Network(ip="10.1.1.1")}
    vm_cid = place.vm(stemcell_cid, networks).cid
    place.cloud.attach_disk(vm_cid, disk_cid)
    next(killed_calls(place, f"cloud.delete_vm({str(vm_cid)!r})", 1, last), None)
    if place.cloud.has_vm(vm_cid):
        place.cloud.delete_vm(vm_cid)
    assert not list((place.root / "vms").iterdir())
    place.cloud.attach_disk(place.vm(stemcell_cid, networks).cid, disk_cid)


def _device_is_as_recorded(place: Place) -> None:
    for folder in (place.root / "disks").iterdir():
        recorded = place.row("disks", folder.name)
        assert recorded["link"] in {"", "attached"}
        if (folder / "image").exists():
            assert loop_devices.device_of(folder / "image") == recorded["hint"]
