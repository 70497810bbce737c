"""Sizes and lengths to the last one; and what is said when something of a VM could not be removed."""

import uuid
from types import SimpleNamespace
from typing import Any

import pytest

from cpi.contract import errors
from cpi.contract.ids import VmCid
from cpi.contract.model import Network
from cpi.contract.operator import GrowsAttachedDisks, ShowsDiskTags
from cpi.contract.units import MiB
from cpi.kit.tagging import TOKEN
from cpi_drivers.vcloud import naming
from cpi_drivers.vcloud.api import hardware
from cpi_drivers.vcloud.api.documents import make
from cpi_drivers.vcloud.disks.lifecycle import set_size
from fixtures.clouds.vcloud.lab import Lab
from fixtures.proxy import Rule
from tests.drivers.vcloud.conftest import Connect, Helper
from tests.drivers.vcloud.test_faults import BROKEN, BUSY


def test_no_disk_gets_the_unit_of_the_controller() -> None:
    """7 is the controller's own."""
    assert [hardware._free(set(map(str, range(used)))) for used in (0, 6, 7)] == ["0", "6", "8"]


@pytest.mark.parametrize(
    ("version", "told"), [("32.0", {"size": "1048576"}), ("33.0", {"sizeMb": "1"}), ("39.1", {"sizeMb": "1"})]
)
def test_sizes_are_told_in_mib_from_version_33_on(version: str, told: dict[str, str]) -> None:
    """In bytes before."""
    client: Any = SimpleNamespace(session=SimpleNamespace(version=version))
    disk = make("Disk")
    set_size(client, disk, MiB(1))
    assert dict(disk.attrib) == told


def test_metadata_are_cut_to_256_and_1000_characters() -> None:
    """What the API takes."""
    [(key, value)] = naming.cut({"k" * 300: "v" * 1100}).items()
    assert (len(key), len(value)) == (256, 1000)


@pytest.mark.slow
@pytest.mark.parametrize("stays", [False, True], ids=["removed", "not removed"])
def test_no_vm_is_tried_again_while_something_of_the_last_is_there(
    vcloud: Lab, connect: Connect, helper: Helper, *, stays: bool
) -> None:
    """The cloud failed to start it, which may pass; the VM is removed, or cannot be."""
    cloud, before = connect(control={"retry_max": 1, "wait_max": 1}), {vm["urn"] for vm in vcloud.all("vms")}
    networks = {"default": Network.from_document({"type": "dynamic", "cloud_properties": {"name": "bosh-net"}})}
    fails = vcloud.knobs(failing={"vappPowerOn": "out of order"})
    busy = vcloud.rule(Rule("DELETE /api/vApp/*", BUSY, times=None if stays else 0))
    with fails, busy, pytest.raises(errors.VMCreationFailed, match="out of order") as caught:
        helper.vm(cloud, networks)
    assert caught.value.ok_to_retry is not stays
    left = {vm["urn"] for vm in vcloud.all("vms")} - before
    assert len(left) == stays
    for urn in left:
        cloud.delete_vm(VmCid(urn))


@pytest.mark.slow
def test_a_disk_that_was_left_without_metadata_has_them_after_the_repeat(vcloud: Lab, connect: Connect) -> None:
    """The call before this one could neither describe nor remove it."""
    cloud, token = connect(control={"retry_max": 1, "wait_max": 1}), str(uuid.uuid4())
    bare, kept = vcloud.rule(Rule("POST */metadata", BROKEN)), vcloud.rule(Rule("DELETE /api/disk/*", BROKEN))
    with bare, kept, pytest.raises(errors.CloudError, match="out of order"):
        cloud.create_disk(MiB(100), {}, token=token)
    disk = cloud.create_disk(MiB(100), {}, token=token)
    assert isinstance(cloud, ShowsDiskTags)
    assert cloud.disk_tags(disk)[TOKEN] == token
    cloud.delete_disk(disk)


@pytest.mark.slow
def test_an_attached_disk_does_not_shrink_by_a_mib(connect: Connect, helper: Helper) -> None:
    """The smallest that there is to lose."""
    cloud = connect()
    vm, disk = helper.vm(cloud).cid, cloud.create_disk(MiB(100), {})
    cloud.attach_disk(vm, disk)
    assert isinstance(cloud, GrowsAttachedDisks)
    with pytest.raises(errors.NotSupported, match="has 100 MiB and cannot shrink to 99 MiB"):
        cloud.grow_attached_disk(vm, disk, MiB(99))
    cloud.detach_disk(vm, disk)
    cloud.delete_disk(disk)
