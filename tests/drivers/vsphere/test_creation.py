"""What a VM is made of, as the vCenter has it afterwards or was asked for it."""

from pathlib import Path
from typing import Any

import pytest
from pyVmomi import vim

import cpi
from cpi.contract import errors
from cpi.contract.ids import VmCid
from cpi.contract.model import Network
from cpi.contract.units import MiB
from cpi.kit.settings import Secret
from cpi_drivers.vsphere import naming
from cpi_drivers.vsphere.api.datastores import Store
from cpi_drivers.vsphere.api.inventory import Cluster, Host
from cpi_drivers.vsphere.api.placement import Place
from cpi_drivers.vsphere.properties import PciDevice, VmProperties
from cpi_drivers.vsphere.settings import Datacenter, VCenter
from cpi_drivers.vsphere.vms import launch
from fixtures.clouds.vcsim.answers import fault
from fixtures.clouds.vcsim.lab import Lab
from fixtures.proxy import Rule, effects
from tests.drivers.vsphere.conftest import Helper

pytestmark = pytest.mark.slow


def test_a_vm_is_what_its_type_says(helper: Helper) -> None:
    """CPUs, memory, hot-add, options; linked to its stemcell."""
    vm = helper.vm(cpu=3, ram=1024, cpu_hot_add_enabled=True, vmx_options={"sched.mem.pin": True}).cid
    config = helper.real(vm).config
    assert (config.hardware.numCPU, config.hardware.memoryMB, config.cpuHotAddEnabled) == (3, 1024, True)
    assert {option.key: option.value for option in config.extraConfig}["sched.mem.pin"] == "TRUE"
    disks = [device for device in config.hardware.device if isinstance(device, vim.vm.device.VirtualDisk)]
    assert disks[0].backing.parent.fileName.startswith(f"[LocalDS_0] {helper.stemcell}/")
    assert disks[1].capacityInKB == 1024 * 1024


def test_reservations_are_made_if_wished(helper: Helper) -> None:
    """By the VM type, or by the settings."""
    config = helper.real(helper.vm(cpu=2, cpu_reserve_full_mhz=True, memory_reservation_locked_to_max=True).cid).config
    assert config.cpuAllocation.reservation == 2 * 2294
    assert config.memoryReservationLockedToMax is True


def test_a_larger_root_disk_makes_a_full_clone(helper: Helper) -> None:
    """A linked one could not grow; a smaller one is refused."""
    disks = [
        device
        for device in helper.real(helper.vm(root_disk_size_gb=5).cid).config.hardware.device
        if isinstance(device, vim.vm.device.VirtualDisk)
    ]
    assert 5 << 20 in [disk.capacityInKB for disk in disks]
    assert all(disk.backing.parent is None for disk in disks)
    with pytest.raises(errors.CpiError, match="root_disk_size_gb"):
        helper.vm(root_disk_size_gb=1)


def test_several_networks_have_cards_in_their_order(vcenter: Lab, helper: Helper) -> None:
    """A standard and a distributed one; the agent is told the MAC of each."""
    networks = {
        "first": Network(ip=vcenter.address(), cloud_properties={"name": "VM Network"}),
        "second": Network(ip=vcenter.address(), cloud_properties={"name": "DVS0/DC0_DVPG0"}),
    }
    vm = helper.vm(networks=networks).cid
    cards = {
        type(device.backing).__name__.rpartition(".")[2]: device.macAddress
        for device in helper.real(vm).config.hardware.device
        if isinstance(device, vim.vm.device.VirtualEthernetCard)
    }
    with cpi.connect(vcenter.config()) as cloud:
        told = cloud.agent_settings(vm)["networks"]  # type: ignore[attr-defined]  # a power beyond the contract
    assert told["first"]["mac"] == cards["NetworkBackingInfo"]
    assert told["second"]["mac"] == cards["DistributedVirtualPortBackingInfo"]


def test_a_storage_policy_is_looked_up_by_its_name(vcenter: Lab, helper: Helper) -> None:
    """And one that does not exist is told with those that do."""
    assert helper.cloud.has_vm(helper.vm(storage_policy={"name": "vSAN Default Storage Policy"}).cid)
    with pytest.raises(errors.CloudError, match="VVol No Requirements Policy"):
        helper.vm(storage_policy={"name": "none"})


def test_tags_that_exist_are_put_on_and_others_are_logged(vcenter: Lab, helper: Helper, caplog: pytest.LogCaptureFixture) -> None:
    """The VM is made either way."""
    identity = vcenter.make_tag("zone", "red")
    vm = helper.vm(tags=[{"category": "zone", "tag": "red"}, {"category": "zone", "tag": "none"}]).cid
    assert vcenter.tagged(identity) == [helper.real(vm)._moId]
    assert "the tag none of the category zone does not exist" in caplog.text
    assert helper.cloud.has_vm(vm)


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_no_vm_fails_for_the_service_of_tags(vcenter: Lab, helper: Helper, caplog: pytest.LogCaptureFixture, method: str) -> None:
    """Neither for its login nor for the end of that; nor is the VM kept waiting for a service that is not up."""
    vcenter.make_tag(f"for {method}", "red")
    rule = Rule(f"{method} /rest/com/vmware/cis/session", effects.answer(503, b""))
    vcenter.proxy.inject(rule)
    assert helper.cloud.has_vm(helper.vm(tags=[{"category": f"for {method}", "tag": "red"}]).cid)
    assert rule.met
    assert f"{method} /session: the vCenter answered 503" in caplog.text


