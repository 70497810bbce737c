"""Attaching disks and taking them away."""

import os
from pathlib import Path

import pytest

from cpi.contract import errors
from cpi.contract.model import DiskHint
from cpi.contract.units import MiB
from cpi_drivers.local.disks import lifecycle
from cpi_drivers.local.disks.backings import BACKINGS
from cpi_drivers.local.host import loop_devices
from tests.drivers.local.place import Place


def test_the_hint_leads_to_the_disk(either: Place) -> None:
    """The agent is told the same in its settings."""
    vm_cid, disk_cid = either.vm().cid, either.disk()
    hint = either.cloud.attach_disk(vm_cid, disk_cid)
    assert Path(hint.path).exists()
    assert either.persistent_disks(vm_cid) == {disk_cid: {"path": hint.path}}
    assert either.cloud.get_disks(vm_cid) == [disk_cid]


def test_attaching_again_answers_the_same_hint(either: Place) -> None:
    """And makes no second device."""
    vm_cid, disk_cid = either.attached()
    hint = either.cloud.attach_disk(vm_cid, disk_cid)
    assert either.connect().attach_disk(vm_cid, disk_cid) == hint
    assert either.persistent_disks(vm_cid) == {disk_cid: {"path": hint.path}}


def test_a_disk_attached_elsewhere_is_refused_naming_where(place: Place) -> None:
    """Nothing changes."""
    stemcell_cid = place.stemcell()
    first, second, disk_cid = place.vm(stemcell_cid).cid, place.vm(stemcell_cid).cid, place.disk()
    place.cloud.attach_disk(first, disk_cid)
    with pytest.raises(errors.CloudError, match=f"VM {first} has it"):
        place.cloud.attach_disk(second, disk_cid)
    assert place.cloud.get_disks(second) == []
    with pytest.raises(errors.DiskNotAttached, match=f"is not attached to VM {second}; it is attached to VM {first}"):
        place.cloud.detach_disk(second, disk_cid)


def test_a_detached_disk_is_free_at_once(either: Place) -> None:
    """For deletion, growth, another VM; the agent is told."""
    vm_cid, disk_cid = either.attached()
    other = either.disk()
    either.cloud.attach_disk(vm_cid, other)
    either.cloud.detach_disk(vm_cid, disk_cid)
    assert set(either.persistent_disks(vm_cid)) == {other}
    assert either.cloud.get_disks(vm_cid) == [other]
    either.cloud.resize_disk(disk_cid, MiB(100))
    either.cloud.delete_disk(disk_cid)
    with pytest.raises(errors.DiskNotFound):
        either.cloud.detach_disk(vm_cid, disk_cid)


def test_detaching_twice_is_disk_not_attached(place: Place) -> None:
    """A director wants to know."""
    vm_cid, disk_cid = place.attached()
    place.cloud.detach_disk(vm_cid, disk_cid)
    with pytest.raises(errors.DiskNotAttached):
        place.cloud.detach_disk(vm_cid, disk_cid)


@pytest.mark.root
def test_an_image_never_has_two_devices(loop_place: Place) -> None:
    """Whoever sets it up."""
    vm_cid, disk_cid = loop_place.attached()
    image = loop_place.layout.disk(disk_cid) / "image"
    assert loop_devices.connect(image) == loop_place.cloud.attach_disk(vm_cid, disk_cid).path
    loop_place.cloud.detach_disk(vm_cid, disk_cid)
    assert loop_devices.device_of(image) == ""


@pytest.mark.root
def test_a_device_that_was_taken_away_is_set_up_again(loop_place: Place) -> None:
    """As after a restart of the machine, when another image may have its number."""
    vm_cid, disk_cid = loop_place.attached()
    other = loop_place.disk()
    image = loop_place.layout.disk(disk_cid) / "image"
    old = loop_devices.device_of(image)
    loop_devices.disconnect(image)
    taker = loop_devices.connect(loop_place.layout.disk(other) / "image")
    hint = loop_place.cloud.attach_disk(vm_cid, disk_cid)
    assert hint.path == loop_devices.device_of(image) != ""
    assert loop_place.persistent_disks(vm_cid) == {disk_cid: {"path": hint.path}}
    assert taker != hint.path
    assert old


@pytest.mark.root
def test_a_disk_in_use_is_not_taken_away(loop_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its VM's processes would write into nothing: it stays attached, and the error says what to do."""
    monkeypatch.setattr(loop_devices, "_RELEASE_SECONDS", 0.1)
    vm_cid, disk_cid = loop_place.attached()
    hint = loop_place.cloud.attach_disk(vm_cid, disk_cid)
    claim = os.open(hint.path, os.O_RDONLY | os.O_EXCL)
    try:
        with pytest.raises(errors.CloudError, match=r"unmount it there first: its device /dev/loop\d+ is in use"):
            loop_place.cloud.detach_disk(vm_cid, disk_cid)
        assert loop_place.cloud.get_disks(vm_cid) == [disk_cid]
        assert loop_place.persistent_disks(vm_cid) == {disk_cid: {"path": hint.path}}
    finally:
        os.close(claim)
    loop_place.cloud.detach_disk(vm_cid, disk_cid)


@pytest.mark.root
def test_an_attach_that_fails_leaves_the_disk_loose(loop_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """On record, in the settings and as a device."""
    vm_cid, disk_cid = loop_place.vm().cid, loop_place.disk()

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("cpi_drivers.local.host.agent_documents.write", fail)
        with pytest.raises(errors.CloudError, match="Input/output error"):
            loop_place.cloud.attach_disk(vm_cid, disk_cid)
    assert loop_place.cloud.get_disks(vm_cid) == []
    assert loop_devices.device_of(loop_place.layout.disk(disk_cid) / "image") == ""
    assert isinstance(loop_place.cloud.attach_disk(vm_cid, disk_cid), DiskHint)


def test_a_disk_that_cannot_be_connected_stays_free(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, and not only when somebody settles what a dead process left."""
    vm_cid, disk_cid = place.vm().cid, place.disk()

    def refuse(*_: object) -> str:
        raise errors.CloudError("no device is free")

    with monkeypatch.context() as patch:
        patch.setattr(type(BACKINGS["folder"]), "connect", refuse)
        with pytest.raises(errors.CloudError, match="no device is free"):
            place.cloud.attach_disk(vm_cid, disk_cid)
    row = place.row("disks", disk_cid)
    assert (row["vm_cid"], row["link"], row["hint"]) == (None, "", "")


def test_the_largest_disk_there_can_be_is_taken() -> None:
    """A MiB more is refused before anything is made."""
    lifecycle._check_size(2**42)
    with pytest.raises(errors.CpiError, match="a positive whole number of MiB"):
        lifecycle._check_size(2**42 + 1)
