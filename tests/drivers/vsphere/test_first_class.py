"""First Class Disks: known by the vCenter's ids, wherever they lie, and told apart from VMDKs."""

from collections.abc import Iterator
from typing import Any

import pytest
from pyVmomi import vim

import cpi
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid, SnapshotCid
from cpi.contract.units import MiB
from cpi_drivers.vsphere import naming
from fixtures.clouds.vcsim.answers import fault
from fixtures.clouds.vcsim.lab import Lab
from fixtures.proxy import Rule, effects
from tests.drivers.vsphere.conftest import Counted, Helper, each_call

pytestmark = pytest.mark.slow

_SIZE = MiB(100)


@pytest.fixture
def modern(vcenter: Lab) -> Iterator[Cloud]:
    """The driver, which makes First Class Disks."""
    with cpi.connect(vcenter.config(fcd=True)) as connected:
        yield connected


def _store_of(vcenter: Lab, cid: str) -> str:
    path: str = vcenter.first_class_disk(cid).config.backing.filePath
    return path.partition("]")[0].removeprefix("[")


def test_cids_tell_first_class_disks_from_vmdks(vcenter: Lab, modern: Cloud, cloud: Cloud) -> None:
    """By the vCenter's id; each is known by a CPI that makes the other kind, and is what its properties say."""
    first_class, vmdk = modern.create_disk(_SIZE, {}), cloud.create_disk(_SIZE, {})
    assert naming.fcd_id(first_class) == vcenter.first_class_disk(first_class).config.id.id
    assert naming.fcd_id(vmdk) is None
    assert cloud.has_disk(first_class)
    assert modern.has_disk(vmdk)
    assert naming.fcd_id(modern.create_disk(_SIZE, {"fcd": False})) is None
    assert naming.fcd_id(cloud.create_disk(_SIZE, {"fcd": True}))
    assert modern.create_disk(_SIZE, {"name": "disk-dynamic"}) == "disk-dynamic"


def test_a_disk_outlives_its_vm_however_that_goes(vcenter: Lab, helper: Helper, modern: Cloud) -> None:
    """The vCenter is told to keep it; delete_vm leaves it, and nobody takes it from a VM by deleting it."""
    vm, other = helper.vm().cid, helper.vm().cid
    cid = modern.create_disk(_SIZE, {})
    assert modern.attach_disk(vm, cid).device == "2"
    assert list(modern.get_disks(vm)) == [cid]
    assert vcenter.first_class_disk(cid).config.keepAfterDeleteVm is True
    for refused in (
        lambda: modern.delete_disk(cid),
        lambda: modern.attach_disk(other, cid),
        lambda: modern.resize_disk(cid, MiB(200)),
        lambda: modern.update_disk(cid, _SIZE, {}),
    ):
        with pytest.raises(errors.CloudError, match=rf"{cid} is attached to the VM {vm}: detach it"):
            refused()
    modern.delete_vm(vm)
    modern.attach_disk(other, cid)
    assert list(modern.get_disks(other)) == [cid]
    modern.detach_disk(other, cid)
    with pytest.raises(errors.DiskNotAttached):
        modern.detach_disk(other, cid)
    modern.delete_disk(cid)
    assert not modern.has_disk(cid)


def test_both_kinds_lie_on_one_vm(helper: Helper, modern: Cloud, cloud: Cloud) -> None:
    """Each keeps its CID, and goes alone."""
    vm = helper.vm(vmx_options={"disk.enableUUID": "1"}).cid
    vmdk, first_class = cloud.create_disk(_SIZE, {}, vm), modern.create_disk(_SIZE, {}, vm)
    cloud.attach_disk(vm, vmdk)
    hint = cloud.attach_disk(vm, first_class)
    assert set(hint.to_wire()) == {"id"}
    assert cloud.attach_disk(vm, first_class) == hint
    assert set(cloud.get_disks(vm)) == {vmdk, first_class}
    modern.detach_disk(vm, vmdk)
    assert list(modern.get_disks(vm)) == [first_class]
    modern.delete_vm(vm)
    assert modern.has_disk(vmdk)
    assert modern.has_disk(first_class)


def test_a_unit_that_another_call_has_taken_is_left_to_it(vcenter: Lab, helper: Helper, modern: Cloud) -> None:
    """It looks again."""
    vm, cid = helper.vm().cid, modern.create_disk(_SIZE, {})
    rule = Rule("AttachDisk_Task", effects.answer(500, fault("InvalidController").body), times=2)
    vcenter.proxy.inject(rule)
    assert modern.attach_disk(vm, cid).device == "2"
    assert rule.met == 2


