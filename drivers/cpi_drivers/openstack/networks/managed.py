"""Networks that a director has made: a network of Neutron's with one subnet, joined to a router if the operator names one."""

import ipaddress
import logging
from typing import Any, Final

from cpi.contract import errors
from cpi.contract.ids import NetworkCid
from cpi.contract.model import CallContext, CreatedNetwork, NetworkAddresses, NetworkDefinition
from cpi.kit.failures import AnswerLost
from cpi.kit.ip_ranges import Range, Sizes, made_in_free_range
from cpi.kit.settings import read_cloud_properties
from cpi.kit.undo import Undo
from cpi_drivers.openstack import naming
from cpi_drivers.openstack.api.client import Client, segment
from cpi_drivers.openstack.api.errors import Conflicting, Missing, Refused
from cpi_drivers.openstack.api.states import Document
from cpi_drivers.openstack.properties import NetworkProperties

_AnyRange = Range | ipaddress.IPv6Network

_PRIVATE: Final = Range("10.0.0.0/8")
_SIZES: Final = Sizes("this CPI", _PRIVATE.prefixlen, 29)
_BITS: Final = 24
_OF_NEUTRON: Final = 3
"""So many addresses at the end of a range may be taken by Neutron, for its DHCP servers."""

_log = logging.getLogger(__name__)


class ManagedNetworks:
    """Those that create_network made; others are left alone."""

    def __init__(self, client: Client, context: CallContext, *, strict: bool) -> None:
        self._client = client
        self._context = context
        self._strict = strict

    def create(self, definition: NetworkDefinition) -> CreatedNetwork:
        """Whatever fails, what was made is removed. Another process may take a free range at the same time: then the next."""
        wish = read_cloud_properties(NetworkProperties, definition.cloud_properties, strict=self._strict)
        if definition.range:
            wanted = _range(definition.range)
            return self._made(wish, wanted, _gateway(wanted, definition.gateway))
        bits = _SIZES.check(definition.netmask_bits or _BITS)
        passed: list[Range] = []

        def made(wanted: Range) -> CreatedNetwork:
            passed.append(wanted)
            return self._made(wish, wanted, _gateway(wanted, None))

        return made_in_free_range(bits, "this project", [_PRIVATE], lambda: [*self._taken(), *passed], made, _is_overlapping)

    def delete(self, network_cid: NetworkCid) -> None:
        """With its subnet and its place at the router. Raises NetworkNotFound; CloudError while a VM is on it."""
        path = f"/networks/{segment(network_cid)}"
        try:
            network: Document = self._client.get("network", path)["network"]
        except Missing as error:
            raise errors.NetworkNotFound(f"the network {network_cid} does not exist") from error
        if not naming.is_network(network["name"]):
            raise errors.NetworkNotFound(
                f"the network {network_cid} was not made by create_network: it is called {network['name']!r}"
            )
        ports = list(self._client.pages("network", "/ports", "ports", {"network_id": network_cid}))
        used = [port for port in ports if not str(port.get("device_owner") or "").startswith("network:")]
        if used:
            by = ", ".join(f"the port {port['id']} of {port.get('device_id') or 'nothing'}" for port in used)
            raise errors.CloudError(f"the network {network_cid} is in use by {by}")
        for port in ports:
            if "router" in str(port["device_owner"]):
                self._part(str(port["device_id"]), {"port_id": port["id"]})
        try:
            self._client.delete("network", path)
        except Missing:
            return
        except Refused as error:
            raise errors.CloudError(f"the network {network_cid} cannot be deleted: {error.said}") from error

    # ------------------------------------------------------------------ making

    def _made(self, wish: NetworkProperties, wanted: _AnyRange, gateway: str) -> CreatedNetwork:
        name = naming.name_of(naming.NETWORK, None)
        said = " ".join(f"{key}={value}" for key, value in naming.metadata_at_birth(self._context, None).items())
        with Undo() as undo:
            network = self._post("networks", {"name": name, "description": said}, undo)
            body = {"network_id": network["id"], "name": name, "description": said, **_subnet(wanted, gateway)}
            subnet = self._post("subnets", body, undo)
            if wish.router_id:
                self._join(wish.router_id, str(subnet["id"]), undo)
        properties: dict[str, Any] = {"net_id": network["id"]}
        if wish.security_groups:
            properties["security_groups"] = list(wish.security_groups)
        reserved = tuple(map(str, _neutrons_own(wanted, gateway)))
        return CreatedNetwork(NetworkCid(network["id"]), NetworkAddresses(str(wanted), gateway, reserved), properties)

    def _post(self, kind: str, body: dict[str, Any], undo: Undo) -> Document:
        one = kind.removesuffix("s")
        try:
            made: Document = self._client.post("network", f"/{kind}", {one: body})[one]
        except AnswerLost:
            found = next(self._client.pages("network", f"/{kind}", kind, {"name": body["name"]}), None)
            if found is None:
                raise
            made = found
        except Refused as error:
            raise errors.CloudError(f"no {one} {body.get('cidr', '')}: {error.said}") from error
        undo.push(f"{one} {made['id']}", lambda: self._remove(f"/{kind}/{made['id']}"))
        return made

    def _join(self, router_id: str, subnet_id: str, undo: Undo) -> None:
        """A router refuses a range that overlaps with one it has."""
        undo.push(f"subnet {subnet_id} at the router {router_id}", lambda: self._part(router_id, {"subnet_id": subnet_id}))
        try:
            self._client.put("network", f"/routers/{segment(router_id)}/add_router_interface", {"subnet_id": subnet_id})
        except Missing as error:
            raise errors.CloudError(f"router_id: {error.said}") from error
        except Refused as error:
            if "overlaps" in error.said.lower():
                raise _Overlapping(f"the router {router_id} cannot have it: {error.said}") from error
            if "already has a port" not in error.said.lower():  # by an attempt without an answer
                raise errors.CloudError(f"the router {router_id} cannot be joined: {error.said}") from error

    def _part(self, router_id: str, what: dict[str, str]) -> None:
        try:
            self._client.put("network", f"/routers/{segment(router_id)}/remove_router_interface", what)
        except (Missing, Conflicting) as error:
            _log.info("the router %s has it no more, or not yet: %s", router_id, error)

    def _remove(self, path: str) -> None:
        try:
            self._client.delete("network", path)
        except Missing:
            return

    def _taken(self) -> list[Range]:
        """The ranges of the subnets which the project sees. A router may have others: it refuses those."""
        subnets = self._client.pages("network", "/subnets", "subnets", {"fields": "cidr", "ip_version": 4})
        return [Range(subnet["cidr"], strict=False) for subnet in subnets]


