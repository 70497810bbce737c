"""`cpi doctor`: what is wrong between this configuration and the cloud, without making anything.

Asked through openstacksdk, which finds each service's versions by itself: what it cannot reach, no client can.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from cpi.contract import errors
from cpi.contract.operator import Finding
from cpi_drivers.openstack.api.client import Client
from cpi_drivers.openstack.api.errors import sdk_failures
from cpi_drivers.openstack.settings import OpenStackSettings

_NEEDED = {"compute", "network", "image"}
_SCARCE = 0.9
_UNLIMITED = -1
_PATIENCE_SHOWN = 8

Look = Callable[[Any, OpenStackSettings], Iterator[Finding]]


def examine(client: Client, settings: OpenStackSettings) -> Iterator[Finding]:
    """Login and catalogue; if those are good, what lies behind them."""
    try:
        services = client.services()
    except errors.Error as error:
        yield Finding("login", "fault", error.message)
        return
    yield Finding("login", "good", f"{settings.keystone_url} gave a token; it is kept in {client.folder}")
    missing = sorted(_NEEDED - services) + ([] if services & {"volumev3", "block-storage"} else ["block-storage (volumev3)"])
    if missing:
        where = f"the {settings.endpoint_type} endpoints of region {settings.region or '(any)'}"
        there = ", ".join(sorted(services)) or "none"
        yield Finding("catalogue", "fault", f"no {', '.join(missing)} among {where}: {there}; see region and endpoint_type")
        return
    balancer = "load-balancer" if "load-balancer" in services else "no load-balancer: loadbalancer_pools cannot be used"
    yield Finding("catalogue", "good", f"compute, network, image, block-storage; {balancer}")
    sdk = client.sdk()
    for subject, look in _LOOKS.items():
        try:
            yield from look(sdk, settings)
        except sdk_failures() as error:
            yield Finding(subject, "fault", f"cannot be asked: {error}")


def _flavors(sdk: Any, settings: OpenStackSettings) -> Iterator[Finding]:
    flavors = list(sdk.compute.flavors())
    cramped = sorted(flavor.name for flavor in flavors if 0 < flavor.ephemeral * 1024 < 2 * flavor.ram)
    rootless = [] if settings.boot_from_volume else sorted(flavor.name for flavor in flavors if not flavor.disk)
    yield Finding("flavours", "good" if flavors else "fault", f"{len(flavors)}: {_some([flavor.name for flavor in flavors])}")
    if cramped:
        yield Finding("flavours", "warning", f"ephemeral disk smaller than twice the memory, unusable: {_some(cramped)}")
    if rootless:
        yield Finding("flavours", "warning", f"no root disk, usable with boot_from_volume only: {_some(rootless)}")


def _networks(sdk: Any, settings: OpenStackSettings) -> Iterator[Finding]:
    networks = list(sdk.network.networks())
    inside = [f"{network.name} ({network.id})" for network in networks if not network.is_router_external]
    if inside:
        yield Finding("networks", "good", f"for net_id: {_some(inside)}")
    else:
        yield Finding("networks", "fault", "none that VMs could lie in")
    known = {name for group in sdk.network.security_groups() for name in (group.name, group.id)}
    missing = [name for name in settings.default_security_groups if name not in known]
    if missing:
        yield Finding(
            "security groups", "fault", f"default_security_groups names {', '.join(missing)}; there are {_some(sorted(known))}"
        )
    elif settings.default_security_groups:
        yield Finding("security groups", "good", ", ".join(settings.default_security_groups))
    else:
        yield Finding(
            "security groups", "warning", "no default_security_groups: VMs that name none get Neutron's group `default`"
        )


def _key(sdk: Any, settings: OpenStackSettings) -> Iterator[Finding]:
    name = settings.default_key_name
    if name is None:
        yield Finding("key pair", "good", "no default_key_name: VMs that name none have none")
    elif sdk.compute.find_keypair(name) is None:
        yield Finding("key pair", "fault", f"default_key_name {name!r} does not exist for this user: key pairs belong to users")
    else:
        yield Finding("key pair", "good", name)


def _zones(sdk: Any, settings: OpenStackSettings) -> Iterator[Finding]:
    compute = {zone.name for zone in sdk.compute.availability_zones() if zone.state["available"]}
    storage = {zone.name for zone in sdk.block_storage.availability_zones() if zone.state["available"]}
    told = f"VMs: {_some(sorted(compute))}; disks: {_some(sorted(storage))}"
    if compute <= storage or settings.ignore_server_availability_zone:
        yield Finding("availability zones", "good", told)
    else:
        advice = "no disks can be made for VMs in the others: set ignore_server_availability_zone"
        yield Finding("availability zones", "warning", f"{told}: {advice}")


def _disk_types(sdk: Any, settings: OpenStackSettings) -> Iterator[Finding]:
    names = sorted(kind.name for kind in sdk.block_storage.types())
    wished = settings.default_volume_type
    if wished is not None and wished not in names:
        yield Finding("volume types", "fault", f"default_volume_type {wished!r} is not among {_some(names)}")
    else:
        yield Finding("volume types", "good", _some(names))


def _quotas(sdk: Any, _: OpenStackSettings) -> Iterator[Finding]:
    limits = sdk.compute.get_limits().absolute
    yield _quota("instances", limits.instances_used, limits.instances)
    yield _quota("cores", limits.total_cores_used, limits.total_cores)
    yield _quota("memory (MiB)", limits.total_ram_used, limits.total_ram)
    storage = sdk.block_storage.get_limits().absolute
    yield _quota("volumes", storage.total_volumes_used, storage.max_total_volumes)
    yield _quota("volumes (GiB)", storage.total_gigabytes_used, storage.max_total_volume_gigabytes)
    project = sdk.session.get_project_id()
    ports = sdk.network.get_quota(project, details=True).ports
    yield _quota("ports", ports["used"], ports["limit"])


def _quota(what: str, used: int | None, limit: int | None) -> Finding:
    if limit is None or limit == _UNLIMITED:
        return Finding(f"quota of {what}", "good", f"{used} used, unlimited")
    if (used or 0) < _SCARCE * limit:
        return Finding(f"quota of {what}", "good", f"{used} of {limit} used")
    return Finding(f"quota of {what}", "fault" if (used or 0) >= limit else "warning", f"{used} of {limit} used: have it raised")


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_PATIENCE_SHOWN])
    return shown + (f" and {len(names) - _PATIENCE_SHOWN} more" if len(names) > _PATIENCE_SHOWN else "") or "none"


_LOOKS: dict[str, Look] = {
    "flavours": _flavors,
    "networks": _networks,
    "key pair": _key,
    "availability zones": _zones,
    "volume types": _disk_types,
    "quotas": _quotas,
}
