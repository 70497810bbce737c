"""Disks: storage profiles, hints, changes."""

from pathlib import Path

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid, StemcellCid
from cpi.contract.model import DiskHint
from cpi.contract.units import MiB
from fixtures.clouds.vcloud.lab import Lab
from fixtures.clouds.vcsim.images import image
from fixtures.proxy import Rule, effects
from fixtures.proxy.exchange import Answer, Request
from tests.drivers.vcloud.conftest import Connect, Helper

pytestmark = pytest.mark.slow

_SIZE = MiB(100)


def profile(vcloud: Lab, disk: DiskCid) -> str:
    """Where it lies."""
    name: str = vcloud.one("disks", disk)["profile"]["name"]
    return name


def test_a_disk_lies_where_its_type_or_the_configuration_says(vcloud: Lab, connect: Connect) -> None:
    """Else where the cloud likes."""
    by_default = connect(entities={"disk_storage_profile": "fast"})
    made = [
        connect().create_disk(_SIZE, {}),
        connect().create_disk(_SIZE, {"storage_profile": "fast"}),
        by_default.create_disk(_SIZE, {}),
    ]
    assert [profile(vcloud, disk) for disk in made] == ["standard", "fast", "fast"]
    for disk in made:
        by_default.delete_disk(disk)


def test_a_profile_that_is_full_is_no_disk_space(vcloud: Lab, cloud: Cloud) -> None:
    """A repeat would not find more."""
    with pytest.raises(errors.NoDiskSpace, match="little") as caught:
        cloud.create_disk(MiB(30_000), {"storage_profile": "little"})
    assert not caught.value.ok_to_retry


def test_update_disk_changes_profile_and_size_in_place(vcloud: Lab, cloud: Cloud) -> None:
    """And makes no call for what is so already."""
    disk = cloud.create_disk(_SIZE, {})
    assert cloud.update_disk(disk, MiB(200), {"storage_profile": "fast"}) == disk
    assert (profile(vcloud, disk), vcloud.one("disks", disk)["size_mb"]) == ("fast", 200)
    cloud.resize_disk(disk, MiB(300))
    assert (profile(vcloud, disk), vcloud.one("disks", disk)["size_mb"]) == ("fast", 300)
    vcloud.proxy.forget_calls()
    assert cloud.update_disk(disk, MiB(300), {"storage_profile": "fast"}) == disk
    assert vcloud.calls()["PUT /api/disk/{id}"] == 0
    with pytest.raises(errors.NotSupported, match="cannot shrink to 100 MiB"):
        cloud.update_disk(disk, _SIZE, {})
    with pytest.raises(errors.NotSupported, match="cannot shrink to 299 MiB"):
        cloud.resize_disk(disk, MiB(299))
    cloud.update_disk(disk, MiB(300), {"storage_profile": "little"})
    with pytest.raises(errors.NoDiskSpace):
        cloud.resize_disk(disk, MiB(30_000))
    cloud.delete_disk(disk)


def test_disks_on_another_bus_have_units_of_their_own(vcloud: Lab, cloud: Cloud, helper: Helper, tmp_path: Path) -> None:
    """The stemcell's controller is of another kind; its agent looks for a disk by the unit, whatever the bus."""
    stemcell = cloud.create_stemcell(str(image(tmp_path / "image")), {}, {})
    vm = helper.vm(cloud, stemcell=StemcellCid(stemcell), disk=1024).cid
    disks = [cloud.create_disk(_SIZE, {}) for _ in range(2)]
    hints = [cloud.attach_disk(vm, disk) for disk in disks]
    seen = vcloud.one("vms", vm)["disks"]
    assert len({slot["unit"] for slot in seen}) == len(seen) == 4
    assert [hint.device for hint in hints] == [str(slot["unit"]) for slot in seen[2:]]
    assert len({slot["bus"] for slot in seen}) == 2
    cloud.delete_vm(vm)
    cloud.delete_stemcell(stemcell)
    for disk in disks:
        cloud.delete_disk(disk)


def test_a_guest_that_shows_ids_is_told_the_disks_uuid(vcloud: Lab, cloud: Cloud, helper: Helper) -> None:
    """An identity that no reboot moves."""

    def with_ids(_: Request, answer: Answer) -> Answer:
        told = b'<vmw:ExtraConfig xmlns:vmw="http://www.vmware.com/schema/ovf" vmw:key="disk.EnableUUID" vmw:value="TRUE"/>'
        end = b"</ovf:VirtualHardwareSection>"
        return Answer(answer.status, answer.body.replace(end, told + end), {"Content-Type": "application/xml"})

    vm, disk = helper.vm(cloud).cid, cloud.create_disk(_SIZE, {})
    with vcloud.rule(Rule("GET /api/vApp/vm-*", effects.rewritten(with_ids))):
        assert cloud.attach_disk(vm, disk) == DiskHint(id=vcloud.one("disks", disk)["uuid"].lower())
    cloud.delete_vm(vm)
    cloud.delete_disk(disk)


def test_an_attached_disk_is_not_changed_and_not_deleted(cloud: Cloud, helper: Helper) -> None:
    """The error says where it is."""
    vm = helper.vm(cloud)
    disk = cloud.create_disk(_SIZE, {})
    cloud.attach_disk(vm.cid, disk)
    with pytest.raises(errors.CloudError, match="is attached to the VM"):
        cloud.resize_disk(disk, MiB(200))
    with pytest.raises(errors.CloudError, match="is attached to the VM"):
        cloud.delete_disk(disk)
    cloud.delete_vm(vm.cid)
    cloud.delete_disk(disk)


@pytest.mark.parametrize("cid", ["vol-12345", "urn:vcloud:vm:00000000-0000-4000-8000-000000000000"])
def test_what_is_no_id_of_a_disk_is_no_disk(cloud: Cloud, cid: str) -> None:
    """A director may hand over another cloud's."""
    assert cloud.has_disk(DiskCid(cid)) is False
    cloud.delete_disk(DiskCid(cid))
    with pytest.raises(errors.DiskNotFound):
        cloud.set_disk_metadata(DiskCid(cid), {"a": "b"})


@pytest.mark.parametrize(("size", "properties"), [(0, {}), (100, {"bus_type": "ide"})])
def test_disks_that_cannot_be_are_told(cloud: Cloud, size: int, properties: dict[str, str]) -> None:
    """Before anything is made."""
    with pytest.raises(errors.CpiError):
        cloud.create_disk(MiB(size), properties)


def test_every_kind_of_controller_can_be_wished_for(vcloud: Lab, cloud: Cloud) -> None:
    """lsilogic, if none is."""
    from cpi_drivers.vcloud.properties import BUSES

    for wished, made in BUSES.items():
        disk = cloud.create_disk(_SIZE, {"bus_type": wished})
        assert vcloud.one("disks", disk)["bus_sub_type"] == made
        cloud.delete_disk(disk)


def test_a_snapshot_is_refused_with_the_reason(cloud: Cloud) -> None:
    """The director passes over NotImplemented, and the operator reads why."""
    with pytest.raises(errors.NotImplemented, match=r"vcloud has no snapshots: .* no snapshot of an independent disk"):
        cloud.snapshot_disk(DiskCid("urn:vcloud:disk:00000000-0000-4000-8000-000000000000"), {})
