"""From BOSH's networks to a VM's NICs, and back. Pure."""

import ipaddress
from collections.abc import Sequence

import msgspec

from cpi.contract import errors
from cpi.contract.model import Network, Networks
from cpi.kit.settings import read_cloud_properties
from cpi_drivers.vcloud.api import documents
from cpi_drivers.vcloud.api.documents import Element, make, ovf, within
from cpi_drivers.vcloud.properties import NetworkProperties


class Nic(msgspec.Struct, frozen=True):
    """One network of a VM."""

    name: str
    """In the manifest."""

    network: str
    """In the vDC."""

    ip: str | None
    """The manual address; none means that the cloud chooses."""

    mode: str
    """MANUAL, POOL or DHCP."""


def wiring(networks: Networks, *, strict: bool) -> tuple[Nic, ...]:
    """The NICs, that with the default gateway first. Raises CpiError for what no VM can have."""
    if not networks:
        raise errors.CpiError("a VM needs a network")
    nics = [_nic(name, network, strict=strict) for name, network in networks.items()]
    nics.sort(key=lambda nic: "gateway" not in (networks[nic.name].default or ()))
    return tuple(nics)


def _nic(name: str, network: Network, *, strict: bool) -> Nic:
    if network.type == "vip":
        raise errors.CpiError(
            f"networks.{name}: there are no vip networks here: public addresses are NAT rules of the edge gateway"
        )
    where = f"networks.{name}.cloud_properties"
    properties = read_cloud_properties(NetworkProperties, network.cloud_properties, where, strict=strict)
    if network.type == "dynamic":
        return Nic(name, properties.name, None, properties.allocation)
    if network.prefix not in {None, "", "32"}:
        raise errors.CpiError(f"networks.{name}: no prefixes are delegated here (prefix {network.prefix})")
    try:
        return Nic(name, properties.name, str(ipaddress.IPv4Address(network.ip or "")), "MANUAL")
    except ValueError as error:
        raise errors.CpiError(f"networks.{name}: a manual network needs an IPv4 address, got {network.ip!r}") from error


def bridged(parents: Sequence[Element]) -> Element:
    """The networks of a vApp, each the vDC's own under the same name."""
    unique = {str(parent.get("name")): parent for parent in parents}
    return make("NetworkConfigSection", ovf("Info", "networks"), *(_config(name, parent) for name, parent in unique.items()))


def _config(name: str, parent: Element) -> Element:
    lead = documents.reference("ParentNetwork", str(parent.get("href")), name=name)
    return make("NetworkConfig", make("Configuration", lead, make("FenceMode", "bridged")), networkName=name)


def connections(nics: Sequence[Nic], adapter: str) -> Element:
    """The NICs of a VM, in their order."""
    made = []
    for index, nic in enumerate(nics):
        said = {"NetworkConnectionIndex": str(index), **({"IpAddress": nic.ip} if nic.ip else {}), "IsConnected": "true"}
        said |= {"IpAddressAllocationMode": nic.mode, "NetworkAdapterType": adapter}
        one = within("NetworkConnection", said)
        one.set("network", nic.network)
        made.append(one)
    head = (ovf("Info", "NICs"), make("PrimaryNetworkConnectionIndex", "0"))
    return make("NetworkConnectionSection", *head, *made)


def resolved_networks(networks: Networks, nics: Sequence[Nic], vm: Element) -> dict[str, Network]:
    """The networks with the addresses and MACs that the VM has."""
    result, seen = dict(networks), documents.every(vm, "NetworkConnectionSection/NetworkConnection")
    by_index = {documents.text(connection, "NetworkConnectionIndex"): connection for connection in seen}
    for index, nic in enumerate(nics):
        made = by_index.get(str(index))
        if made is None:
            raise errors.CloudError(f"the VM {vm.get('name')} has no NIC for {nic.name}")
        ip = documents.text(made, "IpAddress") or nic.ip
        mac = documents.text(made, "MACAddress") or None
        result[nic.name] = msgspec.structs.replace(networks[nic.name], ip=ip, mac=mac)
    return result
