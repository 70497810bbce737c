"""Names: CIDs, and the URLs of things.

A CID is the name of the thing at Google, as with the official CPI. The name of a disk ends with its zone and that of a network
with its region, so that no look-up has to come before a call; a CID without is looked for.
"""

import hashlib
import re
import uuid
from typing import Final

NAME: Final = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
_DISK: Final = re.compile(r"disk-[0-9a-f]{24}-([a-z]+-[a-z]+\d+-[a-z])")
_NETWORK: Final = re.compile(r"network-[0-9a-f]{24}-([a-z]+-[a-z]+\d+)")
_DIGITS: Final = 24


def is_name(cid: str) -> bool:
    """Whether Google could have a thing of that name."""
    return bool(NAME.fullmatch(cid))


def disk_name(zone: str, seed: str) -> str:
    """The same for the same seed."""
    return f"disk-{digest(seed)}-{zone}"


def network_name(region: str) -> str:
    """A new one."""
    return f"network-{uuid.uuid4().hex[:_DIGITS]}-{region}"


def vm_name(seed: str) -> str:
    """The same for the same seed."""
    return f"vm-{uuid.uuid5(uuid.NAMESPACE_OID, seed)}"


def zone_of_disk(cid: str) -> str | None:
    """The zone that the name of a disk tells."""
    found = _DISK.fullmatch(cid)
    return found[1] if found else None


def region_of_network(cid: str) -> str | None:
    """The region that the name of a network tells."""
    found = _NETWORK.fullmatch(cid)
    return found[1] if found else None


def region_of(zone: str) -> str:
    """europe-west1 of europe-west1-b."""
    return zone.rpartition("-")[0]


def last(url: str) -> str:
    """The name at the end of a URL."""
    return url.rstrip("/").rpartition("/")[2]


def partial(url: str) -> str:
    """`projects/…` of a full URL."""
    return url[url.index("projects/") :] if "projects/" in url else url


def request_id(*parts: object) -> str:
    """The same for the same parts: Google answers a repeat with the operation that it began before."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, "\0".join(map(str, parts))))


def digest(seed: str) -> str:
    """A short name for anything."""
    return hashlib.sha256(seed.encode()).hexdigest()[:_DIGITS]
