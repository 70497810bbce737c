"""Where a VM is put: on hosts that have its devices, on the datastore that Storage DRS knows, in its director's folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pyVmomi import vim

import cpi
from cpi.contract import errors
from cpi.contract.units import MiB
from cpi_drivers.vsphere import naming
from cpi_drivers.vsphere.api import inventory, placement
from cpi_drivers.vsphere.api.datastores import Choice, Store, names_of
from cpi_drivers.vsphere.api.inventory import Cluster, Host, Inventory
from cpi_drivers.vsphere.api.placement import Need, Place
from cpi_drivers.vsphere.properties import DatastoreClusters
from cpi_drivers.vsphere.settings import ClusterOptions
from cpi_drivers.vsphere.vms import device_groups
from fixtures.clouds.vcsim.answers import fault
from fixtures.clouds.vcsim.lab import STORES, Lab, lab
from fixtures.proxy import Rule, effects
from tests.drivers.vsphere.conftest import Counted, Helper

_STORE = Store(vim.Datastore("datastore-1", None), "ds", None, 1 << 40, reachable=True, usable=True, cluster=None)


def _host(name: str, pci: Sequence[tuple[int, int]] = (), vgpus: Sequence[str] = ()) -> Host:
    return Host(vim.HostSystem(name, None), name, 4096, 2000, frozenset({"datastore-1"}), frozenset(pci), frozenset(vgpus))


def _cluster(name: str, *hosts: Host) -> Cluster:
    reference, pool = vim.ClusterComputeResource(name, None), vim.ResourcePool(name, None)
    return Cluster(reference, name, pool, {}, hosts, frozenset(), places_itself=False)


def _chosen(need: Need, *clusters: Cluster) -> list[tuple[str, str]]:
    known = Inventory({cluster.name: cluster for cluster in clusters}, (_STORE,), ())
    found = placement.places(known, {cluster.name: ClusterOptions() for cluster in clusters}, Choice("."), need)
    return [(place.cluster.name, place.host.name if place.host else "") for place in found]


def test_a_vm_with_devices_is_put_on_a_host_that_has_all_of_them() -> None:
    """And why there is none is told."""
    card = (0x10DE, 0x1EB8)
    plain, able = _cluster("plain", _host("a")), _cluster("able", _host("b"), _host("c", [card], ["grid_t4"]))
    assert _chosen(Need(pci=frozenset({card}), vgpus=frozenset({"grid_t4"})), plain, able) == [("able", "c")]
    with pytest.raises(errors.VMCreationFailed, match="cluster plain: no host with memory enough has the devices 0x10de:0x1eb8"):
        _chosen(Need(pci=frozenset({card})), plain)


def test_the_devices_of_a_host_are_those_that_vms_may_have() -> None:
    """Passed through, that is; numbers come with a sign."""
    seen = {
        "name": "h",
        "hardware.pciDevice": [
            vim.host.PciDevice(id="1", vendorId=0x8086 - 0x10000, deviceId=0x1572),
            vim.host.PciDevice(id="2", vendorId=0x10DE, deviceId=1),
        ],
        "config.pciPassthruInfo": [
            vim.host.PciPassthruInfo(id="1", passthruActive=True),
            vim.host.PciPassthruInfo(id="2", passthruActive=False),
        ],
        "config.sharedGpuCapabilities": [vim.host.SharedGpuCapabilities(vgpu="grid_t4")],
    }
    host = inventory._host(vim.HostSystem("host-1", None), seen)
    assert (set(host.pci), set(host.vgpus)) == ({(0x8086, 0x1572)}, {"grid_t4"})


def test_hosts_without_the_devices_take_no_vm(helper: Helper) -> None:
    """The simulator's have none: it is told for each cluster, and nothing is made."""
    with pytest.raises(errors.VMCreationFailed, match="DC0_C1: no host with memory enough has the devices grid_t4"):
        helper.vm(vgpus=["grid_t4"])


# ---------------------------------------------------------------------- device groups


class _Knowing:
    """Stands for a vCenter that knows device groups, which the simulator does not."""

    def __init__(self, *groups: Any) -> None:
        self.client, self._groups = self, groups

    def read(self, objects: Sequence[Any], _: Any) -> dict[Any, dict[str, Any]]:
        return {item: {"environmentBrowser": None} for item in objects}

    def call(self, _: Any, operation: str, **__: Any) -> Any:
        assert operation == "QueryConfigTarget"
        return vim.vm.ConfigTarget(vendorDeviceGroupInfo=list(self._groups))


