"""Networks made on request: ranges on record, out of which VMs get their addresses."""

import ipaddress
import json
import sqlite3
from collections.abc import Mapping
from typing import Final

from cpi.contract import errors
from cpi.contract.ids import NetworkCid
from cpi.contract.model import CreatedNetwork, NetworkAddresses, NetworkDefinition
from cpi_drivers.local.host.register import Register

_POOL: Final = ipaddress.IPv4Network("127.128.0.0/10")
_LEAST_BITS: Final = 12
_MOST_BITS: Final = 29

_Range = ipaddress.IPv4Network | ipaddress.IPv6Network


class MadeNetworks:
    """The networks of one local cloud."""

    def __init__(self, register: Register) -> None:
        self._register = register

    def create(self, definition: NetworkDefinition) -> CreatedNetwork:
        """As in the contract: refuses a range that overlaps with one in use."""
        if definition.type != "manual":
            raise errors.CpiError(f"network type {definition.type!r} cannot be made here: manual is the one that can")
        wanted = _wanted(definition)
        columns = {"properties": json.dumps(definition.cloud_properties)}
        with self._register.making("networks", columns, lambda database, _cid: _chosen(database, definition, wanted)) as cid:
            row = self._register.state.rows("SELECT * FROM networks WHERE cid = :cid", {"cid": cid})[0]
        return CreatedNetwork(
            cid=NetworkCid(cid),
            addresses=NetworkAddresses(range=row["range"], gateway=row["gateway"]),
            cloud_properties={**definition.cloud_properties, "network_cid": cid},
        )

    def delete(self, network_cid: str) -> None:
        """As in the contract."""
        with self._register.locked("networks", network_cid):
            with self._register.state.transaction() as database:
                user = database.execute("SELECT vm_cid FROM addresses WHERE network_cid = ?", (network_cid,)).fetchone()
                if user is not None:
                    raise errors.CloudError(f"network {network_cid} cannot be deleted: VM {user['vm_cid']} is on it")
                database.execute("UPDATE networks SET state = 'deleting' WHERE cid = ?", (network_cid,))
            self._register.delete("networks", network_cid)


def _wanted(definition: NetworkDefinition) -> _Range | None:
    if definition.range is not None:
        try:
            wanted = ipaddress.ip_network(definition.range)
        except ValueError as error:
            raise errors.CpiError(f"range: not a network's range: {error}") from error
        if wanted.num_addresses < ipaddress.ip_network("0.0.0.0/30").num_addresses:
            raise errors.CpiError(f"range: {wanted} holds no address beside the gateway")
        return wanted
    bits = definition.netmask_bits
    if bits is None or not _LEAST_BITS <= bits <= _MOST_BITS:
        raise errors.CpiError(f"a network needs a range, or netmask_bits from {_LEAST_BITS} to {_MOST_BITS}; got {bits!r}")
    return None


def _chosen(database: sqlite3.Connection, definition: NetworkDefinition, wanted: _Range | None) -> Mapping[str, object]:
    taken = {row["cid"]: ipaddress.ip_network(row["range"]) for row in database.execute("SELECT cid, range FROM networks")}
    chosen = wanted or _free(definition.netmask_bits or _MOST_BITS, list(taken.values()))
    for cid, other in taken.items():
        if _overlap(chosen, other):
            raise errors.CloudError(f"range {chosen} is in use: network {cid} has {other}")
    return {"range": str(chosen), "gateway": _gateway(definition, chosen)}


def _free(bits: int, taken: list[_Range]) -> _Range:
    for candidate in _POOL.subnets(new_prefix=bits):
        if not any(_overlap(candidate, other) for other in taken):
            return candidate
    raise errors.CloudError(f"no range with {bits} bits is free in {_POOL}")


def _overlap(one: _Range, other: _Range) -> bool:
    if isinstance(one, ipaddress.IPv4Network) and isinstance(other, ipaddress.IPv4Network):
        return one.overlaps(other)
    if isinstance(one, ipaddress.IPv6Network) and isinstance(other, ipaddress.IPv6Network):
        return one.overlaps(other)
    return False


def _gateway(definition: NetworkDefinition, chosen: _Range) -> str:
    if definition.gateway is None:
        return str(chosen[1])
    try:
        gateway = ipaddress.ip_address(definition.gateway)
    except ValueError as error:
        raise errors.CpiError(f"gateway: {error}") from error
    if gateway not in chosen:
        raise errors.CpiError(f"gateway: {gateway} does not lie in {chosen}")
    return str(gateway)