class _Overlapping(errors.CloudError):
    """The range is taken at the router."""


def _is_overlapping(error: errors.CloudError) -> bool:
    return isinstance(error, _Overlapping)


def _range(given: str) -> _AnyRange:
    try:
        wanted = ipaddress.ip_network(given)
    except ValueError as error:
        raise errors.CpiError(f"range: {given!r} is no range of addresses: {error}") from error
    _SIZES.check(wanted.prefixlen if isinstance(wanted, Range) else max(wanted.prefixlen - 96, _SIZES.largest))
    return wanted


def _gateway(wanted: _AnyRange, given: str | None) -> str:
    try:
        if given is None or ipaddress.ip_address(given) in wanted:
            return given or str(wanted[1])
    except ValueError as error:
        raise errors.CpiError(f"gateway: {error}") from error
    raise errors.CpiError(f"gateway: {given} does not lie in the range {wanted}")


def _neutrons_own(wanted: _AnyRange, gateway: str) -> list[Any]:
    """The last addresses of a range, or those before the gateway if it is one of them."""
    last = [wanted[number] for number in range(-1 - _OF_NEUTRON, -1)]
    given = ipaddress.ip_address(gateway)
    return last if given not in last else [given - number for number in range(_OF_NEUTRON, 0, -1)]


def _subnet(wanted: _AnyRange, gateway: str) -> dict[str, Any]:
    """Neutron's own addresses, and those of dynamic networks, come from the end; BOSH gives the rest."""
    own = _neutrons_own(wanted, gateway)
    pool = {"start": str(own[0]), "end": str(own[-1])}
    stateful = {"ipv6_address_mode": "dhcpv6-stateful", "ipv6_ra_mode": "dhcpv6-stateful"} if wanted.version != 4 else {}  # noqa: PLR2004 - IPv4
    return {
        "ip_version": wanted.version,
        "cidr": str(wanted),
        "gateway_ip": gateway,
        "enable_dhcp": True,
        "allocation_pools": [pool],
        **stateful,
    }
