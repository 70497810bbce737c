"""Disks: sizes, offerings, hints, changes."""

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid
from cpi.contract.model import DiskHint
from cpi.contract.units import MiB
from fixtures.clouds.cloudstack.lab import Lab
from tests.drivers.cloudstack.conftest import Connect, Helper

pytestmark = pytest.mark.slow

_GIB = MiB(1024)


def seen(cloudstack: Lab, disk: DiskCid) -> tuple[int, str]:
    """GiB and offering."""
    found = cloudstack.one("listVolumes", disk)
    return found["size"] >> 30, found["diskofferingname"]


@pytest.mark.parametrize(
    ("default_offer", "offering", "size", "wanted"),
    [
        ({}, None, 1025, (2, "shared.custom")),
        ({}, "fast.custom", 1, (1, "fast.custom")),
        ({}, "fixed-5", 4000, (5, "fixed-5")),
        ({"disk": "fixed-20"}, None, 4000, (20, "fixed-20")),
        ({"custom_disk": "fast.custom"}, None, 3000, (3, "fast.custom")),
    ],
)
def test_a_disk_is_of_its_offering_and_never_smaller(
    cloudstack: Lab, connect: Connect, default_offer: dict[str, str], offering: str | None, size: int, wanted: tuple[int, str]
) -> None:
    """Rounded up to GiB."""
    cloud = connect(default_offer=default_offer)
    disk = cloud.create_disk(MiB(size), {"disk_offering": offering} if offering else {})
    assert seen(cloudstack, disk) == wanted
    cloud.delete_disk(disk)


def test_a_fixed_offering_that_is_too_small_is_no_disk_space(cloud: Cloud) -> None:
    """And nothing is made."""
    with pytest.raises(errors.NoDiskSpace, match="have 5 GiB, not 6 GiB"):
        cloud.create_disk(MiB(6 * 1024), {"disk_offering": "fixed-5"})


def test_the_accounts_limit_is_no_disk_space(cloudstack: Lab, cloud: Cloud) -> None:
    """Told as the cloud tells it, for a new disk and for a larger one."""
    disk = cloud.create_disk(_GIB, {})
    cloudstack.api.updateResourceLimit(resourcetype=10, max=1)
    try:
        with pytest.raises(errors.NoDiskSpace, match="primary_storage"):
            cloud.create_disk(_GIB, {})
        with pytest.raises(errors.NoDiskSpace, match="primary_storage"):
            cloud.resize_disk(disk, MiB(4096))
    finally:
        cloudstack.api.updateResourceLimit(resourcetype=10, max=500_000)
    cloud.delete_disk(disk)


@pytest.mark.parametrize(
    ("hypervisor", "path"), [("kvm", "/dev/disk/by-id/virtio-{serial}"), ("xenserver", "/dev/xvdc"), ("vmware", "/dev/sdc")]
)
def test_hints_are_by_identity_and_device_id(cloudstack: Lab, cloud: Cloud, helper: Helper, hypervisor: str, path: str) -> None:
    """The ephemeral disk has the letter before; the fourth device is the CD's."""
    vm = helper.vm(cloud, stemcell=f"light-{hypervisor} light", disk=1000)
    disks = [cloud.create_disk(_GIB, {}) for _ in range(2)]
    hints = [cloud.attach_disk(vm.cid, disk) for disk in disks]
    serials = [cloudstack.one("listVolumes", disk)["id"].replace("-", "")[:20] for disk in disks]
    assert hints[0] == DiskHint(path=path.format(serial=serials[0]), id=serials[0], volume_id="2")
    assert hints[1].volume_id == "4"
    assert [cloud.attach_disk(vm.cid, disk) for disk in disks] == hints
    cloud.delete_vm(vm.cid)
    for disk in disks:
        cloud.delete_disk(disk)


def test_a_disk_in_another_zone_cannot_be_attached(cloud: Cloud, helper: Helper) -> None:
    """The cloud's own words say why."""
    vm, disk = helper.vm(cloud).cid, cloud.create_disk(_GIB, {"zone": "zone-2"})
    with pytest.raises(errors.CloudError, match="same zone as the volume"):
        cloud.attach_disk(vm, disk)
    cloud.delete_disk(disk)


def test_a_disk_of_a_fixed_offering_grows_into_the_custom_one(cloudstack: Lab, cloud: Cloud) -> None:
    """Where there is one; otherwise the director copies."""
    disk = cloud.create_disk(_GIB, {"disk_offering": "fixed-5"})
    cloud.resize_disk(disk, MiB(5 * 1024))
    assert seen(cloudstack, disk) == (5, "fixed-5")
    cloud.resize_disk(disk, MiB(6 * 1024))
    assert seen(cloudstack, disk) == (6, "shared.custom")
    cloud.delete_disk(disk)


def test_without_a_custom_offering_a_fixed_disk_cannot_grow(connect: Connect) -> None:
    """NotSupported: the director copies."""
    cloud = connect(default_offer={"custom_disk": "fixed-20"})
    disk = cloud.create_disk(_GIB, {"disk_offering": "fixed-5"})
    with pytest.raises(errors.NotSupported, match="fixed size"):
        cloud.resize_disk(disk, MiB(6 * 1024))
    cloud.delete_disk(disk)


def test_update_changes_offering_and_size_in_place(cloudstack: Lab, cloud: Cloud) -> None:
    """On other storage if the offering asks for it; the same again changes nothing."""
    disk = cloud.create_disk(MiB(2048), {})
    for size, offering, wanted in (
        (2048, "fast.custom", (2, "fast.custom")),
        (3000, "fast.custom", (3, "fast.custom")),
        (3000, "fixed-5", (5, "fixed-5")),
    ):
        assert cloud.update_disk(disk, MiB(size), {"disk_offering": offering}) == disk
        assert seen(cloudstack, disk) == wanted
    cloudstack.proxy.forget_calls()
    cloud.update_disk(disk, MiB(5 * 1024), {"disk_offering": "fixed-5"})
    assert cloudstack.calls() == {"listVolumes": 2}
    cloud.delete_disk(disk)
    exact = cloud.create_disk(MiB(5 * 1024), {})
    cloud.update_disk(exact, MiB(5 * 1024), {"disk_offering": "fixed-5"})
    assert seen(cloudstack, exact) == (5, "fixed-5")
    cloud.delete_disk(exact)


@pytest.mark.parametrize(("size", "offering"), [(1024, "fast.custom"), (2048, "fixed-5"), (9000, None)])
def test_what_would_shrink_is_not_supported(cloud: Cloud, size: int, offering: str | None) -> None:
    """Decided before the disk is touched."""
    disk = cloud.create_disk(MiB(10 * 1024), {})
    with pytest.raises(errors.NotSupported, match="cannot shrink"):
        cloud.update_disk(disk, MiB(size), {"disk_offering": offering} if offering else {})
    cloud.delete_disk(disk)


def test_a_disk_that_was_never_attached_has_no_snapshot(cloud: Cloud) -> None:
    """CloudStack gives it storage with the first attachment, and the error says so."""
    disk = cloud.create_disk(_GIB, {})
    with pytest.raises(errors.CloudError, match="was never attached"):
        cloud.snapshot_disk(disk, {})
    cloud.delete_disk(disk)
