"""What is not where the configuration says is not gone: a director that is told so makes a twin of it."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyVmomi import vim

import cpi
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid, StemcellCid, VmCid
from cpi.contract.units import MiB
from fixtures.clouds.vcsim.lab import Lab
from fixtures.proxy import Answer, Rule, effects
from tests.drivers.vsphere.conftest import Helper

Moving = Callable[[Lab, Any], dict[str, Any]]
"""Takes a VM or a stemcell from where the configuration says that it is; answers what the configuration says from then on."""


def _into_another_folder(vcenter: Lab, thing: Any) -> dict[str, Any]:
    (datacenter,) = vcenter.all(vim.Datacenter)
    folder = next((one for one in datacenter.vmFolder.childEntity if one.name == "Elsewhere"), None)
    folder = folder or datacenter.vmFolder.CreateFolder("Elsewhere")
    below = next((one for one in folder.childEntity if one.name == "Below"), None) or folder.CreateFolder("Below")
    vcenter.end(below.MoveIntoFolder_Task([thing]))
    assert thing.parent.name == "Below"
    return {}


def _other_folders_in_the_configuration(vcenter: Lab, thing: Any) -> dict[str, Any]:
    return {"vm_folder": "New/VMs", "template_folder": "New/Templates"}


def _folders_of_another_director(vcenter: Lab, thing: Any) -> dict[str, Any]:
    """As after a restore: the thing lies in the folder of a director's UUID that is another one now."""
    (datacenter,) = vcenter.all(vim.Datacenter)
    above = thing.parent
    assert above in datacenter.vmFolder.childEntity
    folder = next((one for one in above.childEntity if one.name == "old-director"), None) or above.CreateFolder("old-director")
    vcenter.end(folder.MoveIntoFolder_Task([thing]))
    return {"use_sub_folder": True}


WAYS: dict[str, Moving] = {
    "moved by people": _into_another_folder,
    "folders changed": _other_folders_in_the_configuration,
    "another director's": _folders_of_another_director,
}


def _deleted(cloud: Cloud, vcenter: Lab, vm: VmCid, disk: DiskCid) -> None:
    cloud.delete_vm(vm)
    assert vm not in {one.name for one in vcenter.all(vim.VirtualMachine)}
    assert cloud.has_disk(disk)  # it was on the VM


def _detached(cloud: Cloud, vcenter: Lab, vm: VmCid, disk: DiskCid) -> None:
    cloud.detach_disk(vm, disk)
    assert cloud.get_disks(vm) == []


def _held(cloud: Cloud, vcenter: Lab, vm: VmCid, disk: DiskCid) -> None:
    with pytest.raises(errors.CloudError, match=f"attached to the VM {vm}"):
        cloud.resize_disk(disk, MiB(200))


def _told(cloud: Cloud, vcenter: Lab, vm: VmCid, disk: DiskCid) -> None:
    cloud.set_vm_metadata(vm, {"a": "b"})
    assert vcenter.tags(vm)["a"] == "b"


def _rebooted(cloud: Cloud, vcenter: Lab, vm: VmCid, disk: DiskCid) -> None:
    vcenter.end(vcenter.vm(vm).PowerOffVM_Task())
    cloud.reboot_vm(vm)
    assert vcenter.vm(vm).runtime.powerState == "poweredOn"


def _there(cloud: Cloud, vcenter: Lab, vm: VmCid, disk: DiskCid) -> None:
    assert cloud.has_vm(vm)
    assert not cloud.has_vm(VmCid(f"{vm}-of-which-there-is-none"))
    assert cloud.get_disks(vm) == [disk]
    assert cloud.attach_disk(vm, disk).device == "2"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("check", [_there, _deleted, _detached, _held, _told, _rebooted], ids=lambda one: one.__name__.strip("_"))
def test_a_vm_is_found_wherever_it_is(
    vcenter: Lab, helper: Helper, way: str, check: Callable[[Cloud, Lab, VmCid, DiskCid], None]
) -> None:
    """In every method."""
    vm, disk = helper.vm().cid, helper.cloud.create_disk(MiB(100), {})
    helper.cloud.attach_disk(vm, disk)
    datacenter = WAYS[way](vcenter, helper.real(vm))
    with cpi.connect({**vcenter.config(datacenter=datacenter), "context": {"director_uuid": "new-director"}}) as cloud:
        check(cloud, vcenter, vm, disk)


