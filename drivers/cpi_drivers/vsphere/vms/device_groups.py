"""Vendor device groups: devices of a host that a VM gets together, as their vendor has put them together."""

import copy
from collections.abc import Sequence
from typing import Any, Final

from cpi_drivers.vsphere.api.client import vim
from cpi_drivers.vsphere.api.datacenter import Site
from cpi_drivers.vsphere.api.placement import Place

_FIRST_KEY: Final = -500


def add(config: Any, site: Site, place: Place, names: Sequence[str]) -> bool:
    """Put groups by their names, each with all its devices, into what a VM shall be; False if the place has not all of them."""
    if not names:
        return True
    known = {group.deviceGroupName: group for group in _known(site, place)}
    if not known.keys() >= set(names):
        return False
    groups: list[Any] = []
    changes: list[Any] = []
    for instance, name in enumerate(names, start=1):
        groups.append(vim.vm.VirtualDeviceGroups.VendorDeviceGroup(groupInstanceKey=-instance, deviceGroupName=name))
        for sequence, component in enumerate(known[name].componentDeviceInfo):
            device = copy.copy(component.device)
            device.key = _FIRST_KEY - len(changes)
            device.deviceGroupInfo = vim.vm.device.VirtualDevice.DeviceGroupInfo(groupInstanceKey=-instance, sequenceId=sequence)
            changes.append(vim.vm.device.VirtualDeviceSpec(operation="add", device=device))
    config.deviceGroups = vim.vm.VirtualDeviceGroups(deviceGroup=groups)
    config.deviceChange = [*config.deviceChange, *changes]
    return True


def _known(site: Site, place: Place) -> Sequence[Any]:
    cluster = place.cluster.reference
    seen = site.client.read([cluster], {vim.ClusterComputeResource: ("environmentBrowser",)})[cluster]
    host = place.host.reference if place.host else None
    target = site.client.call(seen["environmentBrowser"], "QueryConfigTarget", idempotent=True, host=host)
    return list(getattr(target, "vendorDeviceGroupInfo", None) or ())
