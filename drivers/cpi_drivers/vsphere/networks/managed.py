"""Networks that a director has made: a segment on a tier-1 gateway of its own, named after the network's CID."""

import ipaddress
import uuid
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cpi.contract import errors
from cpi.contract.ids import NetworkCid
from cpi.contract.model import CallContext, CreatedNetwork, NetworkAddresses, NetworkDefinition
from cpi.kit.retrying import repeated
from cpi.kit.settings import read_cloud_properties
from cpi.kit.tagging import birth_tags
from cpi.kit.undo import Undo
from cpi.kit.waiting import wait_until
from cpi_drivers.vsphere.api.client import Step, vim
from cpi_drivers.vsphere.api.datacenter import Site
from cpi_drivers.vsphere.api.datacenters import Sites
from cpi_drivers.vsphere.api.nsxt.errors import NsxRefused
from cpi_drivers.vsphere.api.nsxt.naming import POLICY, Document
from cpi_drivers.vsphere.nsxt_settings import ManagedNetwork

if TYPE_CHECKING:
    from cpi_drivers.vsphere.api.nsxt.client import Nsx

_CID: Final = "segment-"
_ZONES: Final = "/infra/sites/default/enforcement-points/default/transport-zones"
_REALIZED: Final = f"{POLICY}/infra/realized-state/realized-entities"
_STEPS: Final = {"networks": Step(vim.Datacenter, "network")}
_BITS: Final = 24
_REFUSED: Final = 400


class Addresses(NamedTuple):
    """A subnet's."""

    network: ipaddress.IPv4Network | ipaddress.IPv6Network
    gateway: str


class ManagedNetworks:
    """Those that create_network made; others are left alone."""

    def __init__(self, sites: Sites, context: CallContext, *, strict: bool) -> None:
        self._sites = [site for site in sites if site.nsx is not None]
        self._context = context
        self._strict = strict

    def create(self, definition: NetworkDefinition) -> CreatedNetwork:
        """There when the vCenter shows it. Whatever fails, what was made is removed."""
        properties = read_cloud_properties(ManagedNetwork, definition.cloud_properties, strict=self._strict)
        requested = _requested(definition)
        if requested is None and properties.ip_block_id is None:
            raise errors.CpiError("a network without a range needs ip_block_id: an IP block to take the range from")
        site, nsx = self._first
        cid = f"{_CID}{uuid.uuid4()}"
        name = properties.switch_name or cid
        with Undo() as undo:
            subnet = requested or self._taken(nsx, cid, properties, definition.netmask_bits or _BITS, undo)
            self._make(nsx, cid, properties, subnet, undo)
            self._await(site, name, nsx.settings.realization_timeout)
        addresses = NetworkAddresses(str(subnet.network), subnet.gateway)
        return CreatedNetwork(NetworkCid(cid), addresses, {"name": name})

    def delete(self, cid: NetworkCid) -> None:
        """Segment, gateway, and range. Raises NetworkNotFound if there is nothing of it; CloudError while VMs are on it."""
        if not _is_ours(cid):
            raise errors.NetworkNotFound(f"{cid} is no network that create_network has made")
        removed = [self._removed(site, nsx, cid) for site, nsx in self._all]
        if not any(removed):
            raise errors.NetworkNotFound(f"the network {cid} does not exist")

    # ------------------------------------------------------------------ making

    @property
    def _all(self) -> "list[tuple[Site, Nsx]]":
        return list({id(site.nsx): (site, site.nsx) for site in self._sites if site.nsx is not None}.values())

    @property
    def _first(self) -> "tuple[Site, Nsx]":
        return self._all[0]

    def _taken(self, nsx: "Nsx", cid: str, properties: ManagedNetwork, bits: int, undo: Undo) -> Addresses:
        """A range of the IP block: a pool of its own with one subnet."""
        pool, subnet = _pool(cid), _subnet(cid)
        self._made(nsx, pool, {"display_name": cid}, undo)
        wanted = {
            "resource_type": "IpAddressPoolBlockSubnet",
            "ip_block_path": f"/infra/ip-blocks/{properties.ip_block_id}",
            "size": 1 << (32 - bits),
            "auto_assign_gateway": True,
        }
        self._made(nsx, subnet, wanted, undo)
        return wait_until(
            lambda: _allotted(nsx.pages(_REALIZED, intent_path=subnet)),
            f"a range of {1 << (32 - bits)} addresses from the IP block {properties.ip_block_id}",
            deadline_seconds=nsx.settings.realization_timeout,
        )

    def _make(self, nsx: "Nsx", cid: str, properties: ManagedNetwork, subnet: Addresses, undo: Undo) -> None:
        gateway = {
            "display_name": properties.t1_name or cid,
            "tier0_path": f"/infra/tier-0s/{properties.t0_router_id}",
            "route_advertisement_types": ["TIER1_CONNECTED"],
        }
        self._made(nsx, _gateway(cid), gateway, undo)
        segment = {
            "display_name": properties.switch_name or cid,
            "connectivity_path": _gateway(cid),
            "transport_zone_path": f"{_ZONES}/{properties.transport_zone_id}",
            "subnets": [{"gateway_address": f"{subnet.gateway}/{subnet.network.prefixlen}"}],
        }
        self._made(nsx, _segment(cid), segment, undo)

    def _made(self, nsx: "Nsx", path: str, document: Document, undo: Undo) -> None:
        tags = [{"scope": name, "tag": value} for name, value in birth_tags(self._context).items()]
        undo.push(path, lambda: nsx.remove(POLICY + path))
        nsx.make(POLICY + path, {**document, "tags": tags})

    def _await(self, site: Site, name: str, seconds: float) -> None:
        """A VM can be made on it only once the vCenter has heard of it."""
        wait_until(
            lambda: bool(_of_name(site, name)),
            f"the network {name} in {site.client.where.url}",
            deadline_seconds=seconds,
            first_pause_seconds=0.2,
            longest_pause_seconds=5.0,
        )

    # ------------------------------------------------------------------ removing

    def _removed(self, site: Site, nsx: "Nsx", cid: str) -> bool:
        """Whether anything of it was there: a repeat finishes what is left."""
        segment = nsx.found(POLICY + _segment(cid))
        if segment is not None:
            _refuse_used(site, cid, str(segment.get("display_name")))
            self._remove_segment(nsx, cid)
        others = [nsx.remove(POLICY + path) for path in (_gateway(cid), _subnet(cid), _pool(cid))]
        return segment is not None or any(others)

    def _remove_segment(self, nsx: "Nsx", cid: str) -> None:
        """NSX hears of VMs that are gone some time after the vCenter, and refuses for so long."""

        def attempt() -> None:
            try:
                nsx.remove(POLICY + _segment(cid))
            except NsxRefused as error:
                raise (_StillUsed(error.message) if error.status == _REFUSED else error) from error

        repeated(attempt, on=_StillUsed, attempts=1000, deadline_seconds=nsx.settings.realization_timeout)


