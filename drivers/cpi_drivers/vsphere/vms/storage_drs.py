"""Storage DRS: in a datastore cluster it knows best which datastore shall take a VM."""

import logging
from collections.abc import Sequence
from typing import Any, Final

from cpi_drivers.vsphere.api.client import vim
from cpi_drivers.vsphere.api.datacenter import Site
from cpi_drivers.vsphere.api.errors import Refused
from cpi_drivers.vsphere.api.placement import Need, Place

_log = logging.getLogger(__name__)

_DISK: Final = -2
_CONTROLLER: Final = -1
_MIB_IN_KIB: Final = 1 << 10


def advised(site: Site, places: Sequence[Place], need: Need, name: str) -> list[Place]:
    """The places, those first that it recommends, if the best is in a datastore cluster that it looks after."""
    best = places[0]
    if best.store.pod is None:
        return list(places)
    spec = vim.storageDrs.StoragePlacementSpec(
        type="create",
        configSpec=_vm(need, name),
        resourcePool=best.pool,
        folder=site.folder(site.vm_folder),
        podSelectionSpec=_within(best.store.pod),
    )
    try:
        manager = site.client.manager("storageResourceManager")
        answer = site.client.call(manager, "RecommendDatastores", idempotent=True, storageSpec=spec)
    except Refused as error:
        _log.warning("Storage DRS recommends nothing, the datastore with most room is taken: %s", error)
        return list(places)
    wanted = [action.destination for one in answer.recommendations or () for action in one.action[:1]]
    first = [place for store in wanted for place in places if place.store.reference == store]
    return [*first, *(place for place in places if place not in first)]


def _vm(need: Need, name: str) -> Any:
    """As large as the VM will be: what it is made of besides does not matter here."""
    controller = vim.vm.device.ParaVirtualSCSIController(key=_CONTROLLER, busNumber=0, sharedBus="noSharing")
    disk = vim.vm.device.VirtualDisk(
        key=_DISK, controllerKey=_CONTROLLER, unitNumber=0, capacityInKB=(need.disk + need.ram) * _MIB_IN_KIB, backing=_backing()
    )
    added = vim.vm.device.VirtualDeviceSpec(operation="add", fileOperation="create", device=disk)
    changes = [vim.vm.device.VirtualDeviceSpec(operation="add", device=controller), added]
    return vim.vm.ConfigSpec(name=name, numCPUs=1, memoryMB=need.ram, deviceChange=changes)


def _within(pod: Any) -> Any:
    disk = vim.storageDrs.PodSelectionSpec.DiskLocator(diskId=_DISK, diskBackingInfo=_backing())
    config = vim.storageDrs.PodSelectionSpec.VmPodConfig(storagePod=pod, disk=[disk])
    return vim.storageDrs.PodSelectionSpec(storagePod=pod, initialVmConfig=[config])


def _backing() -> Any:
    return vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName="", diskMode="persistent", thinProvisioned=True)
