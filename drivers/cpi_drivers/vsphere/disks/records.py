"""What is known of a disk beside its VMDK: a small file of its name keeps who has it, and its metadata.

vSphere keeps no metadata for a VMDK, and cannot tell which VM holds one without looking at every VM.
"""

import json
from collections.abc import Mapping

import msgspec

from cpi.contract.encoding import from_json
from cpi_drivers.vsphere.api.files import Files


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """The content of the file."""

    attached_to: str | None = None
    """The CID of the VM that it was last attached to; whether it still is, the VM tells."""

    moved_to: str | None = None
    """Where the VMDK is, from the moment that it is taken from a VM until it has its own name again."""

    kind: str | None = None
    """The disk's type, as it was made or changed; a VMDK does not tell more than whether it is thin."""

    policy: str | None = None
    """The id of the disk's storage policy: a VM that gets the disk is told of it."""

    metadata: Mapping[str, str] = {}


def path_of(folder: str, name: str) -> str:
    """Of the file, on the datastore of the VMDK."""
    return f"{folder}/{name}.json"


def read(files: Files, store: str, path: str) -> Record:
    """An empty one if there is none, or none that can be read."""
    content = files.read(store, path)
    try:
        return from_json(content or b"{}", Record)
    except msgspec.MsgspecError:
        return Record()


def write(files: Files, store: str, path: str, record: Record) -> None:
    """In place of what was there."""
    files.write(store, path, json.dumps(msgspec.to_builtins(record)).encode())
