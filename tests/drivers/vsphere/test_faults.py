"""Exactly the k-th call fails, for every k: nothing is left behind, the error is honest, and a repeat serves."""

from collections.abc import Mapping
from pathlib import Path

import pytest

import cpi
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.units import MiB
from fixtures.clouds.vcsim.answers import fault
from fixtures.clouds.vcsim.lab import Lab
from fixtures.proxy import Rule, effects
from fixtures.simulated_time import SimulatedTime
from tests.drivers.vsphere.conftest import MOST_CALLS, Helper, each_call, is_poll

pytestmark = pytest.mark.slow

_SIZE = MiB(100)


def _whole(census: Mapping[str, int]) -> Mapping[str, int]:
    return {name: count for name, count in census.items() if count}


@pytest.mark.timeout(180)
def test_create_vm_leaves_nothing_whichever_call_fails(vcenter: Lab, helper: Helper) -> None:
    """VMs and files are as before, and the same token makes the VM afterwards."""
    helper.cloud.delete_vm(helper.vm().cid)
    before = vcenter.census()
    made: list[str] = []

    def check(k: int, error: errors.Error) -> None:
        assert vcenter.census() == before, f"the failing call number {k} left something: {error.message}"
        assert not getattr(error, "ok_to_retry", False) or isinstance(error, errors.VMCreationFailed)

    calls = each_call(vcenter, lambda: made.append(helper.vm(token="the token").cid), check)  # noqa: S106 - not secret
    assert calls >= 12
    assert len(set(made)) == 1
    assert len(helper.cloud.get_disks(helper.vm(token="the token").cid)) == 0  # noqa: S106 - not secret


def test_create_disk_leaves_nothing_whichever_call_fails(vcenter: Lab, cloud: Cloud) -> None:
    """Neither a VMDK nor a record."""
    cloud.delete_disk(cloud.create_disk(_SIZE, {}))
    before = vcenter.census()

    def check(k: int, error: errors.Error) -> None:
        assert vcenter.census() == before, f"the failing call number {k} left something: {error.message}"

    assert each_call(vcenter, lambda: cloud.create_disk(_SIZE, {}), check) >= 3


def test_create_stemcell_leaves_nothing_whichever_call_fails(vcenter: Lab, cloud: Cloud, image_path: Path) -> None:
    """No VM, no file."""
    cloud.delete_stemcell(cloud.create_stemcell(str(image_path), {}, {}))
    before = _whole(vcenter.census())

    def check(k: int, error: errors.Error) -> None:
        assert _whole(vcenter.census()) == before, f"the failing call number {k} left something: {error.message}"

    assert each_call(vcenter, lambda: cloud.create_stemcell(str(image_path), {}, {}), check) >= 8


def test_delete_vm_is_finished_by_a_repeat_whichever_call_fails(vcenter: Lab, helper: Helper, cloud: Cloud) -> None:
    """The failure is told; the disk lives on."""
    before = vcenter.census()
    disk_cid = cloud.create_disk(_SIZE, {})
    for k in range(MOST_CALLS):
        vm = helper.vm().cid
        cloud.attach_disk(vm, disk_cid)
        rule = Rule("*", effects.answer(500, fault("SystemError").body), skip=k, times=1)
        vcenter.proxy.inject(rule)
        try:
            cloud.delete_vm(vm)
        except errors.CloudError:
            cloud.delete_vm(vm)
        vcenter.proxy.withdraw(rule)
        assert not cloud.has_vm(vm)
        assert cloud.has_disk(disk_cid)
        if not rule.met:
            break
    else:
        pytest.fail("it never ends")
    cloud.delete_disk(disk_cid)
    assert vcenter.census() == before


@pytest.mark.parametrize("action", ["attach_disk", "detach_disk"])
def test_attaching_and_detaching_is_finished_by_a_repeat_whichever_call_fails(
    vcenter: Lab, helper: Helper, cloud: Cloud, action: str
) -> None:
    """Attached once, or not at all."""
    vm, disk_cid = helper.vm().cid, cloud.create_disk(_SIZE, {})

    def check(k: int, error: errors.Error) -> None:
        if action == "attach_disk":
            cloud.attach_disk(vm, disk_cid)
            assert list(cloud.get_disks(vm)) == [disk_cid]
            cloud.detach_disk(vm, disk_cid)
        else:
            if disk_cid in cloud.get_disks(vm):
                cloud.detach_disk(vm, disk_cid)
            assert list(cloud.get_disks(vm)) == []
            cloud.attach_disk(vm, disk_cid)

    if action == "detach_disk":
        cloud.attach_disk(vm, disk_cid)
    assert each_call(vcenter, lambda: getattr(cloud, action)(vm, disk_cid), check) >= 3


@pytest.mark.parametrize(
    "action", ["CloneVM_Task", "CreateVirtualDisk_Task", "ReconfigVM_Task", "PowerOnVM_Task", "FindByInventoryPath"]
)
def test_a_lost_answer_is_found_inside_the_call(vcenter: Lab, helper: Helper, cloud: Cloud, action: str) -> None:
    """It was done, the answer never came: there is one VM and one disk, attached once."""
    before = vcenter.census()
    rule = Rule(action, effects.lost_answer(), times=1)
    vcenter.proxy.inject(rule)
    vm, disk_cid = helper.vm().cid, cloud.create_disk(_SIZE, {})
    cloud.attach_disk(vm, disk_cid)
    assert rule.met == 1
    after = vcenter.census()
    assert after["VMs"] == before["VMs"] + 1
    assert after["files .vmdk"] == before["files .vmdk"] + 6
    assert list(cloud.get_disks(vm)) == [disk_cid]


