"""Disks where they are wished, found where they are, and moved where a VM reaches them."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyVmomi import vim

import cpi
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.units import MiB
from cpi_drivers.vsphere import naming
from fixtures.clouds.vcsim.answers import fault
from fixtures.clouds.vcsim.lab import Lab, lab
from fixtures.proxy import Answer, Request, Rule, effects
from tests.drivers.vsphere.conftest import Helper

pytestmark = pytest.mark.slow

_SIZE = MiB(100)


@pytest.fixture
def everywhere(vcenter: Lab) -> Iterator[Cloud]:
    """Disks may lie on both datastores."""
    with cpi.connect(vcenter.config(datacenter={"persistent_datastore_pattern": "^LocalDS"})) as connected:
        yield connected


def _vmdks(vcenter: Lab) -> list[str]:
    return [path for path in vcenter.files() if path.endswith(".vmdk") and "BOSH_Disks" in path and "flat" not in path]


def test_a_cid_remembers_the_datastores_that_were_wished(vcenter: Lab, cloud: Cloud) -> None:
    """In the official CPI's spelling; it is found by it where the configuration would not look first."""
    cid = cloud.create_disk(_SIZE, {"datastores": ["LocalDS_1"]})
    assert naming.disk_name(cid).pattern == "^(LocalDS_1)$"
    assert _vmdks(vcenter) == [f"[LocalDS_1] BOSH_Disks/{naming.disk_name(cid).file}.vmdk"]
    assert cloud.has_disk(cid)
    official = DiskCid("disk-6c7e.eyJ0YXJnZXRfZGF0YXN0b3JlX3BhdHRlcm4iOiJeKExvY2FsRFNfMSkkIn0")
    assert naming.disk_name(official) == (official, "disk-6c7e", "^(LocalDS_1)$")


def test_a_disk_that_lies_elsewhere_is_found(vcenter: Lab, everywhere: Cloud, cloud: Cloud) -> None:
    """The pattern of the configuration was changed since."""
    cid = everywhere.create_disk(_SIZE, {"datastores": ["LocalDS_1"]})
    plain = DiskCid(naming.disk_name(cid).file)
    assert cloud.has_disk(plain)


def test_attaching_moves_a_disk_to_where_its_cid_says(vcenter: Lab, helper: Helper) -> None:
    """With its record; its size stays."""
    cloud, vm = helper.cloud, helper.vm().cid
    cid = cloud.create_disk(_SIZE, {"datastores": ["LocalDS_1"]})
    cloud.set_disk_metadata(cid, {"job": "db"})
    wished = DiskCid(naming.disk_cid(naming.disk_name(cid).file, ["LocalDS_0"]))
    cloud.attach_disk(vm, wished)
    assert [path.partition("]")[0] for path in _vmdks(vcenter)] == ["[LocalDS_0"]
    assert vcenter.tags(naming.disk_name(cid).file)["job"] == "db"
    assert list(cloud.get_disks(vm)) == [wished]
    cloud.detach_disk(vm, wished)
    assert cloud.has_disk(wished)


def test_updating_moves_a_disk_and_a_repeat_answers_the_same(vcenter: Lab, cloud: Cloud) -> None:
    """The CID changes with the place that it remembers; the old one still leads to it."""
    cid = cloud.create_disk(_SIZE, {})
    moved = cloud.update_disk(cid, MiB(200), {"datastores": ["LocalDS_1"], "type": "eagerZeroedThick"})
    assert _vmdks(vcenter) == [f"[LocalDS_1] BOSH_Disks/{cid}.vmdk"]
    assert cloud.update_disk(cid, MiB(200), {"datastores": ["LocalDS_1"], "type": "eagerZeroedThick"}) == moved
    assert vcenter.disk_bytes(moved) == 200 << 20


def test_thick_to_thin_is_left_to_a_copy(cloud: Cloud) -> None:
    """Decided before anything is touched; thin to thick is done."""
    thin, thick = cloud.create_disk(_SIZE, {"type": "thin"}), cloud.create_disk(_SIZE, {})
    with pytest.raises(errors.NotSupported, match="thin"):
        cloud.update_disk(thick, _SIZE, {"type": "thin"})
    assert cloud.update_disk(thin, _SIZE, {"type": "thick"}) == thin


