"""From the director's networks to the interfaces of a VM."""

import dataclasses
import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from cpi.contract import errors
from cpi.contract.model import Network, Networks
from cpi.kit.settings import read_cloud_properties
from cpi_drivers.google import naming
from cpi_drivers.google.properties import NetworkProperties

Item = dict[str, Any]

_IPV4: Final = 4
_IPV6: Final = 6
_EXTERNAL: Final = {"name": "External NAT", "type": "ONE_TO_ONE_NAT"}
_EXTERNAL_IPV6: Final = {"name": "External IPv6", "type": "DIRECT_IPV6", "networkTier": "PREMIUM"}
_RANGE_OF_IPV6: Final = 96
"""Google gives an interface of IPv6 a range of so many bits, not one address."""
_WISHES: Final = ("ephemeral_external_ip", "ip_forwarding", "dual_stack", "external_ipv6")
_WHOLE_ADDRESS: Final = {_IPV4: (None, "32"), _IPV6: (None, "128", str(_RANGE_OF_IPV6))}


@dataclasses.dataclass
class Interface:
    """One network interface: the networks of a nic_group, or one network."""

    properties: NetworkProperties
    names: list[str] = dataclasses.field(default_factory=list)
    addresses: dict[int, str] = dataclasses.field(default_factory=dict)
    """By IP version."""

    aliases: list[str] = dataclasses.field(default_factory=list)
    """Delegated IPv4 prefixes."""

    gateway: bool = False

    def request(self, project: str, zone: str, *, vips: Mapping[int, str], public: bool) -> Item:
        """As Google takes it."""
        own, host = self.properties, self.properties.xpn_host_project_id or project
        wanted: Item = {}
        if own.subnetwork_name:
            wanted["subnetwork"] = f"projects/{host}/regions/{naming.region_of(zone)}/subnetworks/{own.subnetwork_name}"
        if own.network_name or not own.subnetwork_name:
            wanted["network"] = f"projects/{host}/global/networks/{own.network_name or 'default'}"
        if _IPV4 in self.addresses:
            wanted["networkIP"] = self.addresses[_IPV4]
        if self.aliases:
            wanted["aliasIpRanges"] = [{"ipCidrRange": prefix} for prefix in self.aliases]
        if _IPV4 in vips or public:
            wanted["accessConfigs"] = [{**_EXTERNAL, **({"natIP": vips[_IPV4]} if _IPV4 in vips else {})}]
        return {**wanted, **self._ipv6(vips.get(_IPV6))}

    def _ipv6(self, vip: str | None) -> Item:
        """Of a subnetwork whose IPv6 is external an address can be asked for, or reserved and named as a vip."""
        own, address = self.properties, self.addresses.get(_IPV6)
        if vip or own.external_ipv6:
            fixed = vip or address
            first = {"externalIpv6": fixed, "externalIpv6PrefixLength": _RANGE_OF_IPV6} if fixed else {}
            return {"stackType": "IPV4_IPV6", "ipv6AccessConfigs": [{**_EXTERNAL_IPV6, **first}]}
        if address:
            return {"stackType": "IPV4_IPV6", "ipv6Address": address}
        return {"stackType": "IPV4_IPV6"} if own.dual_stack else {}


@dataclasses.dataclass(frozen=True)
class Plan:
    """The interfaces of a VM, the first is primary; and its vips, by IP version, with the interface of each."""

    interfaces: list[Interface]
    vips: Mapping[int, tuple[str, int]] = dataclasses.field(default_factory=dict)

    def requests(self, project: str, zone: str, *, public: bool | None) -> list[Item]:
        """As Google takes them. public overrides what the first network says."""
        told = []
        for index, interface in enumerate(self.interfaces):
            wished = interface.properties.ephemeral_external_ip
            here = (public if public is not None else wished) if index == 0 else wished
            vips = {version: ip for version, (ip, at) in self.vips.items() if at == index}
            told.append(interface.request(project, zone, vips=vips, public=here))
        return told

    @property
    def ip_forwarding(self) -> bool:
        """Whether a network asks for it."""
        return any(interface.properties.ip_forwarding for interface in self.interfaces)

    @property
    def tags(self) -> list[str]:
        """Of all networks."""
        return [tag for interface in self.interfaces for tag in interface.properties.tags]

    def macs(self) -> dict[str, str]:
        """By the network's name, where there are several interfaces: Google makes an interface's MAC of its address."""
        if len(self.interfaces) == 1:
            return {}
        packed = {name: one.addresses.get(_IPV4) for one in self.interfaces for name in one.names}
        return {name: _mac(address) for name, address in packed.items() if address}


def _mac(address: str) -> str:
    return ":".join(["42", "01", *(f"{part:02x}" for part in ipaddress.IPv4Address(address).packed)])


