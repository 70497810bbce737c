"""What a datacenter has to put VMs on: its clusters, hosts, resource pools, datastores and networks; never its VMs."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from cpi.contract import errors
from cpi_drivers.vsphere.api import paths
from cpi_drivers.vsphere.api.client import Reference, Step, vim
from cpi_drivers.vsphere.api.datacenter import Site
from cpi_drivers.vsphere.api.datastores import CLUSTER_STEP, WANTED, Store, stores_in

_STEPS: Final = {
    "hosts and clusters": Step(vim.Datacenter, "hostFolder", ("in folders",)),
    "in folders": Step(vim.Folder, "childEntity", ("in folders", "hosts", "root pools")),
    "hosts": Step(vim.ClusterComputeResource, "host"),
    "root pools": Step(vim.ClusterComputeResource, "resourcePool", ("pools",)),
    "pools": Step(vim.ResourcePool, "resourcePool", ("pools",)),
    "datastores": Step(vim.Datacenter, "datastore", tuple(CLUSTER_STEP)),
    "networks": Step(vim.Datacenter, "network"),
    "switches": Step(vim.Datacenter, "networkFolder", ("in folders",)),
    **CLUSTER_STEP,
}
_WANTED: Final[Mapping[Any, Sequence[str]]] = {
    vim.Datacenter: ("hostFolder", "networkFolder"),
    vim.Folder: ("name", "parent"),
    vim.ClusterComputeResource: (
        "name",
        "parent",
        "host",
        "datastore",
        "network",
        "resourcePool",
        "configurationEx.drsConfig.enabled",
    ),
    vim.HostSystem: (
        "name",
        "datastore",
        "runtime.connectionState",
        "runtime.inMaintenanceMode",
        "summary.hardware.memorySize",
        "summary.hardware.cpuMhz",
        "summary.quickStats.overallMemoryUsage",
    ),
    vim.ResourcePool: ("name", "parent"),
    vim.Network: ("name", "parent"),
    vim.dvs.DistributedVirtualPortgroup: (
        "name",
        "parent",
        "key",
        "config.distributedVirtualSwitch",
        "config.logicalSwitchUuid",
    ),
    vim.OpaqueNetwork: ("name", "parent", "summary"),
    vim.DistributedVirtualSwitch: ("name", "parent", "uuid"),
    **WANTED,
}
_GROUPS: Final = "configurationEx.group"
_DEVICES: Final = ("config.pciPassthruInfo", "hardware.pciDevice", "config.sharedGpuCapabilities")
_WORD: Final = 0xFFFF
_MIB: Final = 20


class Host(msgspec.Struct, frozen=True):
    """A hypervisor that can take VMs."""

    reference: Any
    name: str
    free_mib: int
    clock_mhz: int
    stores: frozenset[str]
    """The ids of the datastores that it reaches."""

    pci: frozenset[tuple[int, int]] = frozenset()
    """Vendors and kinds of the PCI devices that VMs may have for their own, if those were asked for."""

    vgpus: frozenset[str] = frozenset()
    """Profiles of the virtual GPUs that it has, as with pci."""


class Cluster(msgspec.Struct, frozen=True):
    """A cluster."""

    reference: Any
    name: str
    pool: Any
    pools: Mapping[str, Any]
    """Every resource pool in it, by its path below the cluster."""

    hosts: tuple[Host, ...]
    networks: frozenset[Any]
    places_itself: bool
    """Whether DRS chooses hosts."""

    host_groups: Mapping[str, frozenset[Any]] = {}
    """Hosts by the names of their groups, if those were asked for."""


class Net(msgspec.Struct, frozen=True):
    """A network."""

    reference: Any
    name: str
    switch: str | None = None
    """The name of its distributed switch, if it is a distributed port group."""

    switch_uuid: str | None = None
    key: str | None = None
    opaque: tuple[str, str] | None = None
    """The id and type of a network that NSX has made."""

    logical_switch: str | None = None
    """The UUID of the NSX segment that a port group is."""

    paths: tuple[str, ...] = ()
    """Its path below the datacenter's folder of networks, and that through its switch."""

    twins: tuple["Net", ...] = ()
    """Others of its name: NSX makes a port group for a segment on each distributed switch."""

    def on(self, cluster: Cluster) -> "Net":
        """It, or the twin that the cluster reaches."""
        return next((net for net in (self, *self.twins) if net.reference in cluster.networks), self)


