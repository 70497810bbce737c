"""From the director's networks to the interfaces of a VM."""

import dataclasses
import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any, Final

from cpi.contract import errors
from cpi.contract.model import Network, Networks
from cpi.kit.settings import read_cloud_properties
from cpi_drivers.aws.properties import NetworkProperties

_WHOLE_ADDRESS: Final = {4: {None, "32"}, 6: {None, "128"}}
_DELEGATED: Final = {4: "28", 6: "80"}


@dataclasses.dataclass
class Interface:
    """One network interface: the networks of a nic_group, or one network."""

    names: list[str] = dataclasses.field(default_factory=list)
    group: str | None = None
    subnet: str | None = None
    security_groups: tuple[str, ...] = ()
    addresses: dict[int, str] = dataclasses.field(default_factory=dict)
    """By IP version."""

    prefixes: dict[int, str] = dataclasses.field(default_factory=dict)
    """Delegated prefixes by IP version."""

    dynamic: bool = False

    def api_addresses(self) -> dict[str, Any]:
        """The addresses, as EC2 takes them for an interface."""
        wanted: dict[str, Any] = {}
        if 4 in self.addresses:  # noqa: PLR2004 - IPv4
            wanted["PrivateIpAddress"] = self.addresses[4]
        if 6 in self.addresses:  # noqa: PLR2004 - IPv6
            wanted["Ipv6Addresses"] = [{"Ipv6Address": self.addresses[6]}]
        if 4 in self.prefixes:  # noqa: PLR2004 - IPv4
            wanted["Ipv4Prefixes"] = [{"Ipv4Prefix": self.prefixes[4]}]
        if 6 in self.prefixes:  # noqa: PLR2004 - IPv6
            wanted["Ipv6Prefixes"] = [{"Ipv6Prefix": self.prefixes[6]}]
        return wanted


@dataclasses.dataclass(frozen=True)
class Plan:
    """The interfaces of a VM, the first is primary; and its vip."""

    interfaces: list[Interface]
    vip: str | None = None
    vip_interface: int = 0
    security_groups: tuple[str, ...] = ()
    """Those of all networks, the vip's too: every interface gets them, as with the official CPI."""

    @property
    def subnets(self) -> list[str]:
        """Every subnet named, once."""
        return list(dict.fromkeys(interface.subnet for interface in self.interfaces if interface.subnet))

    @property
    def made_at_launch(self) -> bool:
        """One interface with one network can be made with the VM.

        Of several, the agent must be told each one's MAC address in the user data, so they have to be there before.
        """
        return len(self.interfaces) == 1 and len(self.interfaces[0].names) == 1


def plan(networks: Networks, *, strict: bool = False) -> Plan:
    """Raises CpiError that names every fault."""
    faults: list[str] = []
    interfaces: dict[str, Interface] = {}
    for name, network in _counting(networks):
        key = f"group {network.nic_group}" if network.nic_group else f"network {name}"
        interface = interfaces.setdefault(key, Interface(group=network.nic_group))
        _add(
            interface,
            name,
            network,
            read_cloud_properties(NetworkProperties, network.cloud_properties, f"networks.{name}", strict=strict),
            faults,
        )
    for key, interface in interfaces.items():
        if interface.prefixes and not interface.addresses and not interface.dynamic:
            faults.append(f"{key}: a delegated prefix needs a network with an address of its own beside it")
    if not interfaces:
        faults.append("networks: at least one manual or dynamic network is needed")
    if faults:
        raise errors.CpiError("networks have faults:\n" + "\n".join(f"  {fault}" for fault in faults))
    ordered = list(interfaces.values())
    vip, group = _vip(networks)
    at = next((index for index, one in enumerate(ordered) if group and (one.group == group or group in one.names)), 0)
    named = [group for one in ordered for group in one.security_groups]
    return Plan(ordered, vip, at, tuple(dict.fromkeys([*named, *_groups_of_vips(networks, strict=strict)])))


def for_agent(networks: Networks, macs: Mapping[str, str]) -> Networks:
    """The networks as the agent gets them: all but vips by DHCP, with the interface's MAC where there are several."""
    found: dict[str, Network] = {}
    for name, network in networks.items():
        if network.type == "vip":
            found[name] = network
            continue
        document = {**network.to_document(), "use_dhcp": True}
        if name in macs:
            document["mac"] = macs[name]
        found[name] = Network.from_document(document)
    return found


def nameservers(networks: Networks) -> list[str]:
    """The resolvers of the network that gives them."""
    having = [network for network in networks.values() if network.dns]
    chosen = next((network for network in having if "dns" in (network.default or ())), having[0] if having else None)
    return list(chosen.dns or ()) if chosen else []


def resolved_networks(networks: Networks, planned: Plan, nics: Iterable[Mapping[str, Any]]) -> Networks:
    """The networks with the addresses that EC2 gave to dynamic ones."""
    by_index = {nic.get("Attachment", {}).get("DeviceIndex", 0): nic for nic in nics}
    found = dict(networks)
    for index, interface in enumerate(planned.interfaces):
        address = by_index.get(index, {}).get("PrivateIpAddress")
        for name in interface.names:
            if networks[name].type == "dynamic" and address:
                found[name] = Network.from_document({**networks[name].to_document(), "ip": address})
    return found


def _counting(networks: Networks) -> list[tuple[str, Network]]:
    """All but vips, and of the dynamic ones only the first."""
    dynamic = [name for name, network in networks.items() if network.type == "dynamic"]
    return [(name, network) for name, network in networks.items() if network.type != "vip" and name not in dynamic[1:]]


def _add(interface: Interface, name: str, network: Network, properties: NetworkProperties, faults: list[str]) -> None:
    interface.names.append(name)
    interface.security_groups = tuple(dict.fromkeys((*interface.security_groups, *properties.security_groups)))
    if interface.subnet and properties.subnet and interface.subnet != properties.subnet:
        faults.append(f"{name}: is in subnet {properties.subnet}, and its nic_group in {interface.subnet}")
    interface.subnet = interface.subnet or properties.subnet
    if network.type == "dynamic":
        interface.dynamic = True
        return
    if not properties.subnet:
        faults.append(f"{name}: a manual network needs cloud_properties.subnet")
    try:
        address = ipaddress.ip_address(network.ip or "")
    except ValueError:
        faults.append(f"{name}: {network.ip!r} is no IP address")
        return
    version = address.version
    single = network.prefix in _WHOLE_ADDRESS[version]
    if not single and network.prefix != _DELEGATED[version]:
        faults.append(f"{name}: EC2 delegates IPv{version} prefixes of /{_DELEGATED[version]}, not /{network.prefix}")
    kind = interface.addresses if single else interface.prefixes
    if version in kind:
        faults.append(f"{name}: its nic_group has an IPv{version} {'address' if single else 'prefix'} already")
    kind[version] = str(address) if single else f"{address}/{network.prefix}"


def _groups_of_vips(networks: Networks, *, strict: bool) -> list[str]:
    vips = {name: network for name, network in networks.items() if network.type == "vip"}
    read = [
        read_cloud_properties(NetworkProperties, network.cloud_properties, f"networks.{name}", strict=strict)
        for name, network in vips.items()
    ]
    return [group for properties in read for group in properties.security_groups]


def _vip(networks: Networks) -> tuple[str | None, str | None]:
    for network in networks.values():
        if network.type == "vip":
            return network.ip, network.nic_group
    return None, None
