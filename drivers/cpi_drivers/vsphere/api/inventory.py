"""What a datacenter has to put VMs on: its clusters, hosts, resource pools, datastores and networks; never its VMs."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from cpi.contract import errors
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
    vim.ClusterComputeResource: ("name", "host", "datastore", "network", "resourcePool", "configurationEx.drsConfig.enabled"),
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
    vim.Network: ("name",),
    vim.dvs.DistributedVirtualPortgroup: ("name", "key", "config.distributedVirtualSwitch"),
    vim.OpaqueNetwork: ("name", "summary"),
    vim.DistributedVirtualSwitch: ("name", "uuid"),
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
    """Every resource pool in it, by name."""

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

    twins: tuple["Net", ...] = ()
    """Others of its name: NSX makes a port group for a segment on each distributed switch."""

    def on(self, cluster: Cluster) -> "Net":
        """It, or the twin that the cluster reaches."""
        return next((net for net in (self, *self.twins) if net.reference in cluster.networks), self)


class Inventory(msgspec.Struct, frozen=True):
    """A datacenter's."""

    clusters: Mapping[str, Cluster]
    stores: tuple[Store, ...]
    nets: tuple[Net, ...]

    def net(self, name: str) -> Net:
        """By its name, or as `switch/port group`; standard ones before distributed ones. Raises CloudError."""
        wished = [net for net in self.nets if net.name == name] or [
            net for net in self.nets if f"{net.switch}/{net.name}" == name
        ]
        if not wished:
            known = ", ".join(sorted({net.name for net in self.nets}))
            raise errors.NetworkNotFound(f"there is no network {name!r}; there are: {known}")
        first, *others = sorted(wished, key=lambda net: net.switch is not None)
        return msgspec.structs.replace(first, twins=tuple(others)) if first.switch is not None or first.opaque else first


def look(site: Site, *, with_groups: bool = False, with_devices: bool = False) -> Inventory:
    """In one call, however many VMs there are.

    with_groups: those of hosts too; those of VMs come with them. with_devices: those that hosts have for VMs too.
    """
    more = {vim.ClusterComputeResource: (_GROUPS,) if with_groups else (), vim.HostSystem: _DEVICES if with_devices else ()}
    wanted = {kind: (*paths, *more.get(kind, ())) for kind, paths in _WANTED.items()}
    found = site.client.read([site.reference], wanted, _STEPS)
    clusters = {seen["name"]: _cluster(item, seen, found) for item, seen in _of_kind(found, vim.ClusterComputeResource)}
    nets = [_net(item, seen, found) for item, seen in _of_kind(found, vim.Network)]
    return Inventory(clusters, tuple(stores_in(found)), tuple(nets))


def _of_kind(found: Mapping[Reference, Mapping[str, Any]], kind: Any) -> list[tuple[Reference, Mapping[str, Any]]]:
    return [(item, seen) for item, seen in found.items() if isinstance(item, kind) and "name" in seen]


def _cluster(item: Reference, seen: Mapping[str, Any], found: Mapping[Reference, Mapping[str, Any]]) -> Cluster:
    root = seen["resourcePool"]
    pools = {pool["name"]: ref for ref, pool in _of_kind(found, vim.ResourcePool) if _is_under(ref, root, found)}
    hosts = [_host(ref, found[ref]) for ref in seen["host"] if ref in found and _is_usable(found[ref])]
    drs = bool(seen.get("configurationEx.drsConfig.enabled"))
    groups = {group.name: frozenset(group.host) for group in seen.get(_GROUPS, ()) if isinstance(group, vim.cluster.HostGroup)}
    return Cluster(item, seen["name"], root, pools, tuple(hosts), frozenset(seen["network"]), drs, groups)


def _is_under(pool: Reference, root: Reference, found: Mapping[Reference, Mapping[str, Any]]) -> bool:
    while pool in found:
        parent = found[pool].get("parent")
        if parent == root:
            return True
        pool = parent
    return False


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


def _net(item: Reference, seen: Mapping[str, Any], found: Mapping[Reference, Mapping[str, Any]]) -> Net:
    switch = found.get(seen.get("config.distributedVirtualSwitch"), {})
    summary = seen.get("summary")
    opaque = (summary.opaqueNetworkId, summary.opaqueNetworkType) if isinstance(item, vim.OpaqueNetwork) and summary else None
    return Net(item, seen["name"], switch.get("name"), switch.get("uuid"), seen.get("key"), opaque)
