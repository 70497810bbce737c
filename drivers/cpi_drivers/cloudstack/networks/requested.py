"""From BOSH's networks to a VM's NICs, and back."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from cpi.contract import errors
from cpi.contract.model import Network, Networks
from cpi.kit.settings import read_cloud_properties
from cpi_drivers.cloudstack import naming
from cpi_drivers.cloudstack.api.client import Client, Document
from cpi_drivers.cloudstack.api.inventory import Inventory
from cpi_drivers.cloudstack.properties import NetworkProperties


class Nic(msgspec.Struct, frozen=True):
    """One network of a VM."""

    name: str
    """In the manifest."""

    properties: NetworkProperties
    ip: str | None
    """The manual address; none means that CloudStack chooses."""


class Wiring(msgspec.Struct, frozen=True):
    """The NICs of a VM, the default one first, and its public address."""

    nics: tuple[Nic, ...]
    vip: str | None

    @property
    def security_groups(self) -> tuple[str, ...]:
        """Those of all networks."""
        return tuple(dict.fromkeys(group for nic in self.nics for group in nic.properties.security_groups))


def wiring(networks: Networks, *, strict: bool) -> Wiring:
    """Raises CpiError for what no VM can have."""
    vips = [name for name, network in networks.items() if network.type == "vip"]
    if len(vips) > 1:
        raise errors.CpiError(f"a VM can have one vip network, not {len(vips)}: {', '.join(vips)}")
    if len(vips) == len(networks):
        raise errors.CpiError("a VM needs a manual or a dynamic network")
    nics = [_nic(name, network, strict=strict) for name, network in networks.items() if network.type != "vip"]
    nics.sort(key=lambda nic: (nic.properties.undiscoverable, "gateway" not in (networks[nic.name].default or ())))
    return Wiring(tuple(nics), networks[vips[0]].ip if vips else None)


def _nic(name: str, network: Network, *, strict: bool) -> Nic:
    where = f"networks.{name}.cloud_properties"
    properties = read_cloud_properties(NetworkProperties, network.cloud_properties, where, strict=strict)
    if network.type == "dynamic":
        return Nic(name, properties, None)
    if network.prefix not in {None, "", "32"}:
        raise errors.CpiError(f"networks.{name}: CloudStack delegates no prefixes (prefix {network.prefix})")
    try:
        return Nic(name, properties, str(ipaddress.IPv4Address(network.ip or "")))
    except ValueError as error:
        raise errors.CpiError(f"networks.{name}: a manual network needs an IPv4 address, got {network.ip!r}") from error


def as_parameters(client: Client, inventory: Inventory, wired: Wiring, zone_id: str, *, basic: bool) -> dict[str, Any]:
    """How a VM is put on its networks."""
    if basic:
        if len(wired.nics) > 1:
            raise errors.CpiError(f"a VM in a basic zone has one network, not {len(wired.nics)}")
        return {"ipaddress": wired.nics[0].ip}
    found = {nic.name: _network(client, inventory, nic, zone_id) for nic in wired.nics}
    ids = [str(found[nic.name]["id"]) for nic in wired.nics]
    if len(set(ids)) < len(ids):
        raise errors.CpiError("two networks of a VM name the same network of CloudStack: a VM has one NIC in each")
    pairs = [{"networkid": one, **({"ip": nic.ip} if nic.ip else {})} for one, nic in zip(ids, wired.nics, strict=True)]
    return {"iptonetworklist": pairs}


def _network(client: Client, inventory: Inventory, nic: Nic, zone_id: str) -> Document:
    requested = nic.properties.name
    if not requested:
        raise errors.CpiError(f"networks.{nic.name}.cloud_properties.name: is missing")
    if naming.is_id(requested):
        return inventory.named("listNetworks", "network", requested, "network", zoneid=zone_id, **inventory.scope)
    # There is no search by name: a keyword finds the names that it is part of.
    found = client.pages("listNetworks", "network", keyword=requested, zoneid=zone_id, **inventory.scope)
    fitting = [one for one in found if one["name"] == requested]
    if len(fitting) != 1:
        said = "there is no network" if not fitting else f"{len(fitting)} networks in the zone are called"
        raise errors.CloudError(f"networks.{nic.name}: {said} {requested!r}")
    return fitting[0]


def resolved_networks(networks: Networks, wired: Wiring, vm: Document) -> dict[str, Network]:
    """The networks with the addresses that the VM has: NICs are in the order they were asked for."""
    result = dict(networks)
    for nic, made in zip(wired.nics, _in_order(wired, vm), strict=True):
        result[nic.name] = msgspec.structs.replace(networks[nic.name], ip=made["ipaddress"], mac=made["macaddress"])
    return result


def _in_order(wired: Wiring, vm: Document) -> Sequence[Mapping[str, Any]]:
    """CloudStack tells the default NIC apart, and the others by their addresses or networks."""
    left = sorted(vm.get("nic", ()), key=lambda nic: not nic.get("isdefault"))
    ordered = []
    for asked in wired.nics:
        wanted = {asked.properties.name, asked.ip}
        one = next(
            (nic for nic in left if {nic.get("networkid"), nic.get("networkname"), nic["ipaddress"]} & wanted - {None}), None
        )
        one = one or next(iter(left), None)
        if one is None:
            raise errors.CloudError(f"the VM {vm['name']} has no NIC for {asked.name}")
        left.remove(one)
        ordered.append(one)
    return ordered