def test_the_datastores_that_were_wished_go_with_the_disk(vcenter: Lab, helper: Helper, modern: Cloud) -> None:
    """It is made there, moved there when it is attached, and found wherever it was moved by others: its CID stays."""
    cid = modern.create_disk(_SIZE, {"datastores": ["LocalDS_1"]})
    assert _store_of(vcenter, cid) == "LocalDS_1"
    _moved_by_people(vcenter, cid, "LocalDS_0")
    assert modern.has_disk(cid)
    vm = helper.vm().cid
    modern.attach_disk(vm, cid)
    assert _store_of(vcenter, cid) == "LocalDS_1"
    modern.detach_disk(vm, cid)
    assert modern.update_disk(cid, MiB(200), {"datastores": ["LocalDS_0"]}) == cid
    assert _store_of(vcenter, cid) == "LocalDS_0"
    assert vcenter.disk_bytes(cid) == 200 << 20
    assert modern.update_disk(cid, MiB(200), {}) == cid
    assert vcenter.tags(cid) == {}


def _moved_by_people(vcenter: Lab, cid: str, to: str) -> None:
    config = vcenter.first_class_disk(cid).config
    store = next(store for store in vcenter.all(vim.Datastore) if store.name == to)
    spec = vim.vslm.RelocateSpec(backingSpec=vim.vslm.CreateSpec.DiskFileBackingSpec(datastore=store))
    manager = vcenter.content.vStorageObjectManager
    vcenter.end(manager.RelocateVStorageObject_Task(id=config.id, datastore=config.backing.datastore, spec=spec))
    assert _store_of(vcenter, cid) == to


def test_metadata_is_with_the_disk_in_the_vcenter(vcenter: Lab, modern: Cloud) -> None:
    """Added to what is there."""
    cid = modern.create_disk(_SIZE, {})
    modern.set_disk_metadata(cid, {"job": "db"})
    modern.set_disk_metadata(cid, {"index": 0})
    assert {key: vcenter.tags(cid)[key] for key in ("multicpi", "job", "index")} == {"multicpi": "1", "job": "db", "index": "0"}


def test_only_what_the_vcenter_can_change_is_changed(vcenter: Lab, modern: Cloud, cloud: Cloud) -> None:
    """Thin to thick; the rest is told before anything is touched, and the director copies."""
    thin, thick = modern.create_disk(_SIZE, {"type": "thin"}), modern.create_disk(_SIZE, {})
    assert modern.update_disk(thin, MiB(200), {}) == thin
    assert vcenter.first_class_disk(thin).config.backing.provisioningType == "eagerZeroedThick"
    for wish in ({"type": "thin"}, {"type": "eagerZeroedThick"}, {"fcd": False}):
        with pytest.raises(errors.NotSupported, match="copy the data"):
            modern.update_disk(thick, _SIZE, wish)
    with pytest.raises(errors.NotSupported, match="shrink"):
        modern.update_disk(thick, MiB(50), {})
    with pytest.raises(errors.NotSupported, match="First Class Disk"):
        modern.update_disk(cloud.create_disk(_SIZE, {}), _SIZE, {"fcd": True})


def test_snapshots_are_the_vcenters_own(vcenter: Lab, helper: Helper, modern: Cloud) -> None:
    """Also while a VM has the disk; the disk is not deleted from under them."""
    vm, cid = helper.vm().cid, modern.create_disk(_SIZE, {})
    before = vcenter.census()
    modern.attach_disk(vm, cid)
    snapshot = modern.snapshot_disk(cid, {"job": "db"})
    assert vcenter.census() == before
    assert vcenter.tags(snapshot)["job"] == "db"
    modern.detach_disk(vm, cid)
    with pytest.raises(errors.CloudError, match=snapshot):
        modern.delete_disk(cid)
    modern.delete_snapshot(SnapshotCid(snapshot.replace("snapshot-", "snapshot-0000")))
    modern.delete_snapshot(snapshot)
    assert vcenter.snapshots(cid) == []
    modern.delete_disk(cid)
    modern.delete_snapshot(snapshot)


