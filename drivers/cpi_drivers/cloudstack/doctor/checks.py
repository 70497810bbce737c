"""`cpi doctor`: what is wrong between this configuration and the cloud, without making anything."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from cpi.contract import errors
from cpi.contract.operator import Finding
from cpi_drivers.cloudstack.api.client import Client
from cpi_drivers.cloudstack.api.inventory import Inventory
from cpi_drivers.cloudstack.api.offerings import Offerings
from cpi_drivers.cloudstack.settings import CloudStackSettings

_SCARCE: Final = 0.9
_PATIENCE_SHOWN: Final = 8
_COUNTED: Final = ("vm", "volume", "snapshot", "primarystorage")

Look = Callable[[Client, CloudStackSettings, Inventory], Iterator[Finding]]


def examine(client: Client, settings: CloudStackSettings, inventory: Inventory) -> Iterator[Finding]:
    """The login; if it is good, what lies behind it."""
    try:
        told = client.call("listCapabilities")["capability"]
    except errors.Error as error:
        yield Finding("login", "fault", error.message)
        return
    yield Finding("login", "good", f"{settings.endpoint} takes the keys; CloudStack {told.get('cloudstackversion', '?')}")
    if not settings.verifies:
        yield Finding("TLS", "warning", "certificates are not looked at: verify_ssl is off")
    for subject, look in _LOOKS.items():
        try:
            yield from look(client, settings, inventory)
        except errors.Error as error:
            yield Finding(subject, "fault", error.message)


def _zones(_: Client, settings: CloudStackSettings, inventory: Inventory) -> Iterator[Finding]:
    for zone in (settings.default_zone, *settings.stemcell.zones):
        kind = "basic" if inventory.is_basic(zone) else "advanced"
        yield Finding("zone", "good", f"{zone} is {kind}")


def _project(_: Client, settings: CloudStackSettings, inventory: Inventory) -> Iterator[Finding]:
    scope = inventory.scope
    if settings.project:
        yield Finding("project", "good", f"{settings.project} is {scope['projectid']}")


def _networks(client: Client, settings: CloudStackSettings, inventory: Inventory) -> Iterator[Finding]:
    zone = settings.default_zone
    found = client.pages("listNetworks", "network", zoneid=inventory.zone_id(zone), **inventory.scope)
    names = sorted(str(one["name"]) for one in found)
    verdict: Any = "good" if names or inventory.is_basic(zone) else "fault"
    yield Finding("networks", verdict, f"in {zone}: {_some(names)}")


def _disk_offerings(client: Client, settings: CloudStackSettings, inventory: Inventory) -> Iterator[Finding]:
    offer, offerings = settings.default_offer, Offerings(client, settings, inventory)
    for key, name in (("disk", offer.disk), ("ephemeral_disk", offer.ephemeral_disk), ("custom_disk", offer.custom_disk)):
        if name is None:
            continue
        try:
            found = offerings.disk(name)
        except errors.CloudError as error:
            yield Finding("disk offerings", "fault", f"default_offer.{key}: {error.message}")
            continue
        size = "of any size" if found.get("iscustomized") else f"of {found['disksize']} GiB"
        fixed = key == "custom_disk" and not found.get("iscustomized")
        yield Finding("disk offerings", "warning" if fixed else "good", f"default_offer.{key}: {name}, disks {size}")


def _compute_offerings(client: Client, *_: Any) -> Iterator[Finding]:
    names = sorted(str(one["name"]) for one in client.pages("listServiceOfferings", "serviceoffering"))
    yield Finding("compute offerings", "good" if names else "fault", _some(names))


def _key(client: Client, settings: CloudStackSettings, inventory: Inventory) -> Iterator[Finding]:
    name = settings.default_key_name
    if name is None:
        yield Finding("key pair", "good", "no default_key_name: VMs that name none have none")
        return
    found = list(client.pages("listSSHKeyPairs", "sshkeypair", name=name, **inventory.scope))
    verdict: Any = "good" if found else "fault"
    yield Finding("key pair", verdict, name if found else f"default_key_name {name!r} does not exist for this account")


def _security_groups(client: Client, settings: CloudStackSettings, inventory: Inventory) -> Iterator[Finding]:
    for name in settings.default_security_groups:
        found = list(client.pages("listSecurityGroups", "securitygroup", securitygroupname=name, **inventory.scope))
        verdict: Any = "good" if found else "fault"
        yield Finding("security groups", verdict, name if found else f"default_security_groups names {name!r}: there is none")


def _os_type(client: Client, settings: CloudStackSettings, _: Inventory) -> Iterator[Finding]:
    name = settings.stemcell.os_type
    found = [one for one in client.pages("listOsTypes", "ostype", description=name) if one["description"] == name]
    verdict: Any = "good" if found else "fault"
    yield Finding("guest OS type", verdict, name if found else f"stemcell.os_type {name!r} does not exist")


def _limits(client: Client, settings: CloudStackSettings, inventory: Inventory) -> Iterator[Finding]:
    if settings.project:
        return
    for account in list(client.pages("listAccounts", "account", **inventory.scope))[:1]:
        for name in _COUNTED:
            yield _limit(name, account.get(f"{name}total"), account.get(f"{name}limit"))


def _limit(name: str, used: Any, limit: Any) -> Finding:
    subject = f"limit of {name}"
    if used is None or limit is None or not str(limit).isdigit():
        return Finding(subject, "good", f"{used if used is not None else '?'} used, unlimited")
    if int(used) < _SCARCE * int(limit):
        return Finding(subject, "good", f"{used} of {limit} used")
    return Finding(subject, "fault" if int(used) >= int(limit) else "warning", f"{used} of {limit} used: have it raised")


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:_PATIENCE_SHOWN])
    return shown + (f" and {len(names) - _PATIENCE_SHOWN} more" if len(names) > _PATIENCE_SHOWN else "") or "none"


_LOOKS: Final[dict[str, Look]] = {
    "zone": _zones,
    "project": _project,
    "networks": _networks,
    "disk offerings": _disk_offerings,
    "compute offerings": _compute_offerings,
    "key pair": _key,
    "security groups": _security_groups,
    "guest OS type": _os_type,
    "limits": _limits,
}
