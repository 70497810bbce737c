"""Persistent disks."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cpi.connecting import connect
from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import CallContext
from cpi.contract.units import MiB
from cpi_drivers.local.host import locks
from tests.drivers.local.place import Place

Calls = list[Callable[[], object]]
FIRST, SECOND = "token-1", "token-2"


@pytest.mark.root
def test_an_image_is_sparse_and_of_the_size(loop_place: Place) -> None:
    """It takes what is written to it."""
    image = loop_place.layout.disk(loop_place.disk(1024)) / "image"
    assert image.stat().st_size == 1024 * 1024 * 1024
    assert image.stat().st_blocks == 0


def test_a_disk_is_there_until_it_is_deleted(either: Place) -> None:
    """And leaves nothing."""
    disk_cid = either.disk()
    assert either.connect().has_disk(disk_cid)
    either.cloud.delete_disk(disk_cid)
    assert not either.cloud.has_disk(disk_cid)
    either.cloud.delete_disk(disk_cid)
    assert either.leftovers() == []


@pytest.mark.parametrize("size", [0, -1, True, 1.5, "64", None, 2**60])
def test_a_size_that_is_none_is_refused(place: Place, size: Any) -> None:
    """Before anything is made."""
    with pytest.raises(errors.CpiError, match="whole number of MiB"):
        place.cloud.create_disk(size, {})
    disk_cid = place.disk()
    with pytest.raises(errors.CpiError, match="whole number of MiB"):
        place.cloud.resize_disk(disk_cid, size)
    assert place.count("disks") == 1


@pytest.mark.root
def test_a_size_that_no_file_can_have_is_no_disk_space(loop_place: Place) -> None:
    """And nothing is left."""
    with pytest.raises(errors.NoDiskSpace):
        loop_place.disk(2**40)
    assert loop_place.leftovers() == []


def test_the_name_of_a_dynamic_disk_and_who_asked_are_on_record(place: Place) -> None:
    """From birth."""
    cloud = place.connect(CallContext(director_uuid="d1", request_id="cpi-123456"))
    row = place.row("disks", cloud.create_disk(MiB(5), {"name": "dynamic-7", "type": "gp3"}))
    born = json.loads(row["born"])
    assert (row["name"], row["size"], json.loads(row["properties"])) == ("dynamic-7", 5, {"name": "dynamic-7", "type": "gp3"})
    assert (born["director_uuid"], born["request_id"], born["made_by"]) == ("d1", "cpi-123456", "multicpi")


def test_the_same_token_is_the_same_disk(place: Place) -> None:
    """Another token, or none, is another."""
    first = place.cloud.create_disk(MiB(5), {}, token=FIRST)
    assert place.connect().create_disk(MiB(5), {}, token=FIRST) == first
    assert len({first, place.cloud.create_disk(MiB(5), {}, token=SECOND), place.disk(), place.disk()}) == 4


def test_the_token_of_a_deleted_disk_makes_a_new_one(place: Place) -> None:
    """It named what is gone."""
    first = place.cloud.create_disk(MiB(5), {}, token=FIRST)
    place.cloud.delete_disk(first)
    assert place.cloud.create_disk(MiB(5), {}, token=FIRST) != first


def test_cloud_properties_of_the_wrong_type_are_refused_all_at_once(place: Place) -> None:
    """Nothing is made."""
    with pytest.raises(errors.CpiError, match=r"(?s)cloud_properties\.name: .*cloud_properties\.backing: "):
        place.cloud.create_disk(MiB(5), {"name": ["3"], "backing": "tape"})
    assert place.leftovers() == []


def test_strict_properties_refuse_what_is_not_known(place: Place) -> None:
    """Else they are passed over."""
    document = place.document()
    document["cloud"]["properties"]["strict_properties"] = True
    with pytest.raises(errors.CpiError, match=r"cloud_properties\.nam: unknown key; did you mean 'name'?"):
        connect(document).create_disk(MiB(5), {"nam": "x"})
    place.disk(nam="x")


@pytest.mark.parametrize("absent", ["disk-absent", "../../etc", "", "disk\x00", "d" * 5000, "disk-\ud800"])
def test_a_disk_that_does_not_exist_is_told(place: Place, absent: str) -> None:
    """Whatever its CID looks like; no path is made of it."""
    disk_cid: Any = absent
    place.disk()
    cloud, vm_cid = place.cloud, place.vm().cid
    before = place.leftovers()
    assert not cloud.has_disk(disk_cid)
    cloud.delete_disk(disk_cid)
    calls: Calls = [
        lambda: cloud.attach_disk(vm_cid, disk_cid),
        lambda: cloud.detach_disk(vm_cid, disk_cid),
        lambda: cloud.resize_disk(disk_cid, MiB(100)),
        lambda: cloud.update_disk(disk_cid, MiB(100), {}),
        lambda: cloud.set_disk_metadata(disk_cid, {"a": "b"}),
        lambda: cloud.snapshot_disk(disk_cid, {}),
    ]
    for call in calls:
        with pytest.raises(errors.DiskNotFound):
            call()
    assert place.leftovers() == before


def test_a_vm_that_does_not_exist_is_told(place: Place) -> None:
    """By every method that takes one, also beside a disk that exists."""
    cloud, vm_cid, disk_cid = place.cloud, VmCid("vm-absent"), place.disk()
    assert not cloud.has_vm(vm_cid)
    cloud.delete_vm(vm_cid)
    calls: Calls = [
        lambda: cloud.attach_disk(vm_cid, disk_cid),
        lambda: cloud.detach_disk(vm_cid, disk_cid),
        lambda: cloud.get_disks(vm_cid),
        lambda: cloud.reboot_vm(vm_cid),
        lambda: cloud.set_vm_metadata(vm_cid, {}),
        lambda: cloud.agent_settings(vm_cid),
        lambda: cloud.create_disk(MiB(1), {}, vm_cid),
    ]
    for call in calls:
        with pytest.raises(errors.VMNotFound):
            call()
    assert place.count("disks") == 1


def test_resizing_grows_and_never_shrinks(either: Place) -> None:
    """Decided before the disk is touched."""
    disk_cid = either.disk(64)
    either.cloud.resize_disk(disk_cid, MiB(128))
    either.cloud.resize_disk(disk_cid, MiB(128))
    with pytest.raises(errors.NotSupported, match="has 128 MiB and cannot be made smaller, 127 MiB"):
        either.cloud.resize_disk(disk_cid, MiB(127))
    assert either.row("disks", disk_cid)["size"] == 128
    folder = either.layout.disk(disk_cid)
    if (folder / "image").exists():
        assert (folder / "image").stat().st_size == 128 * 1024 * 1024
    else:
        assert (folder / "size").read_text() == "128\n"


def test_updating_grows_and_takes_the_properties_over(place: Place) -> None:
    """In place: the CID stays."""
    disk_cid = place.disk(64)
    assert place.cloud.update_disk(disk_cid, MiB(65), {"name": "n", "other": 1}) == disk_cid
    assert place.cloud.update_disk(disk_cid, MiB(65), {"name": "n", "other": 1}) == disk_cid
    row = place.row("disks", disk_cid)
    assert (row["size"], row["name"], json.loads(row["properties"])) == (65, "n", {"name": "n", "other": 1})


@pytest.mark.root
def test_updating_to_less_or_to_another_backing_is_not_supported(place: Place) -> None:
    """So that a director copies; nothing is changed."""
    disk_cid = place.disk(64)
    before = place.row("disks", disk_cid)
    with pytest.raises(errors.NotSupported, match="smaller"):
        place.cloud.update_disk(disk_cid, MiB(63), {"name": "n"})
    with pytest.raises(errors.NotSupported, match="is kept as folder and not as loop"):
        place.cloud.update_disk(disk_cid, MiB(65), {"backing": "loop"})
    assert place.row("disks", disk_cid) == before


def test_an_attached_disk_is_not_deleted_resized_or_updated(place: Place) -> None:
    """The error names the VM that has it."""
    vm_cid, disk_cid = place.attached()
    calls: Calls = [
        lambda: place.cloud.delete_disk(disk_cid),
        lambda: place.cloud.resize_disk(disk_cid, MiB(100)),
        lambda: place.cloud.update_disk(disk_cid, MiB(100), {}),
    ]
    for call in calls:
        with pytest.raises(errors.CloudError, match=f"while it is attached to VM {vm_cid}"):
            call()
    assert place.cloud.has_disk(disk_cid)


def test_metadata_is_added_to_what_is_there(place: Place) -> None:
    """Also while somebody works on the disk for long."""
    disk_cid = place.disk()
    place.cloud.set_disk_metadata(disk_cid, {"a": 1, "b": "x" * 1000})
    with locks.held(place.layout.lock(disk_cid), "the disk"):
        place.cloud.set_disk_metadata(disk_cid, {"a": 2})
    assert json.loads(place.row("disks", disk_cid)["metadata"]) == {"a": "2", "b": "x" * 255}


def test_a_missing_disk_is_no_reason_for_a_lock_to_stay(place: Place) -> None:
    """Asking for what never was leaves no file."""
    place.disk()
    with pytest.raises(errors.DiskNotFound):
        place.cloud.resize_disk(DiskCid("disk-absent"), MiB(1))
    assert len(list((place.root / "locks").iterdir())) == 1


@pytest.mark.root
def test_a_growth_that_was_killed_before_the_device_took_the_size_is_finished_by_a_repeat(loop_place: Place) -> None:
    """The image is large already, and what the VM sees is not; a repeat that has nothing to do changes nothing."""
    vm_cid, disk_cid = loop_place.attached(64)
    image = loop_place.layout.disk(disk_cid) / "image"
    device = Path("/sys/class/block") / Path(loop_place.row("disks", disk_cid)["hint"]).name / "size"
    os.truncate(image, 96 * 1024 * 1024)
    assert int(device.read_text()) * 512 == 64 * 1024 * 1024
    for _ in range(2):
        loop_place.cloud.grow_attached_disk(vm_cid, disk_cid, MiB(96))
        assert int(device.read_text()) * 512 == 96 * 1024 * 1024
    assert loop_place.row("disks", disk_cid)["size"] == 96