def test_too_little_room_is_told_before_anything_is_touched(vcenter: Lab, cloud: Cloud) -> None:
    """With what there is."""
    with pytest.raises(errors.NoDiskSpace, match="LocalDS_0 has"):
        cloud.create_disk(MiB(1 << 30), {})
    cid = cloud.create_disk(_SIZE, {})
    with pytest.raises(errors.NoDiskSpace, match="LocalDS_0 has"):
        cloud.resize_disk(cid, MiB(1 << 30))
    assert vcenter.disk_bytes(cid) == 100 << 20


def test_a_disk_that_storage_vmotion_moved_is_found_and_gets_its_name_back(vcenter: Lab, helper: Helper) -> None:
    """It lies in the VM's folder under another name, as Storage vMotion leaves it."""
    cloud, vm = helper.cloud, helper.vm().cid
    cid = cloud.create_disk(_SIZE, {})
    cloud.attach_disk(vm, cid)
    _moved_by_vmotion(vcenter, vm, f"[LocalDS_1] {vm}/{vm}_2.vmdk")
    assert list(cloud.get_disks(vm)) == [cid]
    assert cloud.has_disk(cid)
    with pytest.raises(errors.CloudError, match=vm):
        cloud.delete_disk(cid)
    cloud.detach_disk(vm, cid)
    assert _vmdks(vcenter) == [f"[LocalDS_1] BOSH_Disks/{cid}.vmdk"]
    cloud.attach_disk(vm, cid)
    _moved_by_vmotion(vcenter, vm, f"[LocalDS_0] {vm}/{vm}_2.vmdk")
    cloud.delete_vm(vm)
    assert cloud.has_disk(cid)
    cloud.delete_disk(cid)
    assert _vmdks(vcenter) == []


def test_a_moved_disk_that_could_not_get_its_name_back_is_found_and_kept(vcenter: Lab, helper: Helper) -> None:
    """delete_vm fails between taking it from the VM and renaming it, and is repeated: the VM's folder is not taken along."""
    cloud, vm = helper.cloud, helper.vm().cid
    cid = cloud.create_disk(_SIZE, {})
    cloud.attach_disk(vm, cid)
    moved = f"[LocalDS_1] {vm}/{vm}_2.vmdk"
    _moved_by_vmotion(vcenter, vm, moved)
    vcenter.proxy.inject(Rule("MoveVirtualDisk_Task", effects.answer(500, fault("SystemError").body), times=1))
    with pytest.raises(errors.CloudError, match="SystemError"):
        cloud.delete_vm(vm)
    cloud.delete_vm(vm)
    assert moved in vcenter.files()
    assert cloud.has_disk(cid)
    with cpi.connect(vcenter.config(datacenter={"datastore_pattern": "^LocalDS"})) as another:
        other = helper.vm(cloud=another).cid
        another.attach_disk(other, cid)
        assert list(another.get_disks(other)) == [cid]
        another.detach_disk(other, cid)
        assert _vmdks(vcenter) == [f"[LocalDS_1] BOSH_Disks/{cid}.vmdk"]
        assert another.has_disk(cid)


def test_a_moved_disk_whose_call_died_after_renaming_it_is_found_with_its_metadata(vcenter: Lab, helper: Helper) -> None:
    """Its record could not be written any more; where the disk lies now the configuration would not look."""
    cloud, vm, other = helper.cloud, helper.vm().cid, helper.vm().cid
    cid = cloud.create_disk(_SIZE, {})
    cloud.set_disk_metadata(cid, {"job": "db"})
    cloud.attach_disk(vm, cid)
    _moved_by_vmotion(vcenter, vm, f"[LocalDS_1] {vm}/{vm}_2.vmdk")
    vcenter.proxy.inject(
        Rule(f"PUT /folder/BOSH_Disks/{cid}.json", effects.answer(500, fault("SystemError").body), skip=2, times=1)
    )
    with pytest.raises(errors.CloudError, match="answered 500"):
        cloud.detach_disk(vm, cid)
    assert _vmdks(vcenter) == [f"[LocalDS_1] BOSH_Disks/{cid}.vmdk"]
    cloud.attach_disk(other, cid)
    cloud.detach_disk(other, cid)
    record = vcenter.folders()["LocalDS_1"] / "BOSH_Disks" / f"{cid}.json"
    assert json.loads(record.read_text(encoding="utf-8"))["metadata"]["job"] == "db"
    cloud.delete_disk(cid)
    assert not cloud.has_disk(cid)