class _StillUsed(errors.CloudError):
    """Something is still on it, NSX thinks."""


def _requested(definition: NetworkDefinition) -> Addresses | None:
    """The range that the subnet names. Raises CpiError."""
    if definition.range is None:
        return None
    try:
        network = ipaddress.ip_network(definition.range)
        gateway = ipaddress.ip_address(definition.gateway) if definition.gateway else network[1]
    except (ValueError, IndexError) as error:
        raise errors.CpiError(f"range and gateway: {error}") from error
    if gateway not in network:
        raise errors.CpiError(f"gateway: {gateway} is not in the range {network}")
    return Addresses(network, str(gateway))


def _allotted(entities: Any) -> Addresses | None:
    """What NSX tells of a subnet that it has given a range."""
    for entity in entities:
        told = {one.get("key"): (one.get("values") or [""])[0] for one in entity.get("extended_attributes") or ()}
        if told.get("cidr"):
            network = ipaddress.ip_network(told["cidr"])
            return Addresses(network, told.get("gateway_ip") or str(network[1]))
    return None


def _of_name(site: Site, name: str) -> list[Any]:
    """The networks of a name that the vCenter shows."""
    seen = site.client.read([site.reference], {vim.Network: ("name",)}, _STEPS)
    return [item for item, one in seen.items() if isinstance(item, vim.Network) and one.get("name") == name]


def _refuse_used(site: Site, cid: str, name: str) -> None:
    """Raises CloudError naming VMs on it: nothing is touched then."""
    networks = _of_name(site, name)
    seen = site.client.read(networks, {vim.Network: ("vm",)}) if networks else {}
    vms = [vm for one in seen.values() for vm in one.get("vm", ())]
    if vms:
        names = sorted(str(one["name"]) for one in site.client.read(vms[:5], {vim.VirtualMachine: ("name",)}).values())
        raise errors.CloudError(f"the network {cid} is in use by {len(vms)} VMs: {', '.join(names)}")


def _is_ours(cid: str) -> bool:
    try:
        return cid == f"{_CID}{uuid.UUID(cid.removeprefix(_CID))}"
    except ValueError:
        return False


def _segment(cid: str) -> str:
    return f"/infra/segments/{cid}"


def _gateway(cid: str) -> str:
    return f"/infra/tier-1s/{cid}"


def _pool(cid: str) -> str:
    return f"/infra/ip-pools/{cid}"


def _subnet(cid: str) -> str:
    return f"{_pool(cid)}/ip-subnets/{cid}"
