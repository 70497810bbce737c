"""create_network and delete_network: subnetworks of a VPC network."""

import functools
import re
from typing import Any, Final

from cpi.contract import errors as contract_errors
from cpi.contract.ids import NetworkCid
from cpi.contract.model import CreatedNetwork, NetworkAddresses, NetworkDefinition
from cpi.kit.ip_ranges import Range, Sizes, made_in_free_range
from cpi.kit.settings import read_cloud_properties
from cpi.kit.undo import Undo
from cpi_drivers.google import naming, tags
from cpi_drivers.google.api import errors, inventory
from cpi_drivers.google.api.account import Account
from cpi_drivers.google.properties import NetworkProperties

Item = dict[str, Any]

_PRIVATE: Final = Range("10.0.0.0/8")
_SIZES: Final = Sizes("Google", _PRIVATE.prefixlen, 29)
_SAID: Final = re.compile(r"([\w-]+)=(\S*)")


def create(account: Account, definition: NetworkDefinition) -> CreatedNetwork:
    """A subnetwork with the range, or with a free one of the size."""
    properties = read_cloud_properties(
        NetworkProperties, definition.cloud_properties, "cloud_properties", strict=account.config.strict_properties
    )
    if not properties.region:
        raise contract_errors.CpiError("cloud_properties.region: is missing; Google's subnetworks lie in a region")
    host = properties.xpn_host_project_id or account.project
    network = f"projects/{host}/global/networks/{properties.network_name or 'default'}"
    make = functools.partial(_made, account, properties, host, network)
    if definition.range:
        return make(_SIZES.range_of(definition))
    bits = _SIZES.check(definition.netmask_bits)
    return made_in_free_range(bits, network, [_PRIVATE], lambda: _taken(account, host, network), make, _is_conflict)


def delete(account: Account, network_cid: NetworkCid) -> None:
    """Raises NetworkNotFound; CloudError while something is on it."""
    project, region = _place(account, network_cid)
    account.do("subnetworks.delete", project=project, region=region, subnetwork=naming.last(network_cid))


def tags_in(item: Item) -> dict[str, str]:
    """Subnetworks have no labels: what create_network made says the same in its description."""
    return dict(_SAID.findall(item.get("description", "")))


def _is_conflict(error: contract_errors.CloudError) -> bool:
    return "conflicts with existing subnetwork" in error.message


def _taken(account: Account, host: str, network: str) -> list[Range]:
    found: list[Range] = []
    for page in account.client.pages("subnetworks.aggregatedList", project=host):
        here = [one for told in page.get("items", {}).values() for one in told.get("subnetworks", [])]
        mine = [one for one in here if naming.partial(one["network"]) == network]
        further = [second["ipCidrRange"] for one in mine for second in one.get("secondaryIpRanges", [])]
        found += map(Range, [*(one["ipCidrRange"] for one in mine if "ipCidrRange" in one), *further])
    return found


def _made(account: Account, properties: NetworkProperties, host: str, network: str, cidr: Range) -> CreatedNetwork:
    region, name = str(properties.region), naming.network_name(str(properties.region))
    said = " ".join(f"{key}={value}" for key, value in tags.initial_tags(account, {}).items())
    wanted = {"network": network, "ipCidrRange": str(cidr), "privateIpGoogleAccess": True, **_ipv6(properties)}
    body = {"name": name, "description": said, **wanted}
    with Undo() as undo:
        undo.push(f"network {name}", lambda: _remove(account, host, region, name))
        account.do("subnetworks.insert", body, project=host, region=region)
    told: Item = {"subnetwork_name": name, "network_name": naming.last(network)}
    told |= {key: True for key in ("dual_stack", "external_ipv6") if getattr(properties, key)}
    if properties.xpn_host_project_id:
        told["xpn_host_project_id"] = properties.xpn_host_project_id
    cid = NetworkCid(name if host == account.project else f"projects/{host}/regions/{region}/subnetworks/{name}")
    reserved = tuple(str(cidr[index]) for index in (0, -2, -1))
    return CreatedNetwork(cid, NetworkAddresses(str(cidr), str(cidr[1]), reserved), told)


def _ipv6(properties: NetworkProperties) -> Item:
    """Google chooses the range. An internal one needs a network that has IPv6 inside."""
    if not (properties.dual_stack or properties.external_ipv6):
        return {}
    return {"stackType": "IPV4_IPV6", "ipv6AccessType": "EXTERNAL" if properties.external_ipv6 else "INTERNAL"}


def _remove(account: Account, project: str, region: str, name: str) -> None:
    try:
        account.do("subnetworks.delete", project=project, region=region, subnetwork=name)
    except errors.Missing:
        return


def _place(account: Account, network_cid: NetworkCid) -> tuple[str, str]:
    """Project and region of a network. Raises NetworkNotFound."""
    parts = network_cid.split("/")
    name = parts[-1]
    if not naming.is_name(name):
        raise errors.NetworkMissing(f"there is no network {network_cid}")
    if len(parts) == 6 and parts[0] == "projects":  # noqa: PLR2004 - projects/P/regions/R/subnetworks/S
        return parts[1], parts[3]
    region = naming.region_of_network(name)
    if region:
        return account.project, region
    found = inventory.everywhere(account, "subnetworks", f'name = "{name}"')
    if not found:
        raise errors.NetworkMissing(f"there is no network {network_cid}")
    return account.project, naming.last(found[0]["region"])
