"""A VM's network cards."""

from collections.abc import Sequence
from typing import Any

import msgspec

from cpi.contract import errors
from cpi.contract.model import Network, Networks
from cpi.kit.settings import read_cloud_properties
from cpi_drivers.vsphere.api.client import vim
from cpi_drivers.vsphere.api.inventory import Inventory, Net
from cpi_drivers.vsphere.properties import NetworkProperties


def wired(networks: Networks, inventory: Inventory, *, strict: bool) -> list[tuple[str, Net]]:
    """The networks by their names, each with the one of vSphere. Raises CpiError for a vip, CloudError for what is not there."""
    found = []
    for name, network in networks.items():
        if network.type == "vip":
            raise errors.CpiError(f"the network {name!r} is of type vip: vSphere has none, use manual ones")
        if network.type == "manual" and not network.ip:
            raise errors.CpiError(f"the manual network {name!r} names no ip")
        wanted = read_cloud_properties(
            NetworkProperties, network.cloud_properties, f"networks.{name}.cloud_properties", strict=strict
        )
        found.append((name, inventory.net(wanted.name)))
    return found


def changes(nets: Sequence[tuple[str, Net]], template: Sequence[Any]) -> list[Any]:
    """The cards of the template go, and one for each network comes."""
    old = [device for device in template if isinstance(device, vim.vm.device.VirtualEthernetCard)]
    gone = [vim.vm.device.VirtualDeviceSpec(operation="remove", device=device) for device in old]
    made = [_card(-200 - index, net) for index, (_, net) in enumerate(nets)]
    return gone + [vim.vm.device.VirtualDeviceSpec(operation="add", device=card) for card in made]


def with_macs(networks: Networks, nets: Sequence[tuple[str, Net]], devices: Sequence[Any]) -> dict[str, Network]:
    """The networks as the agent is told of them: cards keep the order in which they were added."""
    cards = [device for device in devices if isinstance(device, vim.vm.device.VirtualEthernetCard)]
    macs = _matched([net for _, net in nets], sorted(cards, key=lambda card: card.key))
    return {name: msgspec.structs.replace(networks[name], mac=mac) for (name, _), mac in zip(nets, macs, strict=True)}


def _matched(nets: Sequence[Net], cards: Sequence[Any]) -> list[str]:
    left = list(cards)
    macs = []
    for net in nets:
        card = next((card for card in left if _is_on(card, net)), None)
        if card is None:
            raise errors.VMCreationFailed(f"the VM has no card on the network {net.name}", ok_to_retry=True)
        left.remove(card)
        macs.append(str(card.macAddress))
    return macs


def _is_on(card: Any, net: Net) -> bool:
    backing = card.backing
    if isinstance(backing, vim.vm.device.VirtualEthernetCard.DistributedVirtualPortBackingInfo):
        return bool(backing.port.portgroupKey == net.key)
    if isinstance(backing, vim.vm.device.VirtualEthernetCard.OpaqueNetworkBackingInfo):
        return net.opaque is not None and backing.opaqueNetworkId == net.opaque[0]
    return bool(getattr(backing, "deviceName", None) == net.name)


def _card(key: int, net: Net) -> Any:
    connecting = vim.vm.device.VirtualDevice.ConnectInfo(startConnected=True, connected=True, allowGuestControl=True)
    return vim.vm.device.VirtualVmxnet3(key=key, addressType="generated", connectable=connecting, backing=_backing(net))


def _backing(net: Net) -> Any:
    kinds = vim.vm.device.VirtualEthernetCard
    if net.opaque is not None:
        return kinds.OpaqueNetworkBackingInfo(opaqueNetworkId=net.opaque[0], opaqueNetworkType=net.opaque[1])
    if net.key is not None:
        port = vim.dvs.PortConnection(switchUuid=net.switch_uuid, portgroupKey=net.key)
        return kinds.DistributedVirtualPortBackingInfo(port=port)
    return kinds.NetworkBackingInfo(deviceName=net.name, network=net.reference)
