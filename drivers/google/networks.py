"""From the director's networks to the interfaces of a VM."""

import dataclasses
import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cpi.contract import errors
from cpi.contract.model import Network, Networks
from cpi.kit.settings import read_cloud_properties
from drivers.google import naming
from drivers.google.properties import NetworkProperties

Item = dict[str, Any]

_IPV4: Final = 4
_IPV6: Final = 6
_EXTERNAL: Final = {"name": "External NAT", "type": "ONE_TO_ONE_NAT"}


@dataclasses.dataclass
class Interface:
    """One network interface: the networks of a nic_group, or one network."""

    properties: NetworkProperties
    names: list[str] = dataclasses.field(default_factory=list)
    addresses: dict[int, str] = dataclasses.field(default_factory=dict)
    """By IP version."""

    gateway: bool = False

    def request(self, project: str, zone: str, *, vip: str | None, public: bool) -> Item:
        """As Google takes it."""
        own, host = self.properties, self.properties.xpn_host_project_id or project
        wanted: Item = {}
        if own.subnetwork_name:
            wanted["subnetwork"] = f"projects/{host}/regions/{naming.region_of(zone)}/subnetworks/{own.subnetwork_name}"
        if own.network_name or not own.subnetwork_name:
            wanted["network"] = f"projects/{host}/global/networks/{own.network_name or 'default'}"
        if _IPV4 in self.addresses:
            wanted["networkIP"] = self.addresses[_IPV4]
        if own.dual_stack or _IPV6 in self.addresses:
            wanted["stackType"] = "IPV4_IPV6"
        if _IPV6 in self.addresses:
            wanted["ipv6Address"] = self.addresses[_IPV6]
        if vip or public:
            wanted["accessConfigs"] = [{**_EXTERNAL, **({"natIP": vip} if vip else {})}]
        return wanted


@dataclasses.dataclass(frozen=True)
class Plan:
    """The interfaces of a VM, the first is primary; and its vip."""

    interfaces: list[Interface]
    vip: str | None = None
    vip_interface: int = 0

    def requests(self, project: str, zone: str, *, public: bool | None) -> list[Item]:
        """As Google takes them. public overrides what the first network says."""
        told = []
        for index, interface in enumerate(self.interfaces):
            wished = interface.properties.ephemeral_external_ip
            here = (public if public is not None else wished) if index == 0 else wished
            vip = self.vip if index == self.vip_interface else None
            told.append(interface.request(project, zone, vip=vip, public=here))
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
    vips = [network for network in networks.values() if network.type == "vip"]
    if len(vips) > 1:
        faults.append("networks: Google takes one vip for a VM")
    if faults:
        raise errors.CpiError("networks have faults:\n" + "\n".join(f"  {fault}" for fault in faults))
    groups = {f"group {vip.nic_group}" for vip in vips if vip.nic_group}
    ordered = sorted(interfaces.items(), key=lambda one: not one[1].gateway)
    at = next((index for index, (key, _) in enumerate(ordered) if key in groups), 0)
    return Plan([one for _, one in ordered], vips[0].ip if vips else None, at)


def _add(interface: Interface, name: str, network: Network, properties: NetworkProperties, faults: list[str]) -> None:
    interface.names.append(name)
    interface.gateway = interface.gateway or "gateway" in (network.default or ())
    if _place(properties) != _place(interface.properties):
        faults.append(f"{name}: is on another network than the rest of its nic_group")
    if network.type == "dynamic":
        return
    try:
        address = ipaddress.ip_address(network.ip or "")
    except ValueError:
        faults.append(f"{name}: {network.ip!r} is no IP address")
        return
    if address.version in interface.addresses:
        faults.append(f"{name}: its nic_group has an IPv{address.version} address already")
    interface.addresses[address.version] = str(address)


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


def as_it_turned_out(networks: Networks, planned: Plan, nics: Sequence[Mapping[str, Any]]) -> Networks:
    """The networks with the addresses that Google gave to dynamic ones."""
    found = dict(networks)
    for interface, nic in zip(planned.interfaces, nics, strict=False):
        for name in interface.names:
            if networks[name].type == "dynamic" and nic.get("networkIP"):
                found[name] = Network.from_document({**networks[name].to_document(), "ip": nic["networkIP"]})
    return found