@pytest.mark.parametrize("action", ["ReconfigVM_Task", "Destroy_Task", "PowerOffVM_Task", "DeleteVirtualDisk_Task"])
def test_a_lost_answer_while_something_goes_is_no_failure(vcenter: Lab, helper: Helper, cloud: Cloud, action: str) -> None:
    """It is gone once, and its disk by itself."""
    vm, disk_cid = helper.vm().cid, cloud.create_disk(_SIZE, {})
    cloud.attach_disk(vm, disk_cid)
    vcenter.proxy.inject(Rule(action, effects.lost_answer(), times=1))
    cloud.delete_vm(vm)
    assert cloud.has_disk(disk_cid)
    cloud.delete_disk(disk_cid)
    assert not cloud.has_disk(disk_cid)
    assert not cloud.has_vm(vm)


def test_what_is_gone_besides_the_vm_is_told(vcenter: Lab, helper: Helper) -> None:
    """A task, say, that a vCenter forgot when it was restarted: nobody is told that the VM is deleted."""
    vm = helper.vm().cid
    vcenter.proxy.inject(Rule("PowerOffVM_Task", effects.answer(500, fault("ManagedObjectNotFound").body), times=1))
    with pytest.raises(errors.CloudError, match="ManagedObjectNotFound"):
        helper.cloud.delete_vm(vm)
    helper.cloud.delete_vm(vm)
    assert not helper.cloud.has_vm(vm)


@pytest.mark.parametrize(
    ("action", "status"),
    [("RetrieveServiceContent", 503), ("FindByInventoryPath", 429), ("CreateVirtualDisk_Task", 503), ("PUT /folder/*", 503)],
)
def test_a_vcenter_that_is_throttled_for_long_is_waited_for(
    vcenter: Lab, helper: Helper, monkeypatch: pytest.MonkeyPatch, action: str, status: int
) -> None:
    """Also where nothing may be done twice, and for files: that it did nothing is what it says."""
    SimulatedTime().rule_repeating(monkeypatch)
    with cpi.connect(vcenter.config()) as cloud:
        vm = helper.vm().cid
        if action == "RetrieveServiceContent":
            _end_sessions(vcenter)
        rule = Rule(action, effects.answer(status, b""), times=5)
        vcenter.proxy.inject(rule)
        assert cloud.has_disk(cloud.create_disk(_SIZE, {}, vm))
        assert rule.met == 5


def test_a_vcenter_that_stays_throttled_is_given_up(vcenter: Lab, helper: Helper, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left, and the director may try again."""
    before = vcenter.census()
    monkeypatch.setattr("cpi_drivers.vsphere.api.retries.SECONDS", 0.5)
    vcenter.proxy.inject(Rule("CloneVM_Task", effects.answer(503, b"")))
    with pytest.raises(errors.VMCreationFailed, match=r"CloneVM_Task: http://\S+ has no time now: 503") as caught:
        helper.vm()
    assert caught.value.ok_to_retry
    assert vcenter.census() == before


@pytest.mark.parametrize("action", ["attach_disk", "detach_disk"])
def test_a_vm_that_is_being_migrated_is_waited_for(
    vcenter: Lab, helper: Helper, cloud: Cloud, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """The vCenter does one thing to a VM at a time, and says so instead of waiting."""
    SimulatedTime().rule_repeating(monkeypatch)
    monkeypatch.setattr("cpi_drivers.vsphere.api.retries._ATTEMPTS", 1)
    vm, disk_cid = helper.vm().cid, cloud.create_disk(_SIZE, {})
    if action == "detach_disk":
        cloud.attach_disk(vm, disk_cid)
    rule = Rule("ReconfigVM_Task", effects.answer(500, fault("TaskInProgress").body), times=5)
    vcenter.proxy.inject(rule)
    getattr(cloud, action)(vm, disk_cid)
    assert rule.met == 5
    assert list(cloud.get_disks(vm)) == ([disk_cid] if action == "attach_disk" else [])


def _end_sessions(vcenter: Lab) -> None:
    manager = vcenter.content.sessionManager
    own = manager.currentSession.key
    manager.TerminateSession([session.key for session in manager.sessionList if session.key != own])


def test_polls_are_told_from_looks(vcenter: Lab, cloud: Cloud) -> None:
    """Else the counts would prove nothing."""
    vcenter.proxy.forget_calls()
    cloud.create_disk(_SIZE, {})
    looks = [call for call in vcenter.proxy.calls if call.action == "RetrievePropertiesEx"]
    assert any(is_poll(call.request) for call in looks)
    assert any(not is_poll(call.request) for call in looks)


@pytest.mark.parametrize("kind", ["disk", "snapshot"])
def test_the_record_of_what_is_gone_goes_with_a_repeat(vcenter: Lab, cloud: Cloud, kind: str) -> None:
    """The VMDK went first, and the call failed at its record."""
    disk = cloud.create_disk(_SIZE, {})
    before = _whole(vcenter.census())
    snapshot = cloud.snapshot_disk(disk, {})
    rule = Rule("DeleteDatastoreFile_Task", effects.answer(500, fault("SystemError").body), times=1)
    vcenter.proxy.inject(rule)

    def delete() -> None:
        cloud.delete_snapshot(snapshot) if kind == "snapshot" else cloud.delete_disk(disk)

    with pytest.raises(errors.CloudError, match="SystemError"):
        delete()
    vcenter.proxy.withdraw(rule)
    delete()
    if kind == "snapshot":
        assert _whole(vcenter.census()) == before
    assert not [path for folder in vcenter.folders().values() for path in folder.rglob(f"{disk}.json") if kind == "disk"]
