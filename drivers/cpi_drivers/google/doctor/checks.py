"""What `cpi doctor` looks at on Google: identity, permissions, zones, quotas, networks, images; and what a stemcell names."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from cpi.contract import errors as contract_errors
from cpi.contract.model import CloudProperties
from cpi.contract.operator import Finding
from cpi.kit.settings import STEMCELL_KEYS, read_cloud_properties
from cpi_drivers.google import naming
from cpi_drivers.google.api import errors
from cpi_drivers.google.api.account import Account
from cpi_drivers.google.api.operations import COURTESIES, permissions
from cpi_drivers.google.properties import StemcellProperties
from cpi_drivers.google.stemcells import lifecycle as stemcells

_SOURCE: Final = re.compile(r"https?://storage\.googleapis\.com/([^/]+)/(.+)")
_AT_ONCE: Final = 100
_NEARLY: Final = 0.9
_WATCHED: Final = (
    "CPUS",
    "INSTANCES",
    "DISKS_TOTAL_GB",
    "SSD_TOTAL_GB",
    "IN_USE_ADDRESSES",
    "STATIC_ADDRESSES",
    "SNAPSHOTS",
    "IMAGES",
    "SUBNETWORKS",
    "TARGET_POOLS",
    "INSTANCE_GROUPS",
)


def examine(account: Account) -> Iterable[Finding]:
    """One finding after the other; nothing is made."""
    try:
        yield _project(account)
    except contract_errors.Error as error:
        yield Finding("project", "fault", error.message)
        return
    for subject, look in (
        ("permissions", _permissions),
        ("quotas", _quotas),
        ("zones", _zones),
        ("networks", _networks),
        ("images", _images),
    ):
        try:
            yield from look(account)
        except contract_errors.Error as error:
            yield Finding(subject, "fault", error.message)
    yield Finding("least role", "good", json.dumps({"includedPermissions": permissions()}, indent=2))


def examine_stemcell(account: Account, cloud_properties: CloudProperties) -> Iterator[Finding]:
    """Whether the image that a light stemcell names, or the disk in Cloud Storage, is there and may be read."""
    try:
        properties = read_cloud_properties(StemcellProperties, cloud_properties, ignored_keys=STEMCELL_KEYS)
        if properties.image_url:
            yield _image(account, properties.image_url)
        elif properties.source_url:
            yield _source(account, properties.source_url)
        else:
            yield Finding("stemcell", "good", "a heavy one: it passes through a bucket of its own, for which see the permissions")
    except errors.Denied as error:
        roles = "roles/compute.imageUser for an image, roles/storage.objectViewer for an object"
        yield Finding("stemcell", "fault", f"{error.message}; its owner has to grant {roles}")
    except contract_errors.Error as error:
        yield Finding("stemcell", "fault", error.message)


def _image(account: Account, url: str) -> Finding:
    found = stemcells.image_at(account, url)
    told, state = naming.partial(found["selfLink"]), found.get("deprecated", {}).get("state", "ACTIVE")
    if found.get("status", "READY") != "READY":
        return Finding("stemcell", "fault", f"{told} cannot be used: it is {found['status']}")
    if state != "ACTIVE":
        instead = naming.partial(found["deprecated"].get("replacement", "")) or "a newer one"
        return Finding("stemcell", "warning", f"{told} is {state}: its owner names {instead} instead")
    return Finding("stemcell", "good", f"{told} can be read")


def _source(account: Account, url: str) -> Finding:
    place = _SOURCE.fullmatch(url)
    if place is None:
        form = "https://storage.googleapis.com/BUCKET/OBJECT"
        raise contract_errors.CpiError(f"cloud_properties.source_url: {url!r} is no URL of an object in Cloud Storage: {form}")
    found = account.client.call("storage.objects.get", bucket=place[1], object=place[2])
    return Finding("stemcell", "good", f"{place[2]} can be read in the bucket {place[1]}: {int(found['size']) // 1024**2} MiB")


def _project(account: Account) -> Finding:
    told = account.client.call("projects.get")
    return Finding("project", "good", f"{told['name']}, as {account.client.who()}")


def _permissions(account: Account) -> Iterator[Finding]:
    wanted = permissions()
    allowed: set[str] = set()
    for begin in range(0, len(wanted), _AT_ONCE):
        body = {"permissions": wanted[begin : begin + _AT_ONCE]}
        told = account.client.call("cloudresourcemanager.projects.testIamPermissions", body, resource=account.project)
        allowed |= set(told.get("permissions", []))
    missing = [one for one in wanted if one not in allowed]
    if missing:
        needed = [one for one in missing if one not in COURTESIES]
        named = [f"{one} ({COURTESIES[one]})" if one in COURTESIES else one for one in missing]
        what = "not allowed" if needed else "not allowed, and done without"
        yield Finding(
            "permissions", "fault" if needed else "warning", f"{what}: {', '.join(named)}; the least role is printed below"
        )
    else:
        yield Finding("permissions", "good", f"all {len(wanted)} are allowed")


def _quotas(account: Account) -> Iterator[Finding]:
    places = [("the project", account.client.call("projects.get"))]
    places += [(one["name"], one) for page in account.client.pages("regions.list") for one in page.get("items", [])]
    full = []
    for place, told in places:
        watched = [one for one in told.get("quotas", []) if one["metric"] in _WATCHED and one["limit"]]
        full += [_figure(place, one) for one in watched if one["usage"] >= _NEARLY * one["limit"]]
    if full:
        yield Finding("quotas", "warning", f"nearly used up: {', '.join(full)}; raise them, or delete what is not needed")
    else:
        yield Finding("quotas", "good", f"room in the project and {len(places) - 1} regions")


def _figure(place: str, quota: dict[str, Any]) -> str:
    return f"{quota['metric']} of {place} ({quota['usage']:g} of {quota['limit']:g})"


def _zones(account: Account) -> Iterator[Finding]:
    found = [one for page in account.client.pages("zones.list") for one in page.get("items", [])]
    down = [one["name"] for one in found if one.get("status") != "UP"]
    regions = sorted({naming.region_of(one["name"]) for one in found})
    if down or not found:
        yield Finding("zones", "warning", f"not up: {', '.join(down) or 'none is reported'}")
    else:
        yield Finding("zones", "good", f"{len(found)} in {', '.join(regions)}")


def _networks(account: Account) -> Iterator[Finding]:
    found = [one["name"] for page in account.client.pages("networks.list") for one in page.get("items", [])]
    if found:
        yield Finding("networks", "good", ", ".join(found))
    else:
        yield Finding("networks", "warning", "the project has none: VMs need one, of its own or of a shared VPC's host project")


def _images(account: Account) -> Iterator[Finding]:
    found = [one for page in account.client.pages("images.list", maxResults=1) for one in page.get("items", [])]
    yield Finding("images", "good", "can be listed" if found else "none is there yet")
