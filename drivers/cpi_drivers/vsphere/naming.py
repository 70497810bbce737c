"""Names of what is made, and what a disk's CID says."""

import base64
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from cpi.contract.model import Env

_NAMES: Final = uuid.UUID("8f0e6d3c-2f83-4a6e-9a57-1d6f1f9c0a11")
_FILE_NAME: Final = re.compile(r"^[\w][\w.\-]*$", re.ASCII)
_UUID: Final = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", re.IGNORECASE)
_FCD: Final = "fcd-"
FCD_FILE: Final = "first-class"
"""What the name of a First Class Disk's file begins with."""

_LONGEST_NAME: Final = 80
_TAIL: Final = 13


def name_of(kind: str, token: str | None) -> str:
    """A name that nothing else has; the same one for the same token."""
    return f"{kind}-{uuid.uuid5(_NAMES, token) if token else uuid.uuid4()}"


def readable_name(env: Env | None, plain: str) -> str:
    """`db_cf_<12 characters>` where env names group and deployment; else plain. The tail is that of plain."""
    groups: Sequence[Any] = ((env or {}).get("bosh") or {}).get("groups") or ()
    if len(groups) < 3:  # noqa: PLR2004 - director, deployment, instance group, and what is made of them
        return plain
    words = (re.sub(r"[^\w-]", "-", str(word), flags=re.ASCII) for word in (groups[2], groups[1]))
    return "_".join(words)[: _LONGEST_NAME - _TAIL] + "_" + plain[-_TAIL + 1 :]


def is_stemcell(cid: str) -> bool:
    """Whether it is the name of a stemcell, as this CPI and the official one call them."""
    return cid.startswith("sc-")


def escaped(name: str) -> str:
    """As a part of an inventory path."""
    return name.replace("%", "%25").replace("/", "%2f").replace("\\", "%5c")


def replica_name(stemcell_cid: str, datastore_id: str) -> str:
    """A stemcell's copy on another datastore, as the official CPI calls it."""
    return f"{stemcell_cid} / {datastore_id}"


def fcd_cid(identity: str) -> str:
    """The CID of a First Class Disk."""
    return f"{_FCD}{identity}"


def fcd_id(cid: str) -> str | None:
    """The vCenter's id of a First Class Disk; None for the CID of a VMDK."""
    identity = cid.removeprefix(_FCD)
    return identity if cid.startswith(_FCD) and is_id(identity) else None


def fcd_snapshot_cid(identity: str, disk: str) -> str:
    """The CID of a First Class Disk's snapshot: both are needed to find it."""
    return f"snapshot-{identity}.{disk}"


def fcd_snapshot(cid: str) -> tuple[str, str] | None:
    """The ids of a snapshot and of its First Class Disk; None for a copy of a VMDK."""
    identity, _, disk = cid.removeprefix("snapshot-").partition(".")
    return (identity, disk) if cid.startswith("snapshot-") and is_id(identity) and is_id(disk) else None


def is_id(text: str) -> bool:
    """Whether it is a UUID."""
    return bool(_UUID.match(text))


class DiskName(NamedTuple):
    """What a disk's CID says."""

    cid: str
    file: str
    """The VMDK's name, without its ending."""

    pattern: str | None
    """A regular expression for datastores, if the disk was made with one."""

    @property
    def is_possible(self) -> bool:
        """Whether a file could be called so."""
        return bool(_FILE_NAME.match(self.file))


def disk_name(cid: str) -> DiskName:
    """`disk-<uuid>`, or `disk-<uuid>.<base64 of {"target_datastore_pattern": …}>`."""
    file, _, encoded = cid.partition(".")
    try:
        wanted: Any = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))) if encoded else {}
    except ValueError:
        return DiskName(cid, cid, None)
    if not isinstance(wanted, Mapping):
        return DiskName(cid, cid, None)
    return DiskName(cid, file, wanted.get("target_datastore_pattern"))


def pattern_of(datastores: Sequence[str]) -> str:
    """A regular expression for datastores of these names alone."""
    return f"^({'|'.join(re.escape(name) for name in datastores)})$"


def disk_cid(file: str, datastores: Sequence[str]) -> str:
    """The CID that says it."""
    if not datastores:
        return file
    wanted = json.dumps({"target_datastore_pattern": pattern_of(datastores)})
    return f"{file}.{base64.urlsafe_b64encode(wanted.encode()).decode().rstrip('=')}"