def test_a_disk_whose_folder_a_vsan_calls_otherwise_is_left_where_it_is(vcenter: Lab, helper: Helper) -> None:
    """The VM tells the id of the folder instead of its name: the file is the same."""
    cloud, vm = helper.cloud, helper.vm().cid
    cid = cloud.create_disk(_SIZE, {})
    cloud.attach_disk(vm, cid)
    store = vcenter.folders()["LocalDS_0"]
    (store / "5a5b0e52").symlink_to(store / "BOSH_Disks")
    try:
        _backed_by(vcenter, vm, f"[LocalDS_0] 5a5b0e52/{cid}.vmdk")
        vcenter.remove(f"[LocalDS_0] BOSH_Disks/{cid}.json")
        vcenter.end(vcenter.vm(vm).PowerOffVM_Task())
        with pytest.raises(errors.CloudError, match=f"is attached to the VM {vm}"):  # by another CPI, for all that is known
            cloud.delete_disk(cid)
        vcenter.proxy.forget_calls()
        cloud.detach_disk(vm, cid)
    finally:
        (store / "5a5b0e52").unlink()
    assert "MoveVirtualDisk_Task" not in vcenter.proxy.counts()
    assert _vmdks(vcenter) == [f"[LocalDS_0] BOSH_Disks/{cid}.vmdk"]
    assert cloud.has_disk(cid)


def test_a_name_that_another_process_took_meanwhile_stays_with_it(vcenter: Lab, cloud: Cloud) -> None:
    """It was made after this one had looked: it is answered, and never removed as if it had been made here."""
    cid = cloud.create_disk(_SIZE, {"name": "disk-of-another"})
    vcenter.proxy.forget_calls()
    rule = Rule("CreateVirtualDisk_Task", effects.answer(500, fault("FileAlreadyExists").body), times=1)
    vcenter.proxy.inject(rule)
    assert cloud.create_disk(_SIZE, {})
    assert rule.met == 1
    assert cloud.has_disk(cid)
    assert not [call for call in vcenter.proxy.calls if call.action == "DeleteVirtualDisk_Task"]


def test_a_disk_on_a_datastore_that_nobody_reaches_is_not_called_gone(vcenter: Lab, cloud: Cloud) -> None:
    """A director would forget it, with its data."""
    cid = cloud.create_disk(_SIZE, {})

    def away(_: Request, answer: Answer) -> Answer:
        start = answer.body.find(b"summary.accessible")
        end = answer.body.find(b"true", start)
        changed = answer.body[:end] + b"false" + answer.body[end + 4 :] if start >= 0 else answer.body
        return Answer(answer.status, changed, answer.headers)

    vcenter.proxy.inject(Rule("RetrievePropertiesEx", effects.rewritten(away)))
    with pytest.raises(errors.CloudError, match="LocalDS_0"):
        cloud.has_disk(cid)


def _moved_by_vmotion(vcenter: Lab, vm_cid: str, to: str) -> None:
    there = vcenter.all(vim.Datacenter)[0]

    def move(path: str) -> None:
        store = to.partition("[")[2].partition("]")[0]
        (vcenter.folders()[store] / vm_cid).mkdir(exist_ok=True)
        disks = vcenter.content.virtualDiskManager
        names = {"sourceName": path, "sourceDatacenter": there, "destName": to, "destDatacenter": there}
        vcenter.end(disks.MoveVirtualDisk_Task(**names, force=True))
        assert to in vcenter.files()

    _backed_by(vcenter, vm_cid, to, move)