def test_a_snapshot_that_the_vcenter_does_not_take_is_told_with_what_to_do(vcenter: Lab, modern: Cloud) -> None:
    """Some datastores take none while the VM runs."""
    cid = modern.create_disk(_SIZE, {})
    vcenter.proxy.inject(Rule("VStorageObjectCreateSnapshot_Task", effects.answer(500, fault("InvalidState").body)))
    with pytest.raises(errors.CloudError, match="detach the disk, or stop the VM"):
        modern.snapshot_disk(cid, {})


def test_a_disk_on_a_datastore_that_refuses_the_question_is_not_called_gone(vcenter: Lab, modern: Cloud) -> None:
    """Of one where the configuration's disks lie an answer is needed."""
    cid = modern.create_disk(_SIZE, {})
    vcenter.proxy.inject(Rule("RetrieveVStorageObject", effects.answer(500, fault("InvalidDatastore").body)))
    with pytest.raises(errors.CloudError, match="InvalidDatastore"):
        modern.has_disk(cid)


def test_a_vcenter_that_is_too_old_is_told(vcenter: Lab, modern: Cloud) -> None:
    """It does not know the service; the VMDK that was made is gone again."""
    before = vcenter.census()
    vcenter.proxy.inject(Rule("RegisterDisk", effects.answer(500, fault("MethodNotFound").body)))
    with pytest.raises(errors.CloudError, match="MethodNotFound"):
        modern.create_disk(_SIZE, {})
    assert vcenter.census() == before


# ---------------------------------------------------------------------- calls


def test_every_method_keeps_its_number_of_calls(vcenter: Lab, helper: Helper, modern: Cloud, counted: Counted) -> None:
    """No file is read or written by HTTP."""
    vm, cid = helper.vm().cid, modern.create_disk(_SIZE, {})

    def calls(method: str, *arguments: object) -> dict[str, int]:
        with cpi.connect(vcenter.config(fcd=True)) as cloud:
            return dict(counted(lambda: getattr(cloud, method)(*arguments)))

    look = {"FindByInventoryPath": 1, "RetrievePropertiesEx": 1}
    found = {**look, "RetrieveVStorageObject": 1}
    assert calls("create_disk", _SIZE, {}) == {**look, "CreateVirtualDisk_Task": 1, "RegisterDisk": 1}
    assert calls("create_disk", _SIZE, {}, vm) == {**look, "CreateVirtualDisk_Task": 1, "RegisterDisk": 1}
    assert calls("has_disk", cid) == found
    assert calls("attach_disk", vm, cid) == {**found, "SetVStorageObjectControlFlags": 1, "AttachDisk_Task": 1}
    assert calls("attach_disk", vm, cid) == look
    assert calls("get_disks", vm) == look
    assert calls("detach_disk", vm, cid) == {**look, "DetachDisk_Task": 1}
    assert calls("attach_disk", vm, cid) == {**found, "AttachDisk_Task": 1}
    assert calls("snapshot_disk", cid, {}) == {**found, "VStorageObjectCreateSnapshot_Task": 1}
    modern.delete_snapshot(SnapshotCid(naming.fcd_snapshot_cid(vcenter.snapshots(cid)[0].id.id, str(naming.fcd_id(cid)))))
    assert calls("set_disk_metadata", cid, {"job": "db"}) == {**found, "VCenterUpdateVStorageObjectMetadataEx_Task": 1}
    gone = {"PowerOffVM_Task": 1, "DetachDisk_Task": 1, "Destroy_Task": 1, "DeleteDatastoreFile_Task": 2}
    assert calls("delete_vm", vm) == {"FindByInventoryPath": 2, "RetrievePropertiesEx": 1, **gone}
    assert calls("resize_disk", cid, MiB(200)) == {**found, "ExtendDisk_Task": 1}
    assert calls("delete_disk", cid) == {**found, "RetrieveSnapshotInfo": 1, "DeleteVStorageObject_Task": 1}


# ---------------------------------------------------------------------- faults


def test_one_token_is_one_disk(modern: Cloud, vcenter: Lab) -> None:
    """By the name of its file, which a datastore takes once; also if the first call died before the disk was First Class."""
    first = modern.create_disk(_SIZE, {}, None, "a token")
    assert modern.create_disk(_SIZE, {}, None, "a token") == first
    vcenter.proxy.inject(Rule("RegisterDisk", effects.answer(500, fault("SystemError").body), times=1))
    vcenter.proxy.inject(Rule("DeleteVirtualDisk_Task", effects.answer(500, fault("SystemError").body), times=1))
    with pytest.raises(errors.CloudError, match="SystemError"):
        modern.create_disk(_SIZE, {}, None, "another")
    before = vcenter.census()
    second = modern.create_disk(_SIZE, {}, None, "another")
    assert second != first
    assert vcenter.census() == before