class Inventory(msgspec.Struct, frozen=True):
    """A datacenter's."""

    clusters: Mapping[str, Cluster]
    """By their paths below the datacenter's folder of hosts; those that lie in no folder are by their names."""

    stores: tuple[Store, ...]
    nets: tuple[Net, ...]

    def net(self, name: str) -> Net:
        """By its name, as `switch/port group`, or by its path; standard ones before distributed ones. Raises CloudError."""
        requested = [net for net in self.nets if net.name == name] or self._at(name)
        if not requested:
            known = ", ".join(sorted({net.name for net in self.nets}))
            raise errors.NetworkNotFound(f"there is no network {name!r}; known: {known}")
        standard = [net for net in requested if net.switch is None and net.opaque is None]
        first, *others = standard or requested
        segments = {net.logical_switch or (net.opaque and net.opaque[0]) for net in requested}
        if others and (standard or len(segments) > 1 or None in segments):
            candidates = ", ".join(sorted(net.paths[-1] if net.paths else net.name for net in (first, *others)))
            raise errors.CloudError(f"{name!r} means several networks: {candidates}: say the path of one")
        return msgspec.structs.replace(first, twins=tuple(others))

    def _at(self, path: str) -> list[Net]:
        """The network at a path, with those that are the same segment."""
        places = {place: net for net in self.nets for place in net.paths}
        found = paths.meant(path, places, "networks")
        return [] if found is None else [found]

    def cluster(self, name: str) -> Cluster | None:
        """By its name or its path. Raises CloudError if several are meant."""
        return paths.meant(name, self.clusters, "clusters")


def look(site: Site, *, with_groups: bool = False, with_devices: bool = False) -> Inventory:
    """In one call, however many VMs there are.

    with_groups: those of hosts too; those of VMs come with them. with_devices: those that hosts have for VMs too.
    """
    more = {vim.ClusterComputeResource: (_GROUPS,) if with_groups else (), vim.HostSystem: _DEVICES if with_devices else ()}
    wanted = {kind: (*known, *more.get(kind, ())) for kind, known in _WANTED.items()}
    found = site.client.read([site.reference], wanted, _STEPS)
    roots = found.get(site.reference, {})
    clusters = {
        paths.path_of(item, roots.get("hostFolder"), found) or seen["name"]: _cluster(item, seen, found)
        for item, seen in _of_kind(found, vim.ClusterComputeResource)
    }
    nets = [_net(item, seen, found, roots.get("networkFolder")) for item, seen in _of_kind(found, vim.Network)]
    return Inventory(clusters, tuple(stores_in(found)), tuple(nets))


def _of_kind(found: Mapping[Reference, Mapping[str, Any]], kind: Any) -> list[tuple[Reference, Mapping[str, Any]]]:
    return [(item, seen) for item, seen in found.items() if isinstance(item, kind) and "name" in seen]


def _cluster(item: Reference, seen: Mapping[str, Any], found: Mapping[Reference, Mapping[str, Any]]) -> Cluster:
    root = seen["resourcePool"]
    below = {ref: paths.path_of(ref, root, found) for ref, _ in _of_kind(found, vim.ResourcePool)}
    pools = {path: ref for ref, path in below.items() if path}
    hosts = [_host(ref, found[ref]) for ref in seen["host"] if ref in found and _is_usable(found[ref])]
    drs = bool(seen.get("configurationEx.drsConfig.enabled"))
    groups = {group.name: frozenset(group.host) for group in seen.get(_GROUPS, ()) if isinstance(group, vim.cluster.HostGroup)}
    return Cluster(item, seen["name"], root, pools, tuple(hosts), frozenset(seen["network"]), drs, groups)


def _is_usable(seen: Mapping[str, Any]) -> bool:
    return seen.get("runtime.connectionState") == "connected" and not seen.get("runtime.inMaintenanceMode")


def _host(item: Reference, seen: Mapping[str, Any]) -> Host:
    free = (seen.get("summary.hardware.memorySize", 0) >> _MIB) - (seen.get("summary.quickStats.overallMemoryUsage") or 0)
    reached = frozenset(str(store._moId) for store in seen.get("datastore", ()))  # noqa: SLF001 - an id has no public name in the SDK
    active = {one.id for one in seen.get("config.pciPassthruInfo") or () if one.passthruActive}
    # The API's numbers are of 16 bits with a sign.
    pci = ((one.vendorId & _WORD, one.deviceId & _WORD) for one in seen.get("hardware.pciDevice") or () if one.id in active)
    vgpus = frozenset(str(one.vgpu) for one in seen.get("config.sharedGpuCapabilities") or ())
    return Host(item, seen["name"], free, seen.get("summary.hardware.cpuMhz", 0), reached, frozenset(pci), vgpus)


def _net(item: Reference, seen: Mapping[str, Any], found: Mapping[Reference, Mapping[str, Any]], folder: Reference | None) -> Net:
    of_switch = seen.get("config.distributedVirtualSwitch")
    switch = found.get(of_switch, {})
    through = paths.path_of(of_switch, folder, found) if of_switch is not None else None
    places = (paths.path_of(item, folder, found), f"{through}/{seen['name']}" if through else None)
    summary = seen.get("summary")
    opaque = (summary.opaqueNetworkId, summary.opaqueNetworkType) if isinstance(item, vim.OpaqueNetwork) and summary else None
    return Net(
        item,
        seen["name"],
        switch.get("name"),
        switch.get("uuid"),
        seen.get("key"),
        opaque,
        seen.get("config.logicalSwitchUuid") or None,
        tuple(place for place in places if place),
    )
