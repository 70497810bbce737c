"""Load balancers: joined by a VM when it runs, left before it is deleted."""

import json
import logging
from typing import Any, Final

from cpi.kit.tagging import MADE_BY
from cpi.kit.undo import Undo
from cpi_drivers.google import naming
from cpi_drivers.google.api import errors
from cpi_drivers.google.api.account import Account
from cpi_drivers.google.properties import BackendService, VmProperties

_log = logging.getLogger(__name__)

Item = dict[str, Any]

RECORD: Final = "multicpi_load_balancers"
"""The metadata key under which a VM keeps what it joined."""


def record(properties: VmProperties) -> list[Item]:
    """What the VM keeps in its metadata, to leave it when it goes."""
    service = _service(properties)
    told = {
        **({"target_pool": properties.target_pool} if properties.target_pool else {}),
        **({"backend_service": [service.name, service.scheme]} if service else {}),
    }
    return [{"key": RECORD, "value": json.dumps(told)}] if told else []


def join(account: Account, properties: VmProperties, zone: str, name: str, undo: Undo) -> None:
    """Again changes nothing."""
    body = {"instances": [{"instance": f"projects/{account.project}/zones/{zone}/instances/{name}"}]}
    if properties.target_pool:
        pool, region = properties.target_pool, naming.region_of(zone)
        undo.push(f"{name} in target pool {pool}", lambda: _leave_pool(account, region, pool, body))
        account.do("targetPools.addInstance", body, region=region, targetPool=pool)
    service = _service(properties)
    if service:
        group = _group(account, service.name, service.scheme, zone)
        undo.push(f"{name} in instance group {group}", lambda: _leave_group(account, zone, group, body))
        try:
            account.do("instanceGroups.addInstances", body, zone=zone, instanceGroup=group)
        except errors.Exists:
            return


def leave(account: Account, item: Item) -> None:
    """What the VM's record names. A VM of the official CPI has none: the target pools are looked through for it.

    A role that does not allow it is logged and keeps no VM alive: balancers drop what is gone when their health check fails.
    """
    try:
        _leave(account, item)
    except errors.Denied as error:
        _log.warning("the VM %s is deleted without leaving its load balancers first: %s", item["name"], error.message)


def _leave(account: Account, item: Item) -> None:
    zone = naming.last(item["zone"])
    body = {"instances": [{"instance": f"projects/{account.project}/zones/{zone}/instances/{item['name']}"}]}
    if MADE_BY not in item.get("labels", {}):
        _leave_pools_that_have_it(account, item, body)
        return
    told = _told(item)
    if "target_pool" in told:
        _leave_pool(account, naming.region_of(zone), told["target_pool"], body)
    if "backend_service" in told:
        service, scheme = told["backend_service"]
        try:
            group = _group(account, service, scheme, zone)
        except errors.Missing:
            return
        _leave_group(account, zone, group, body)


def _service(properties: VmProperties) -> BackendService | None:
    wanted = properties.backend_service
    return BackendService(wanted) if isinstance(wanted, str) else wanted


def _told(item: Item) -> Item:
    for one in item.get("metadata", {}).get("items", []):
        if one["key"] == RECORD:
            told: Item = json.loads(one["value"])
            return told
    return {}


def _group(account: Account, name: str, scheme: str | None, zone: str) -> str:
    """The unmanaged instance group of the service that is in the zone. Raises CloudError if there are none or two."""
    found = _services(account, name, scheme, naming.region_of(zone))
    groups: list[str] = [backend.get("group", "") for service in found for backend in service.get("backends", [])]
    here = sorted({group for group in groups if f"/zones/{zone}/instanceGroups/" in group})
    if not here:
        raise errors.Missing(f"the backend service {name} has no instance group in {zone}: make one and add it as a backend")
    if len(found) > 1 and len(here) > 1:
        raise errors.Refused(
            f"a regional and a global backend service are named {name}, with different groups in {zone}: say which by"
            " backend_service.scheme, INTERNAL or EXTERNAL"
        )
    return naming.last(here[0])


def _services(account: Account, name: str, scheme: str | None, region: str) -> list[Item]:
    """The services of that name: regional and global ones, internal or external each. Raises Missing."""
    places: list[tuple[str, Item]] = [("backendServices.get", {}), ("regionBackendServices.get", {"region": region})]
    found: list[Item] = []
    missing: errors.Refused | None = None
    for method, where in places[::-1] if scheme == "INTERNAL" else places:
        try:
            service = account.client.call(method, backendService=name, **where)
        except errors.Missing as error:
            missing = missing or error
        except errors.Denied as error:
            # The official role allows to look for global ones only.
            _log.warning("whether the backend service %s is there is not known by %s: %s", name, method, error.message)
            missing = missing or error
        else:
            found.append(service)
    fitting = [one for one in found if not scheme or str(one.get("loadBalancingScheme", scheme)).startswith(scheme)]
    if not fitting:
        raise missing or errors.Missing(f"the backend service {name} is not {scheme}")
    return fitting[:1] if scheme else fitting


def _leave_pool(account: Account, region: str, pool: str, body: Item) -> None:
    try:
        account.do("targetPools.removeInstance", body, region=region, targetPool=pool)
    except errors.Missing:
        return


def _leave_group(account: Account, zone: str, group: str, body: Item) -> None:
    try:
        account.do("instanceGroups.removeInstances", body, zone=zone, instanceGroup=group)
    except errors.Missing:
        return
    except errors.Refused as error:
        if error.code != "INVALID":  # it is no member
            raise


def _leave_pools_that_have_it(account: Account, item: Item, body: Item) -> None:
    ending = naming.partial(item["selfLink"])
    region = naming.region_of(naming.last(item["zone"]))
    for page in account.client.pages("targetPools.aggregatedList"):
        for pool in page.get("items", {}).get(f"regions/{region}", {}).get("targetPools", []):
            if any(naming.partial(member) == ending for member in pool.get("instances", [])):
                _leave_pool(account, region, pool["name"], body)