def _backed_by(vcenter: Lab, vm_cid: str, path: str, move: Callable[[str], None] = lambda _: None) -> None:
    """A VM's persistent disk has this path now."""
    vm = vcenter.vm(vm_cid)
    disk = next(one for one in vm.config.hardware.device if getattr(one.backing, "diskMode", "") == "independent_persistent")

    def change(operation: str, device: Any) -> None:
        spec = vim.vm.ConfigSpec(deviceChange=[vim.vm.device.VirtualDeviceSpec(operation=operation, device=device)])
        vcenter.end(vm.ReconfigVM_Task(spec=spec))

    change("remove", disk)
    move(disk.backing.fileName)
    disk.backing.fileName = path
    change("add", disk)


def test_the_hint_is_the_uuid_where_the_guest_sees_it(vcenter: Lab, helper: Helper) -> None:
    """As with the official CPI."""
    vm = helper.vm(vmx_options={"disk.enableUUID": "1"}).cid
    cid = helper.cloud.create_disk(_SIZE, {})
    hint = helper.cloud.attach_disk(vm, cid)
    assert set(hint.to_wire()) == {"id"}
    assert helper.cloud.attach_disk(vm, cid) == hint


def test_several_datacenters_and_vcenters_are_one_cloud(tmp_path: Any, image_path: Any) -> None:
    """A VM lies where its AZ says, its disk beside it; both are found whichever vCenter has them."""
    with lab("-dc", "2", "-ds", "1") as near, lab() as far:
        second = {**near.config()["cloud"]["properties"]["vcenters"][0]["datacenters"][0], "name": "DC1", "clusters": ["DC1_C0"]}
        first = near.config(cache_folder=str(tmp_path))
        [block] = first["cloud"]["properties"]["vcenters"]
        block["datacenters"].append(second)
        first["cloud"]["properties"]["vcenters"].append(
            far.config(cache_folder=str(tmp_path))["cloud"]["properties"]["vcenters"][0]
        )
        with cpi.connect(far.config(cache_folder=str(tmp_path))) as other, cpi.connect(first) as cloud:
            helper = Helper(near, cloud, cloud.create_stemcell(str(image_path), {}, {}))
            networks = {"default": cpi.Network(ip=near.address(), cloud_properties={"name": "VM Network"})}
            vm = helper.vm(networks=networks, datacenters=[{"name": "DC1"}]).cid
            disk = cloud.create_disk(_SIZE, {}, vm)
            cloud.attach_disk(vm, disk)
            assert list(cloud.get_disks(vm)) == [disk]
            distant = other.create_disk(_SIZE, {})
            assert cloud.has_disk(distant)
            with pytest.raises(
                errors.CloudError, match=f"datacenter DC1 of {near.proxy.url}, the disk {distant} in DC0 of"
            ) as caught:
                cloud.attach_disk(vm, distant)
            assert not isinstance(caught.value, errors.DiskNotFound)
            cloud.delete_disk(distant)
            cloud.delete_vm(vm)
            cloud.delete_disk(disk)
            cloud.delete_stemcell(helper.stemcell)
            assert not cloud.has_vm(VmCid(vm))
            assert near.census()["VMs"] == far.census()["VMs"] == 0


def test_a_disk_that_another_cpi_attached_is_not_deleted_under_a_vm_that_is_off(vcenter: Lab, helper: Helper) -> None:
    """It left no record, and a VM that is off locks nothing: the VMs of the datastore are asked."""
    cloud, vm = helper.cloud, helper.vm().cid
    cid = cloud.create_disk(_SIZE, {})
    cloud.attach_disk(vm, cid)
    (record,) = [path for path in vcenter.files() if path.endswith(f"{cid}.json")]
    vcenter.remove(record)
    vcenter.end(vcenter.vm(vm).PowerOffVM_Task())
    with pytest.raises(errors.CloudError, match=rf"{cid} is attached to the VM {vm}: detach it"):
        cloud.delete_disk(cid)
    with pytest.raises(errors.CloudError, match=f"is attached to the VM {vm}: detach it there first"):
        cloud.attach_disk(helper.vm().cid, cid)
    assert cloud.has_disk(cid)
