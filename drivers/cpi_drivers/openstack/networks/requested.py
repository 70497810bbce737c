"""From BOSH's networks to what VMs need of Neutron, and back. Pure."""

import ipaddress
from collections.abc import Mapping, Sequence

import msgspec

from cpi.contract import errors
from cpi.contract.model import Network, Networks
from cpi.kit.settings import read_cloud_properties
from cpi_drivers.openstack.api.states import Document
from cpi_drivers.openstack.properties import NetworkProperties

_WHOLE_ADDRESS = {None, "", "32", "128"}


class Nic(msgspec.Struct, frozen=True):
    """One port: one network, or several of one nic_group, an IPv4 and an IPv6 one, say."""

    names: tuple[str, ...]
    net_id: str
    addresses: tuple[str, ...]
    """The manual addresses; none means that Neutron chooses."""

    security_groups: tuple[str, ...]
    vrrp_port_check: bool | None


class Wiring(msgspec.Struct, frozen=True):
    """The ports of a VM, and its floating address."""

    nics: tuple[Nic, ...]
    floating: str | None


def wiring(networks: Networks, *, use_dhcp: bool, strict: bool) -> Wiring:
    """Raises CpiError for what no VM can have."""
    floating = [name for name, network in networks.items() if network.type == "vip"]
    inside = {name: network for name, network in networks.items() if network.type != "vip"}
    if not inside:
        raise errors.CpiError("a VM needs a manual or a dynamic network")
    if len(floating) > 1:
        raise errors.CpiError(f"a VM can have one vip network, not {len(floating)}: {', '.join(floating)}")
    groups: dict[str, dict[str, Network]] = {}
    for name, network in inside.items():
        groups.setdefault(f"group {network.nic_group}" if network.nic_group else f"network {name}", {})[name] = network
    nics = tuple(_nic(members, strict=strict) for members in groups.values())
    if use_dhcp and sum(bool(nic.addresses) for nic in nics) > 1:
        raise errors.CpiError("several manual networks need use_dhcp: false, and a config_drive for the agent to read them from")
    return Wiring(nics, networks[floating[0]].ip if floating else None)


def _nic(members: Mapping[str, Network], *, strict: bool) -> Nic:
    read = {
        name: read_cloud_properties(
            NetworkProperties, network.cloud_properties, f"networks.{name}.cloud_properties", strict=strict
        )
        for name, network in members.items()
    }
    ids = {properties.net_id for properties in read.values()}
    net_id = ids.pop()
    if ids or not net_id:
        names = ", ".join(members)
        raise errors.CpiError(
            f"networks {names}: a NIC lies in one network: " + ("net_id is missing" if not net_id else "net_id differs")
        )
    return Nic(
        names=tuple(members),
        net_id=net_id,
        addresses=tuple(_address(name, network) for name, network in members.items() if network.type == "manual"),
        security_groups=tuple(dict.fromkeys(group for properties in read.values() for group in properties.security_groups)),
        vrrp_port_check=next((each.vrrp_port_check for each in read.values() if each.vrrp_port_check is not None), None),
    )


def _address(name: str, network: Network) -> str:
    if network.prefix not in _WHOLE_ADDRESS:
        raise errors.CpiError(f"networks.{name}: OpenStack delegates no prefixes (prefix {network.prefix})")
    try:
        return str(ipaddress.ip_address(network.ip or ""))
    except ValueError as error:
        raise errors.CpiError(f"networks.{name}: a manual network needs an address, got {network.ip!r}") from error


def resolved_networks(networks: Networks, wired: Wiring, ports: Sequence[Document]) -> dict[str, Network]:
    """The networks with the addresses that ports have; ports are in the order of the NICs."""
    result = dict(networks)
    for nic, port in zip(wired.nics, ports, strict=True):
        for name in nic.names:
            network = networks[name]
            ip = network.ip if network.type == "manual" else _first_address(port)
            result[name] = msgspec.structs.replace(network, ip=ip, mac=port["mac_address"])
    return result


def in_order(wired: Wiring, ports: Sequence[Document]) -> list[Document]:
    """A VM's ports in the order of the NICs."""
    left = list(ports)
    ordered = []
    for nic in wired.nics:
        port = next((port for port in left if _fits(nic, port)), None)
        if port is None:
            raise errors.CloudError(f"the VM has no port for {', '.join(nic.names)}")
        left.remove(port)
        ordered.append(port)
    return ordered


def _fits(nic: Nic, port: Document) -> bool:
    return bool(port["network_id"] == nic.net_id) and set(nic.addresses) <= {fixed["ip_address"] for fixed in port["fixed_ips"]}


def fixed_addresses(port: Document) -> list[Document]:
    """A port's, IPv4 first."""
    return sorted(port.get("fixed_ips") or (), key=lambda fixed: ":" in fixed["ip_address"])


def _first_address(port: Document) -> str | None:
    fixed = fixed_addresses(port)
    return str(fixed[0]["ip_address"]) if fixed else None