def test_a_device_group_is_added_with_all_its_devices() -> None:
    """Each says to which group it belongs, and where in it."""
    part = vim.vm.VendorDeviceGroupInfo.ComponentDeviceInfo
    parts = [part(device=vim.vm.device.VirtualPCIPassthrough(key=13000)) for _ in range(2)]
    known: Any = _Knowing(vim.vm.VendorDeviceGroupInfo(deviceGroupName="pair", componentDeviceInfo=parts))
    place, config = Place(_cluster("c"), None, None, _STORE), vim.vm.ConfigSpec(deviceChange=[])
    assert not device_groups.add(config, known, place, ["pair", "none"])
    assert device_groups.add(config, known, place, ["pair"])
    assert [group.deviceGroupName for group in config.deviceGroups.deviceGroup] == ["pair"]
    devices = [change.device for change in config.deviceChange]
    assert [(one.deviceGroupInfo.groupInstanceKey, one.deviceGroupInfo.sequenceId) for one in devices] == [(-1, 0), (-1, 1)]
    assert len({one.key for one in devices}) == 2
    assert parts[0].device.key == 13000


def test_a_device_group_that_is_nowhere_is_told(vcenter: Lab, helper: Helper) -> None:
    """Of each place; nothing is made."""
    before = vcenter.census()
    with pytest.raises(errors.VMCreationFailed, match="DC0_C1 on LocalDS_0: it has not all of the device groups pair"):
        helper.vm(device_groups=["pair"])
    assert vcenter.census() == before


# ---------------------------------------------------------------------- Storage DRS


def test_storage_drs_chooses_the_datastore(tmp_path: Path, image_path: Path) -> None:
    """In a datastore cluster where it is on; where it answers nothing, the datastore with most room is taken."""
    with lab() as vcenter:
        [datacenter] = vcenter.all(vim.Datacenter)
        pod = datacenter.datastoreFolder.CreateFolder(name="tier/1").CreateStoragePod(name="gold")
        stores = sorted(vcenter.all(vim.Datastore), key=lambda store: store.name)
        vcenter.end(pod.MoveIntoFolder_Task(stores))
        manager = vcenter.content.storageResourceManager
        on = vim.storageDrs.ConfigSpec(podConfigSpec=vim.storageDrs.PodConfigSpec(enabled=True))
        vcenter.end(manager.ConfigureStorageDrsForPod_Task(pod=pod, spec=on, modify=True))
        patterns = {"datastore_pattern": None, "datastore_cluster_pattern": "^gold$"}
        with cpi.connect(vcenter.config(cache_folder=str(tmp_path), datacenter=patterns)) as cloud:
            helper = Helper(vcenter, cloud, cloud.create_stemcell(str(image_path), {}, {}))
            vms = [helper.vm().cid]
            wanted = Rule("RecommendDatastores", effects.rewritten(lambda _, answer: answer))
            vcenter.proxy.inject(wanted)
            vms.append(helper.vm().cid)
            assert wanted.met == 1
            advised = _first(vcenter, pod)
            assert [vcenter.vm(vm).datastore[0].name for vm in vms] == [advised, advised]
            wish: dict[str, Any] = {"datastores": [{"clusters": [{"gold": {}}]}]}
            assert vcenter.vm(helper.vm(**wish).cid).datastore[0].name in STORES
            for kind in (False, True):
                cid = cloud.create_disk(MiB(10), {**wish, "fcd": kind})
                assert cloud.update_disk(cid, MiB(20), wish) == cid
            assert naming.disk_name(cloud.create_disk(MiB(10), wish)).pattern == "^(LocalDS_0|LocalDS_1)$"
            for way in ("tier/1/gold", "tier%2f1/gold", "DC0/datastore/tier/1/gold"):
                cid = cloud.create_disk(MiB(10), {"datastores": [{"clusters": [way]}]})
                assert naming.disk_name(cid).pattern == "^(LocalDS_0|LocalDS_1)$"
            for way in ("silver", "tier/2/gold"):
                with pytest.raises(errors.CloudError, match=f"whose cluster is '{way}'"):
                    cloud.create_disk(MiB(10), {"datastores": [{"clusters": [way]}]})
            vcenter.proxy.inject(Rule("RecommendDatastores", effects.answer(500, fault("InvalidState").body)))
            assert vcenter.vm(helper.vm().cid).datastore[0].name in STORES


