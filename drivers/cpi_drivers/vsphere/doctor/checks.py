"""What `cpi doctor` looks at in a vCenter: login, privileges, clusters, datastores, networks. Nothing is made."""

from collections.abc import Iterator, Sequence
from typing import Final

from cpi.contract import errors
from cpi.contract.operator import Finding
from cpi_drivers.vsphere.api import inventory, paths, policies
from cpi_drivers.vsphere.api.client import vim
from cpi_drivers.vsphere.api.datacenter import Site
from cpi_drivers.vsphere.api.datacenters import Sites
from cpi_drivers.vsphere.api.datastores import Choice, Store
from cpi_drivers.vsphere.api.inventory import Inventory
from cpi_drivers.vsphere.doctor.permissions import NEEDED, WHERE_USED
from cpi_drivers.vsphere.settings import clusters_by_name

_SCARCE: Final = 10 << 30
_SHOWN: Final = 8


def examine(sites: Sites) -> Iterator[Finding]:
    """Each datacenter of the configuration."""
    for site in sites:
        subject = f"datacenter {site.datacenter.name}"
        try:
            seen = inventory.look(site)
        except errors.Error as error:
            yield Finding(subject, "fault", error.message)
            continue
        yield Finding(subject, "good", f"{site.vcenter.user} is logged in to {site.client.where.url}")
        yield from _privileges(site)
        yield from _services(site)
        yield from _clusters(site, seen)
        yield _stores("datastores of VMs", site.vm_stores, seen.stores)
        yield _stores("datastores of persistent disks", site.disk_stores, seen.stores)
        yield _networks(seen)


def _privileges(site: Site) -> Iterator[Finding]:
    manager, sessions = site.client.manager("authorizationManager"), site.client.manager("sessionManager")
    names = [*NEEDED, *WHERE_USED]
    try:
        key = site.client.read([sessions], {vim.SessionManager: ("currentSession",)})[sessions]["currentSession"].key
        arguments = {"entity": [site.reference], "sessionId": key, "privId": names}
        answer = site.client.call(manager, "HasPrivilegeOnEntities", idempotent=True, **arguments)
    except errors.CloudError as error:
        yield Finding("privileges", "warning", f"cannot be asked: {error.message}")
        return
    held = {one.privId for entity in answer for one in entity.privAvailability if one.isGranted}
    missing = [f"{name} ({NEEDED[name]})" for name in NEEDED if name not in held]
    if missing:
        yield Finding("privileges", "fault", f"{site.vcenter.user} needs {', '.join(missing)} on {site.datacenter.name}")
    else:
        yield Finding("privileges", "good", f"all {len(NEEDED)} that are needed, on {site.datacenter.name}")
    without = [f"{name} ({WHERE_USED[name]})" for name in WHERE_USED if name not in held]
    if without:
        yield Finding("privileges where used", "warning", f"{site.vcenter.user} has not {', '.join(without)}")


def _services(site: Site) -> Iterator[Finding]:
    """Of the vCenter, as far as the configuration asks for them."""
    vcenter = site.vcenter
    try:
        if vcenter.fcd:
            site.client.manager("vStorageObjectManager")
            yield Finding("First Class Disks", "good", "the vCenter has the service for them")
        if vcenter.vm_storage_policy_name:
            policies.find(site.client, vcenter.vm_storage_policy_name)
            yield Finding("storage policy", "good", f"there is {vcenter.vm_storage_policy_name!r}")
    except errors.CloudError as error:
        yield Finding("services", "fault", error.message)


def _clusters(site: Site, seen: Inventory) -> Iterator[Finding]:
    for name, options in clusters_by_name(site.datacenter.clusters).items():
        cluster = seen.cluster(name)
        if cluster is None:
            yield Finding("clusters", "fault", f"there is no {name}; known: {_some(sorted(seen.clusters))}")
        elif not cluster.hosts:
            yield Finding("clusters", "fault", f"{name} has no host that is connected and not in maintenance")
        elif options.resource_pool and paths.meant(options.resource_pool, cluster.pools, "resource pools") is None:
            known = _some(sorted(cluster.pools))
            yield Finding("clusters", "fault", f"{name} has no resource pool {options.resource_pool!r}; known: {known}")
        else:
            memory = sum(host.free_mib for host in cluster.hosts)
            drs = "DRS places VMs" if cluster.places_itself else "no DRS: the emptiest host is taken"
            yield Finding("clusters", "good", f"{name}: {len(cluster.hosts)} hosts, {memory} MiB of memory free; {drs}")


def _stores(subject: str, choice: Choice, stores: Sequence[Store]) -> Finding:
    meant = [store for store in stores if choice.fits(store)]
    usable = [store for store in meant if store.usable]
    if not usable:
        known = _some([store.name for store in stores])
        return Finding(subject, "fault", f"none whose {choice} can be used; known: {known}")
    rooms = _some([f"{store.name} has {store.free >> 30} GiB free" for store in usable])
    scarce = all(store.free < _SCARCE for store in usable)
    away = [store.name for store in meant if not store.usable]
    told = rooms + (f"; not to be used now: {_some(away)}" if away else "")
    return Finding(subject, "warning" if scarce or away else "good", told)


def _networks(seen: Inventory) -> Finding:
    names = [f"{net.switch}/{net.name}" if net.switch else net.name for net in seen.nets]
    return Finding("networks", "good" if names else "fault", f"for cloud_properties.name: {_some(sorted(names))}")


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "") or "none"
