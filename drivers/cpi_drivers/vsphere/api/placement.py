"""Where a VM may lie: clusters, pools, hosts and datastores that can take it, the best first. Pure."""

import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from cpi.contract import errors
from cpi_drivers.vsphere.api import paths
from cpi_drivers.vsphere.api.datastores import Choice, Store
from cpi_drivers.vsphere.api.inventory import Cluster, Host, Inventory, Net
from cpi_drivers.vsphere.settings import ClusterOptions

_SPARE_MEMORY: Final = 128
_SPARE_DISK: Final = 1024
_MIB: Final = 20


class Need(msgspec.Struct, frozen=True):
    """What a VM needs of its place; sizes in MiB."""

    ram: int = 0
    disk: int = 0
    nets: tuple[Net, ...] = ()
    disks: Mapping[str, int] = {}
    """Persistent bytes by the ids of the datastores that they are on."""

    pci: frozenset[tuple[int, int]] = frozenset()
    vgpus: frozenset[str] = frozenset()
    """Devices of a host, which has to have all of them."""


class Place(msgspec.Struct, frozen=True):
    """One place."""

    cluster: Cluster
    pool: Any
    host: Host | None
    """Chosen only where DRS does not."""

    store: Store
    options: ClusterOptions = ClusterOptions()


def places(inventory: Inventory, requested: Mapping[str, ClusterOptions], choice: Choice, need: Need) -> list[Place]:
    """One for each cluster and datastore, the best first. Raises CloudError that says of each cluster why it is none."""
    reasons: list[str] = []
    found: list[tuple[tuple[float, ...], Place]] = []
    for name, options in requested.items():
        cluster = inventory.cluster(name)
        if cluster is None:
            reasons.append(f"there is no cluster {name!r}; known: {', '.join(sorted(inventory.clusters))}")
            continue
        fitting, reason = _in(cluster, options, choice.of(inventory.stores), need, choice)
        found += [(_score(place, need), place) for place in fitting]
        if not fitting:
            reasons.append(f"cluster {name}: {reason}")
    if not found:
        raise errors.VMCreationFailed(f"there is no place for the VM: {'; '.join(reasons)}", ok_to_retry=False)
    return [place for _, place in sorted(found, key=lambda pair: pair[0], reverse=True)]


def _in(
    cluster: Cluster, options: ClusterOptions, stores: Sequence[Store], need: Need, choice: Choice
) -> tuple[list[Place], str]:
    pool = paths.meant(options.resource_pool, cluster.pools, "resource pools") if options.resource_pool else cluster.pool
    if pool is None:
        return [], f"no resource pool {options.resource_pool!r}; known: {', '.join(sorted(cluster.pools))}"
    missing = [net.name for net in need.nets if net.on(cluster).reference not in cluster.networks]
    if missing:
        return [], f"the networks {', '.join(missing)} do not reach it"
    hosts, reason = _hosts(cluster, options, need)
    needed = (need.disk + need.ram + _SPARE_DISK) << _MIB
    roomy = [store for store in stores if store.free >= needed]
    if hosts and not roomy:
        told = ", ".join(f"{store.name} {store.free >> _MIB}" for store in stores) or "none"
        return [], f"no datastore whose {choice} has {needed >> _MIB} MiB free: {told}"
    found = [place for store in roomy for place in _on(cluster, pool, hosts, store, options)]
    return found, reason or f"its hosts reach none of {', '.join(store.name for store in roomy)}"


def _hosts(cluster: Cluster, options: ClusterOptions, need: Need) -> tuple[list[Host], str]:
    """Those that can take it, or why there are none."""
    group = options.hosts.name if options.hosts else None
    if group is not None and group not in cluster.host_groups:
        return [], f"no host group {group!r}; known: {', '.join(sorted(cluster.host_groups)) or 'none'}"
    among = [host for host in cluster.hosts if group is None or host.reference in cluster.host_groups[group]]
    roomy = [host for host in among if host.free_mib >= need.ram + _SPARE_MEMORY]
    if not roomy:
        of_group = f" of the group {group}" if group else ""
        return [], f"no host{of_group} that is connected has {need.ram + _SPARE_MEMORY} MiB of memory free"
    pci = [f"{vendor:#06x}:{device:#06x}" for vendor, device in sorted(need.pci)]
    able = [host for host in roomy if need.pci <= host.pci and need.vgpus <= host.vgpus]
    return able, "" if able else f"no host with memory enough has the devices {', '.join([*pci, *sorted(need.vgpus)])}"


def _on(cluster: Cluster, pool: Any, hosts: Sequence[Host], store: Store, options: ClusterOptions) -> list[Place]:
    reaching = [host for host in hosts if store.id in host.stores]
    if not reaching:
        return []
    best = None if cluster.places_itself else max(reaching, key=lambda host: host.free_mib)
    return [Place(cluster, pool, best, store, options)]


def _score(place: Place, need: Need) -> tuple[float, ...]:
    """Least persistent data to move, then most room; a little chance, so that calls at once do not all choose the same."""
    reached = frozenset().union(*(host.stores for host in place.cluster.hosts))
    moving = sum(size for store, size in need.disks.items() if store not in reached)
    memory = sum(host.free_mib for host in place.cluster.hosts)
    luck = random.uniform(0.5, 1.0)  # noqa: S311 - no secret
    return (-moving, memory * luck, place.store.free * luck)
