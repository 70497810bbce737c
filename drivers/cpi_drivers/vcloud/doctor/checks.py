"""`cpi doctor`: what is wrong between this configuration and the cloud, without making anything."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from cpi.contract import errors
from cpi.contract.operator import Finding
from cpi_drivers.vcloud.api import documents
from cpi_drivers.vcloud.api.client import Client, equal
from cpi_drivers.vcloud.api.documents import Element
from cpi_drivers.vcloud.api.inventory import Inventory
from cpi_drivers.vcloud.settings import ANY, VcloudSettings

_SCARCE: Final = 0.9
_SHOWN: Final = 8
_PROFILES: Final = ("vapp_storage_profile", "media_storage_profile", "disk_storage_profile")

Look = Callable[[Client, VcloudSettings, Inventory], Iterator[Finding]]


def examine(client: Client, settings: VcloudSettings, inventory: Inventory) -> Iterator[Finding]:
    """The login; if it is good, what lies behind it."""
    try:
        version = client.session.version
        client.get("/api/org")
    except errors.Error as error:
        yield Finding("login", "fault", error.message)
        return
    yield Finding("login", "good", f"{settings.root} lets in {settings.user or 'the api_token'}; API {version}")
    if settings.root.startswith("http:"):
        yield Finding("TLS", "warning", "the url is http: passwords and tokens travel in clear")
    elif not settings.verify_ssl:
        yield Finding("TLS", "warning", "certificates are not looked at: verify_ssl is off")
    for subject, look in _LOOKS.items():
        try:
            yield from look(client, settings, inventory)
        except errors.Error as error:
            yield Finding(subject, "fault", error.message)


def _vdc(_: Client, settings: VcloudSettings, inventory: Inventory) -> Iterator[Finding]:
    vdc = inventory.vdc()
    verdict: Any = "good" if documents.text(vdc, "IsEnabled") != "false" else "fault"
    yield Finding(
        "vDC", verdict, f"{settings.entities.virtual_datacenter}, {documents.text(vdc, 'AllocationModel') or 'enabled'}"
    )
    names = sorted(str(one.get("name")) for one in documents.every(vdc, "AvailableNetworks/Network"))
    yield Finding("networks", "good" if names else "fault", _some(names))
    yield from _quotas(vdc)


def _quotas(vdc: Element) -> Iterator[Finding]:
    quota = _number(documents.text(vdc, "VmQuota"))
    yield Finding("quota of VMs", "good", f"{quota} VMs" if quota else "unlimited")
    for what, unit in (("Cpu", "MHz"), ("Memory", "MB")):
        limit = _number(documents.text(vdc, f"ComputeCapacity/{what}/Limit"))
        used = _number(documents.text(vdc, f"ComputeCapacity/{what}/Used"))
        yield _limit(f"limit of {what.lower()}", used, limit, unit)


def _catalogs(client: Client, settings: VcloudSettings, _: Inventory) -> Iterator[Finding]:
    for key in ("vapp_catalog", "media_catalog"):
        name = getattr(settings.entities, key)
        found = list(client.records("catalog", *equal(name=name)))
        yield Finding(
            "catalogs", "good" if found else "fault", f"{key}: {name}" + ("" if found else " does not exist for this user")
        )


def _storage_profiles(client: Client, settings: VcloudSettings, inventory: Inventory) -> Iterator[Finding]:
    vdc = inventory.vdc()
    for key in _PROFILES:
        name = getattr(settings.entities, key)
        if name != ANY:
            inventory.storage_profile(vdc, name)
            yield Finding("storage profiles", "good", f"{key}: {name}")
    for profile in client.records("orgVdcStorageProfile", *equal(vdc=inventory.vdc_href)):
        used, limit = _number(profile.get("storageUsedMB")), _number(profile.get("storageLimitMB"))
        yield _limit(f"storage profile {profile.get('name')}", used, limit, "MB")


def _policies(_: Client, __: VcloudSettings, inventory: Inventory) -> Iterator[Finding]:
    yield Finding("compute policies", "good", _some(sorted(str(one.get("name")) for one in inventory.compute_policies())))


def _limit(subject: str, used: int, limit: int, unit: str) -> Finding:
    if not limit:
        return Finding(subject, "good", f"{used} {unit} used, unlimited")
    told = f"{used} of {limit} {unit} used"
    if used < _SCARCE * limit:
        return Finding(subject, "good", told)
    return Finding(subject, "fault" if used >= limit else "warning", f"{told}: have it raised")


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "") or "none"


_LOOKS: Final[dict[str, Look]] = {
    "vDC": _vdc,
    "catalogs": _catalogs,
    "storage profiles": _storage_profiles,
    "compute policies": _policies,
}