@pytest.mark.slow
def test_making_one_leaves_nothing_whichever_call_fails(vcenter: Lab, modern: Cloud) -> None:
    """Neither a VMDK nor a First Class Disk."""
    wish = {"datastores": ["LocalDS_0"]}
    modern.delete_disk(modern.create_disk(_SIZE, wish))
    before = vcenter.census()
    made: list[DiskCid] = []

    def check(k: int, error: errors.Error) -> None:
        assert vcenter.census() == before, f"the failing call number {k} left something: {error.message}"

    assert each_call(vcenter, lambda: made.append(modern.create_disk(_SIZE, wish)), check) >= 5
    assert modern.has_disk(*made)


@pytest.mark.slow
@pytest.mark.parametrize("action", ["attach_disk", "detach_disk", "snapshot_disk", "delete_disk"])
def test_what_failed_is_finished_by_a_repeat_whichever_call_fails(
    vcenter: Lab, helper: Helper, modern: Cloud, action: str
) -> None:
    """Attached once, or not at all; snapshots as many as were told of."""
    vm, made = helper.vm().cid, [modern.create_disk(_SIZE, {})]

    def act() -> object:
        [cid] = made
        match action:
            case "snapshot_disk":
                return modern.snapshot_disk(cid, {})
            case "delete_disk":
                return modern.delete_disk(cid)
        return getattr(modern, action)(vm, cid)

    def check(k: int, error: errors.Error) -> None:
        [cid] = made
        if action == "attach_disk":
            modern.attach_disk(vm, cid)
            assert list(modern.get_disks(vm)) == [cid]
            modern.detach_disk(vm, cid)
        elif action == "detach_disk":
            if cid in modern.get_disks(vm):
                modern.detach_disk(vm, cid)
            modern.attach_disk(vm, cid)
        elif action == "snapshot_disk":
            assert vcenter.snapshots(cid) == []
        else:
            modern.delete_disk(cid)
            assert not modern.has_disk(cid)
            made[:] = [modern.create_disk(_SIZE, {})]

    if action == "detach_disk":
        modern.attach_disk(vm, made[0])
    assert each_call(vcenter, act, check) >= 3


@pytest.mark.parametrize(
    "lost",
    [
        "CreateVirtualDisk_Task",
        "RegisterDisk",
        "SetVStorageObjectControlFlags",
        "AttachDisk_Task",
        "VStorageObjectCreateSnapshot_Task",
        "DeleteSnapshot_Task",
        "DetachDisk_Task",
        "ExtendDisk_Task",
        "RelocateVStorageObject_Task",
        "VCenterUpdateVStorageObjectMetadataEx_Task",
        "DeleteVStorageObject_Task",
    ],
)
def test_a_lost_answer_is_found_inside_the_call(vcenter: Lab, helper: Helper, modern: Cloud, lost: str) -> None:
    """It was done, the answer never came: there is one disk, attached once, with one snapshot, and all of it goes."""
    vm, before = helper.vm().cid, vcenter.census()
    rule = Rule(lost, effects.lost_answer(), times=1)
    vcenter.proxy.inject(rule)
    cid = modern.create_disk(_SIZE, {})
    modern.attach_disk(vm, cid)
    assert list(modern.get_disks(vm)) == [cid]
    snapshot = modern.snapshot_disk(cid, {})
    assert [one.id.id for one in vcenter.snapshots(cid)] == [(naming.fcd_snapshot(snapshot) or ("",))[0]]
    modern.delete_snapshot(snapshot)
    modern.detach_disk(vm, cid)
    assert modern.update_disk(cid, MiB(200), {"datastores": ["LocalDS_1"]}) == cid
    assert vcenter.disk_bytes(cid) == 200 << 20
    modern.delete_disk(cid)
    assert rule.met == 1
    assert vcenter.census() == before


def test_a_snapshot_cid_of_a_vmdk_is_none_of_a_first_class_disk() -> None:
    """Both are found again by what they say."""
    identity: Any = "6c7e0d3c-2f83-4a6e-9a57-1d6f1f9c0a11"
    assert naming.fcd_snapshot(f"snapshot-{identity}") is None
    assert naming.fcd_snapshot(naming.fcd_snapshot_cid(identity, identity)) == (identity, identity)
    assert naming.fcd_id("fcd-../x") is None