@pytest.mark.parametrize("way", WAYS)
def test_a_stemcell_is_found_wherever_it_is(vcenter: Lab, helper: Helper, way: str) -> None:
    """VMs are made of it, and delete_stemcell removes it."""
    datacenter = WAYS[way](vcenter, helper.real(VmCid(helper.stemcell)))
    with cpi.connect({**vcenter.config(datacenter=datacenter), "context": {"director_uuid": "new-director"}}) as cloud:
        cloud.delete_vm(helper.vm(cloud=cloud).cid)
        cloud.delete_stemcell(helper.stemcell)
    assert helper.stemcell not in {one.name for one in vcenter.all(vim.VirtualMachine)}


def test_a_vm_is_no_stemcell_and_a_stemcell_no_vm(vcenter: Lab, helper: Helper) -> None:
    """Though both are VMs of the vCenter, found by their names."""
    vm = helper.vm().cid
    helper.cloud.delete_stemcell(StemcellCid(vm))
    helper.cloud.delete_vm(VmCid(helper.stemcell))
    assert {vm, helper.stemcell} <= {one.name for one in vcenter.all(vim.VirtualMachine)}


def test_of_two_vms_of_one_name_none_is_chosen(vcenter: Lab, helper: Helper) -> None:
    """A copy that somebody restored, say: one of them runs."""
    vm, other = helper.vm().cid, helper.vm().cid
    for one in (vm, other):
        _into_another_folder(vcenter, helper.real(one))
    (datacenter,) = vcenter.all(vim.Datacenter)
    folder = datacenter.vmFolder.CreateFolder("Restored")
    twin = helper.real(other)
    vcenter.end(folder.MoveIntoFolder_Task([twin]))
    vcenter.end(twin.Rename_Task(vm))
    with pytest.raises(errors.CloudError, match=f"2 VMs in the datacenter DC0 of .* are called {vm}, and none is in the folder"):
        helper.cloud.delete_vm(vm)


_HARDWARE = re.compile(rb"<propSet><name>config\.[^<]*</name>.*?</propSet>", re.DOTALL)


@pytest.fixture
def unreachable(vcenter: Lab) -> Iterator[None]:
    """The vCenter knows no VM's configuration: its host or datastore is away, or it is just being made."""

    def without(_: object, answer: Answer) -> Answer:
        body = answer.body.replace(b">connected<", b">inaccessible<")
        return Answer(answer.status, _HARDWARE.sub(b"", body))

    rule = Rule("RetrievePropertiesEx", effects.rewritten(without))
    vcenter.proxy.inject(rule)
    yield
    assert rule.met
    vcenter.proxy.withdraw(rule)


UNKNOWN: dict[str, Callable[[Cloud, VmCid, DiskCid], object]] = {
    "get_disks": lambda cloud, vm, _: cloud.get_disks(vm),
    "detach_disk": lambda cloud, vm, disk: cloud.detach_disk(vm, disk),
    "attach_disk": lambda cloud, vm, disk: cloud.attach_disk(vm, disk),
    "delete_vm": lambda cloud, vm, _: cloud.delete_vm(vm),
    "delete_disk": lambda cloud, _, disk: cloud.delete_disk(disk),
    "resize_disk": lambda cloud, _, disk: cloud.resize_disk(disk, MiB(200)),
}


@pytest.mark.parametrize("call", UNKNOWN)
def test_the_disks_of_a_vm_without_a_configuration_are_not_known(
    vcenter: Lab, helper: Helper, request: pytest.FixtureRequest, call: str
) -> None:
    """So they are neither detached nor free, and the VM is not deleted with them on it."""
    vm, disk = helper.vm().cid, helper.cloud.create_disk(MiB(100), {})
    helper.cloud.attach_disk(vm, disk)
    request.getfixturevalue("unreachable")
    with pytest.raises(errors.CloudError, match=f"does not know the hardware of the VM {vm}") as caught:
        UNKNOWN[call](helper.cloud, vm, disk)
    assert type(caught.value) is errors.CloudError
    assert helper.cloud.has_vm(vm)
