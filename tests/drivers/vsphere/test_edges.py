"""Room and names to the last byte; and what is said when something of a VM could not be removed."""

from types import SimpleNamespace
from typing import Any

import pytest

from cpi.contract import errors
from cpi.contract.units import MiB, bytes_from_mib
from cpi_drivers.vsphere import naming
from cpi_drivers.vsphere.api.datastores import Choice, roomiest
from cpi_drivers.vsphere.api.errors import Refused
from cpi_drivers.vsphere.disks.changes import DiskChanges
from cpi_drivers.vsphere.disks.growth import _is_to_grow
from cpi_drivers.vsphere.disks.snapshots import Snapshots
from fixtures.clouds.vcsim.answers import fault
from fixtures.clouds.vcsim.lab import Lab
from fixtures.proxy import Rule, effects
from tests.drivers.vsphere.conftest import Helper

_SIZE = bytes_from_mib(MiB(100))


def _store(free: int) -> Any:
    return SimpleNamespace(name="store", id="datastore-1", free=free)


def test_a_datastore_with_just_the_room_is_taken() -> None:
    """One byte less, and it is named with what it has."""
    enough, too_little = _store(_SIZE), _store(_SIZE - 1)
    assert roomiest([enough], _SIZE, "no disk", Choice(".*")) is enough
    with pytest.raises(errors.NoDiskSpace, match="100 MiB are needed; store has 99 MiB"):
        roomiest([too_little], _SIZE, "no disk", Choice(".*"))


@pytest.mark.parametrize("missing", [0, 1])
def test_a_disk_grows_into_just_the_room_that_is_left(missing: int) -> None:
    """A preallocated one takes all of it at once."""
    grown: list[int] = []
    vmdks: Any = SimpleNamespace(grow=lambda _, size: grown.append(size))
    vmdk: Any = SimpleNamespace(name="d", size=_SIZE, mib=100, is_thin=False, store=_store(_SIZE - missing))
    nothing: Any = None
    changes = DiskChanges(nothing, nothing, strict=False)
    if missing:
        with pytest.raises(errors.NoDiskSpace, match="cannot grow to 200 MiB"):
            changes._grow(vmdks, vmdk, MiB(200))
    else:
        changes._grow(vmdks, vmdk, MiB(200))
    assert grown == [200] * (1 - missing)


@pytest.mark.parametrize("missing", [0, 1])
def test_a_snapshot_takes_just_the_room_that_is_left(missing: int) -> None:
    """It is a copy of the whole disk."""
    copied: list[str] = []
    vmdk: Any = SimpleNamespace(name="d", size=_SIZE, mib=100, store=_store(_SIZE - missing))
    vmdks: Any = SimpleNamespace(copy=lambda _, name: copied.append(name), keep=lambda *_: None)
    disks: Any = SimpleNamespace(existing=lambda _: (vmdks, vmdk))
    context: Any = SimpleNamespace(director_uuid="d", request_id="r", token=None)
    nothing: Any = None
    snapshots = Snapshots(nothing, disks, nothing, context)
    if missing:
        with pytest.raises(errors.NoDiskSpace, match="it has 100 MiB, store has 99 MiB"):
            snapshots.create("disk-1", {})  # type: ignore[arg-type]  # any CID will do
    else:
        assert snapshots.create("disk-1", {}) == copied[0]  # type: ignore[arg-type]  # as above


def test_an_attached_disk_of_just_the_size_is_left_alone() -> None:
    """One that has snapshots could not grow, and need not."""
    disk: Any = SimpleNamespace(cid="disk-1", device=SimpleNamespace(capacityInKB=_SIZE >> 10))
    assert [_is_to_grow(disk, MiB(size)) for size in (100, 101)] == [False, True]


def test_the_longest_name_for_people_has_80_characters() -> None:
    """As many as the vCenter takes."""
    env: Any = {"bosh": {"groups": ["director", "d" * 60, "g" * 60]}}
    assert len(naming.readable_name(env, naming.name_of("vm", "token"))) == 80


@pytest.mark.slow
@pytest.mark.parametrize("stays", [False, True], ids=["removed", "not removed"])
def test_no_other_place_is_tried_while_something_of_the_last_is_there(vcenter: Lab, helper: Helper, *, stays: bool) -> None:
    """The VM does not start in the first cluster; a second one beside what is left there would take its address."""
    refused = effects.answer(500, fault("InvalidPowerState").body)
    clones = Rule("CloneVM_Task", effects.decided(lambda _: None))
    vcenter.proxy.inject(Rule("PowerOnVM_Task", effects.answer(500, fault("GenericVmConfigFault").body), times=1), clones)
    if not stays:
        assert helper.cloud.has_vm(helper.vm().cid)
    else:
        vcenter.proxy.inject(Rule("Destroy_Task", refused))
        with pytest.raises(errors.VMCreationFailed, match="GenericVmConfigFault") as caught:
            helper.vm()
        assert not caught.value.ok_to_retry
    assert clones.met == (1 if stays else 2)


@pytest.mark.slow
@pytest.mark.parametrize("stays", [False, True], ids=["removed", "not removed"])
def test_no_vm_is_tried_again_while_something_of_the_last_is_there(
    vcenter: Lab, helper: Helper, monkeypatch: pytest.MonkeyPatch, *, stays: bool
) -> None:
    """The vCenter has no time, which passes."""
    monkeypatch.setattr("cpi_drivers.vsphere.api.retries.SECONDS", 0.1)
    vcenter.proxy.inject(Rule("PowerOnVM_Task", effects.answer(503, b"")))
    if stays:
        vcenter.proxy.inject(Rule("Destroy_Task", effects.answer(500, fault("InvalidPowerState").body)))
    with pytest.raises(errors.VMCreationFailed) as caught:
        helper.vm()
    assert caught.value.ok_to_retry is not stays


def test_a_snapshot_says_of_which_disk_it_is_and_goes_if_that_cannot_be_written() -> None:
    """Nobody would know whose it was."""
    removed: list[str] = []
    kept: list[Any] = []

    def keep(_store: str, _name: str, record: Any) -> None:
        kept.append(record.metadata)
        raise errors.CloudError("no file can be written")

    vmdk: Any = SimpleNamespace(name="d", size=_SIZE, mib=100, store=_store(_SIZE))
    vmdks: Any = SimpleNamespace(
        copy=lambda *_: None, keep=keep, whole=lambda _, name: name, remove=lambda one: removed.append(one.name)
    )
    disks: Any = SimpleNamespace(existing=lambda _: (vmdks, vmdk))
    context: Any = SimpleNamespace(director_uuid="d", request_id="r", token=None)
    nothing: Any = None
    with pytest.raises(errors.CloudError, match="no file can be written"):
        Snapshots(nothing, disks, nothing, context).create("disk-1", {"job": "db"})  # type: ignore[arg-type]  # any CID will do
    assert [(record["disk"], record["job"]) for record in kept] == [("disk-1", "db")]
    assert len(removed) == 1


@pytest.mark.parametrize("name", ["NoDiskSpace", "InsufficientStorageSpace", "DatastoreNotWritableOnHost"])
def test_a_datastore_that_takes_no_more_is_full(name: str) -> None:
    """Whichever word the vCenter has for it."""
    assert Refused("making the disk", name, "no").is_no_room