def plan(networks: Networks, *, strict: bool = False) -> Plan:
    """Raises CpiError that names every fault."""
    faults: list[str] = []
    interfaces: dict[str, Interface] = {}
    for name, network in networks.items():
        if network.type == "vip":
            continue
        properties = read_cloud_properties(NetworkProperties, network.cloud_properties, f"networks.{name}", strict=strict)
        key = f"group {network.nic_group}" if network.nic_group else f"network {name}"
        _add(interfaces.setdefault(key, Interface(properties)), name, network, properties, faults)
    if not interfaces:
        faults.append("networks: at least one manual or dynamic network is needed")
    if len(interfaces) > 1:
        unknown = [name for one in interfaces.values() if _IPV4 not in one.addresses for name in one.names]
        faults += [f"{name}: a VM with several interfaces needs a manual IPv4 address for each" for name in unknown]
    ordered = dict(sorted(interfaces.items(), key=lambda one: not one[1].gateway))
    vips = _vips(networks, list(ordered), faults)
    if faults:
        raise errors.CpiError("networks have faults:\n" + "\n".join(f"  {fault}" for fault in faults))
    return Plan(list(ordered.values()), vips)


def _vips(networks: Networks, interfaces: list[str], faults: list[str]) -> dict[int, tuple[str, int]]:
    """Each on the interface of its nic_group, else on the first."""
    found: dict[int, tuple[str, int]] = {}
    for name, network in networks.items():
        address = _address(name, network, faults) if network.type == "vip" else None
        if address is None:
            continue
        if address.version in found:
            faults.append(f"{name}: Google takes one IPv{address.version} vip for a VM")
        group = f"group {network.nic_group}"
        found[address.version] = (str(address), interfaces.index(group) if group in interfaces else 0)
    return found


def _add(interface: Interface, name: str, network: Network, properties: NetworkProperties, faults: list[str]) -> None:
    interface.names.append(name)
    interface.gateway = interface.gateway or "gateway" in (network.default or ())
    if _place(properties) != _place(interface.properties):
        faults.append(f"{name}: is on another network than the rest of its nic_group")
    interface.properties = _of_both(interface.properties, properties)
    if network.type == "dynamic":
        return
    address = _address(name, network, faults)
    if address is None:
        return
    if network.prefix not in _WHOLE_ADDRESS[address.version]:
        _delegate(interface, name, network, faults)
        return
    if address.version in interface.addresses:
        faults.append(f"{name}: its nic_group has an IPv{address.version} address already")
    interface.addresses[address.version] = str(address)


def _address(name: str, network: Network, faults: list[str]) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(network.ip or "")
    except ValueError:
        faults.append(f"{name}: {network.ip!r} is no IP address")
        return None


def _delegate(interface: Interface, name: str, network: Network, faults: list[str]) -> None:
    """A prefix beside the interface's address: Google calls it an alias range, and has it for IPv4."""
    try:
        interface.aliases.append(str(ipaddress.IPv4Network(f"{network.ip}/{network.prefix}")))
    except ValueError:
        faults.append(
            f"{name}: {network.ip}/{network.prefix} cannot be delegated: Google takes an IPv4 prefix that begins there,"
            f" or the /{_RANGE_OF_IPV6} that an IPv6 interface has"
        )


def _of_both(one: NetworkProperties, other: NetworkProperties) -> NetworkProperties:
    """What any network of a nic_group asks for, its interface has."""
    asked = {name: getattr(one, name) or getattr(other, name) for name in _WISHES}
    return msgspec.structs.replace(one, **asked, tags=tuple(dict.fromkeys((*one.tags, *other.tags))))


def _place(properties: NetworkProperties) -> tuple[str | None, ...]:
    return properties.xpn_host_project_id, properties.network_name, properties.subnetwork_name


def for_agent(networks: Networks, macs: Mapping[str, str]) -> Networks:
    """The networks as the agent gets them: all but vips by DHCP, with the interface's MAC where there are several."""
    found: dict[str, Network] = {}
    for name, network in networks.items():
        document = network.to_document()
        if network.type != "vip":
            document["use_dhcp"] = True
        if name in macs:
            document["mac"] = macs[name]
        found[name] = Network.from_document(document)
    return found


def nameservers(networks: Networks) -> list[str]:
    """The resolvers of the network that gives them."""
    having = [network for network in networks.values() if network.dns]
    chosen = next((network for network in having if "dns" in (network.default or ())), having[0] if having else None)
    return list(chosen.dns or ()) if chosen else []


def needs_addresses(networks: Networks) -> bool:
    """Whether Google chose an address that nobody knows yet."""
    return any(network.type == "dynamic" for network in networks.values())


def resolved_networks(networks: Networks, planned: Plan, nics: Sequence[Mapping[str, Any]]) -> Networks:
    """The networks with the addresses that Google gave to dynamic ones."""
    found = dict(networks)
    for interface, nic in zip(planned.interfaces, nics, strict=False):
        for name in interface.names:
            if networks[name].type == "dynamic" and nic.get("networkIP"):
                found[name] = Network.from_document({**networks[name].to_document(), "ip": nic["networkIP"]})
    return found