def _store(name: str, cluster: str) -> Store:
    path = f"{cluster}/gold"
    return Store(
        reference=None, name=name, browser=None, free=1, reachable=True, usable=True, cluster="gold", cluster_path=path.strip("/")
    )


def test_a_datastore_cluster_is_named_by_its_path_where_several_have_its_name() -> None:
    """Its name alone is refused, with the paths; so a disk never goes where nobody meant it to."""
    stores = [_store("one", ""), _store("two", "north"), _store("three", "north/east")]
    for way, names in (("north/gold", ["two"]), ("east/gold", ["three"]), ("/north/east/gold", ["three"])):
        assert [store.name for store in Choice(clusters=(way,)).of(stores)] == names
    with pytest.raises(errors.CloudError, match="'gold' means several datastore clusters: gold, north/east/gold, north"):
        Choice(clusters=("gold",)).of(stores)
    assert [store.name for store in Choice(clusters=("DC0/datastore/gold",)).of(stores)] == ["one"]
    assert names_of((DatastoreClusters(("north/gold",)), "five"), lambda: stores) == ["two"]


def _first(vcenter: Lab, pod: Any) -> str:
    """The simulator recommends every datastore of a cluster, in this order."""
    name: str = pod.childEntity[0].name
    return name


# ---------------------------------------------------------------------- folders


def test_each_director_has_folders_of_its_own_if_wished(vcenter: Lab, image_path: Path, counted: Counted) -> None:
    """Inside those of the configuration; who has none finds both. has_vm makes two calls at most."""
    context = cpi.CallContext(director_uuid="director-1")
    plain, own = vcenter.config(), vcenter.config(datacenter={"use_sub_folder": True})
    with cpi.connect(plain) as before, cpi.connect(own, context=context) as cloud:
        helper = Helper(vcenter, before, before.create_stemcell(str(image_path), {}, {}))
        early, late = helper.vm().cid, helper.vm(cloud=cloud).cid
        assert [vcenter.vm(vm).parent.name for vm in (early, late)] == ["BOSH_VMs", "director-1"]
        assert cloud.has_vm(early)
        assert counted(lambda: cloud.has_vm(early)) == {"FindByInventoryPath": 2}
        assert before.has_vm(late)
        cloud.delete_vm(early)
        stemcell = cloud.create_stemcell(str(image_path), {}, {})
        assert vcenter.vm(stemcell).parent.parent.name == "BOSH_Templates"
        for cid in (stemcell, helper.stemcell):
            cloud.delete_stemcell(cid)
        assert [vm.name for vm in vcenter.all(vim.VirtualMachine)] == [late]


def test_a_resource_pool_means_folders_of_directors(vcenter: Lab, image_path: Path) -> None:
    """As with the official CPI."""
    config = vcenter.config(datacenter={"clusters": [{"DC0_C0": {"resource_pool": "DC0_C0_RP1"}}]})
    with cpi.connect(config, context=cpi.CallContext(director_uuid="director-1")) as cloud:
        helper = Helper(vcenter, cloud, cloud.create_stemcell(str(image_path), {}, {}))
        vm = vcenter.vm(helper.vm().cid)
        assert (vm.parent.name, vm.resourcePool.name) == ("director-1", "DC0_C0_RP1")


# ---------------------------------------------------------------------- hardware versions


@pytest.mark.parametrize(("settings", "calls"), [({}, 1), ({"default_hw_version": None}, 0), ({"default_hw_version": 9}, 0)])
def test_a_vm_gets_the_default_hardware_version_if_its_stemcells_is_older(
    vcenter: Lab, helper: Helper, settings: dict[str, Any], calls: int
) -> None:
    """17 by default, as with the official CPI."""
    with cpi.connect(vcenter.config(**settings)) as cloud:
        vcenter.proxy.forget_calls()
        helper.vm(cloud=cloud)
    upgrades = [call.request.body for call in vcenter.proxy.calls if call.action == "UpgradeVM_Task"]
    assert len(upgrades) == calls
    assert all(b"vmx-17" in body for body in upgrades)
