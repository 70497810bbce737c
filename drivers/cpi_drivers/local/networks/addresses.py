"""Which VM holds which address. Each has a loopback address of its own for its agent; all addresses are on record."""

import contextlib
import ipaddress
import os
import socket
import sqlite3
import sys
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from cpi.contract import errors
from cpi.contract.model import Network, Networks
from cpi.kit.settings import read_cloud_properties
from cpi_drivers.local.settings import NetworkProperties

PORT: Final = 6868
_POOL: Final = ipaddress.IPv4Network("127.64.0.0/10")
_TRIES: Final = 200
_ONLY_LOOPBACK: Final = "127.0.0.1"

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Range = ipaddress.IPv4Network | ipaddress.IPv6Network


class Endpoint(NamedTuple):
    """Where a VM's agent listens."""

    address: str
    port: int


def reserve(database: sqlite3.Connection, vm_cid: str, networks: Networks) -> tuple[Endpoint, Networks]:
    """Put the VM's addresses on record; where its agent listens, and the networks as they turned out.

    Raises CpiError for an address that is none, VMCreationFailed naming the holder of a taken one, NetworkNotFound.
    """
    given: dict[str, Network] = {}
    for name, network in networks.items():
        made = _network_made(database, name, network)
        wanted = _static(name, network, made) if network.type != "dynamic" else _free_in(database, made) if made else None
        if wanted is not None:
            if network.type != "vip":
                _record(database, vm_cid, wanted, name, made)
            network = msgspec.structs.replace(network, ip=str(wanted))  # noqa: PLW2901 - the same network, settled
        given[name] = network
    endpoint = _endpoint(database, vm_cid, given)
    return endpoint, {name: _turned_out(network, endpoint) for name, network in given.items()}


def _network_made(database: sqlite3.Connection, name: str, network: Network) -> sqlite3.Row | None:
    wanted = read_cloud_properties(NetworkProperties, network.cloud_properties, f"networks.{name}.cloud_properties")
    if not wanted.network_cid:
        return None
    query = "SELECT * FROM networks WHERE cid = ? AND state = 'ready'"
    made: sqlite3.Row | None = database.execute(query, (wanted.network_cid,)).fetchone()
    if made is None:
        raise errors.NetworkNotFound(f"there is no network {wanted.network_cid}, which network {name!r} of the VM asks for")
    return made


def _static(name: str, network: Network, made: sqlite3.Row | None) -> _Address:
    try:
        address = ipaddress.ip_address(network.ip or "")
    except ValueError as error:
        raise errors.CpiError(f"networks.{name}.ip: a {network.type} network needs an IP address, got {network.ip!r}") from error
    if made is not None and (address not in ipaddress.ip_network(made["range"]) or str(address) == made["gateway"]):
        raise errors.CpiError(
            f"networks.{name}.ip: {address} is not for VMs in network {made['cid']}: {made['range']}, gateway {made['gateway']}"
        )
    return address


def _free_in(database: sqlite3.Connection, made: sqlite3.Row) -> _Address:
    taken = {made["gateway"], *_taken(database)}
    for address in ipaddress.ip_network(made["range"]).hosts():
        if str(address) not in taken:
            return address
    raise errors.VMCreationFailed(f"network {made['cid']} ({made['range']}) has no free address")


def _taken(database: sqlite3.Connection) -> Iterator[str]:
    for row in database.execute("SELECT address FROM addresses"):
        yield row["address"]


def _record(database: sqlite3.Connection, vm_cid: str, address: object, network: str, made: sqlite3.Row | None) -> None:
    holder = database.execute("SELECT vm_cid FROM addresses WHERE address = ?", (str(address),)).fetchone()
    if holder is not None and holder["vm_cid"] == vm_cid:
        raise errors.CpiError(f"networks.{network}.ip: {address} is given twice to one VM")
    if holder is not None:
        raise errors.VMCreationFailed(f"address {address} of network {network!r} is held by VM {holder['vm_cid']}")
    row = (str(address), vm_cid, network, made["cid"] if made else None)
    database.execute("INSERT INTO addresses (address, vm_cid, network, network_cid) VALUES (?, ?, ?, ?)", row)


def _endpoint(database: sqlite3.Connection, vm_cid: str, networks: Networks) -> Endpoint:
    if sys.platform != "linux":
        # other systems have this address only, unless someone sets up more
        return Endpoint(_ONLY_LOOPBACK, _free_port())
    by_default = sorted(networks.values(), key=lambda network: "gateway" not in (network.default or ()))
    for network in by_default:
        if network.ip and network.type != "vip" and ipaddress.ip_address(network.ip).is_loopback:
            if not _can_listen(network.ip):
                raise errors.VMCreationFailed(f"another program listens at {network.ip} port {PORT}, where the VM's agent should")
            return Endpoint(network.ip, PORT)
    address = _free_in_pool(database)
    _record(database, vm_cid, address, "", None)
    return Endpoint(address, PORT)


def _free_in_pool(database: sqlite3.Connection) -> str:
    taken = set(_taken(database))
    for _ in range(_TRIES):
        # at random: other local clouds of this machine choose from the same pool
        address = str(_POOL[int.from_bytes(os.urandom(4)) % _POOL.num_addresses])
        if not address.endswith((".0", ".255")) and address not in taken and _can_listen(address):
            return address
    raise errors.VMCreationFailed(f"no free address was found in {_POOL}")


def _can_listen(address: str) -> bool:
    with contextlib.closing(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, PORT))
            probe.listen(1)
        except OSError:
            return False
    return True


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind((_ONLY_LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _turned_out(network: Network, endpoint: Endpoint) -> Network:
    if network.type == "dynamic" and not network.ip:
        return msgspec.structs.replace(network, ip=endpoint.address, netmask=network.netmask or "255.255.255.255")
    return network