def test_the_disks_are_on_the_controller_that_is_wished(vcenter: Lab, helper: Helper) -> None:
    """The stemcell's is replaced."""
    with cpi.connect(vcenter.config(default_scsi_controller_type="lsi_logic")) as cloud:
        vm = helper.vm(cloud=cloud).cid
        cid = cloud.create_disk(MiB(10), {})
        assert cloud.attach_disk(vm, cid).device == "2"
    found = helper.real(vm).config.hardware.device
    [controller] = [device for device in found if isinstance(device, vim.vm.device.VirtualSCSIController)]
    assert isinstance(controller, vim.vm.device.VirtualLsiLogicController)
    disks = [device for device in found if isinstance(device, vim.vm.device.VirtualDisk)]
    assert [disk.controllerKey for disk in disks] == [controller.key] * 3


@pytest.mark.parametrize("key", ["nsx", "nsxt"])
def test_what_would_leave_a_vm_unprotected_is_refused(helper: Helper, key: str) -> None:
    """Instead of passed over."""
    wish: dict[str, Any] = {key: {"ns_groups": ["web"]}}
    with pytest.raises(errors.CpiError, match=key):
        helper.vm(**wish)


def test_another_place_is_tried_when_power_on_fails(vcenter: Lab, helper: Helper) -> None:
    """There are two clusters: the VM ends in the other one, and nothing is left in the first."""
    before = vcenter.census()["VMs"]
    rule = Rule("PowerOnVM_Task", effects.answer(500, fault("GenericVmConfigFault").body), times=1)
    vcenter.proxy.inject(rule)
    vm = helper.vm().cid
    assert rule.met == 1
    assert helper.cloud.has_vm(vm)
    assert vcenter.census()["VMs"] == before + 1


def test_why_there_is_no_place_is_told_of_each_cluster(helper: Helper) -> None:
    """Memory, here."""
    with pytest.raises(errors.VMCreationFailed) as caught:
        helper.vm(ram=1 << 20)
    assert "DC0_C0" in caught.value.message
    assert "DC0_C1" in caught.value.message
    assert not caught.value.ok_to_retry


def test_names_are_for_people_if_wished(vcenter: Lab, helper: Helper) -> None:
    """The name is the CID, as with the official CPI."""
    env: dict[str, Any] = {"bosh": {"groups": ["director", "cf", "db", "director-cf"]}}
    with cpi.connect(vcenter.config(enable_human_readable_name=True)) as cloud:
        vm = helper.vm(cloud=cloud, env=env).cid
        assert vm.startswith("db_cf_")
        assert cloud.has_vm(VmCid(vm))
        cloud.delete_vm(vm)
    assert naming.readable_name({}, "vm-1") == "vm-1"


def test_devices_of_the_host_reserve_all_memory() -> None:
    """What is asked of the vCenter: the simulator has no such devices."""
    wish = VmProperties(cpu=1, ram=512, disk=1024, pci_passthroughs=(PciDevice("0x10de", 7864),), vgpus=("grid_p40",))
    store = Store(vim.Datastore("datastore-1", None), "ds", None, 1 << 40, reachable=True, usable=True, cluster=None)
    host = Host(vim.HostSystem("host-1", None), "h", 4096, 2000, frozenset({"datastore-1"}))
    pool = vim.ResourcePool("pool-1", None)
    cluster = Cluster(vim.ClusterComputeResource("c-1", None), "c", pool, {}, (host,), frozenset(), places_itself=True)
    root = vim.vm.device.VirtualDisk(key=2000, controllerKey=1000, unitNumber=0, capacityInKB=3 << 20)
    template = {
        "config.hardware.device": [root, vim.vm.device.ParaVirtualSCSIController(key=1000, busNumber=0)],
        "snapshot.currentSnapshot": vim.vm.Snapshot("snapshot-1", None),
    }
    spec = launch.clone(wish, _vcenter(), Place(cluster, pool, None, store), template, [], {}, "policy-1")
    added = [change.device.backing for change in spec.config.deviceChange]
    assert [(one.vendorId, one.deviceId) for one in added[-2].allowedDevice] == [(0x10DE, 7864)]
    assert added[-1].vgpu == "grid_p40"
    assert spec.config.memoryReservationLockedToMax is True
    assert spec.config.vmProfile[0].profileId == "policy-1"


def _vcenter() -> VCenter:
    place = Datacenter("DC0", ("c",), datastore_pattern=".", persistent_datastore_pattern=".")
    return VCenter("vcenter", "user", Secret("password"), (place,))


def test_a_lease_hears_that_its_upload_goes_on(
    vcenter: Lab, helper: Helper, image_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the vCenter gives it up, after minutes: how much is there is told, until it is complete."""
    monkeypatch.setattr("cpi_drivers.vsphere.stemcells.upload._HEARTBEAT_SECONDS", 0.0)
    vcenter.proxy.forget_calls()
    helper.cloud.create_stemcell(str(image_path), {}, {})
    [progress] = [call.request.body for call in vcenter.proxy.calls if call.action == "HttpNfcLeaseProgress"]
    assert b">99</percent>" in progress
