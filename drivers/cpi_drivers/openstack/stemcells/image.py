"""Image files: their format, their bytes on the way, and what Glance is told and tells of them."""

import hashlib
import io
import logging
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from cpi.contract import errors
from cpi_drivers.openstack.api.states import Document
from cpi_drivers.openstack.properties import StemcellProperties

_MAGIC: Final = {"qcow2": b"QFI\xfb", "vmdk": b"KDMV"}
_TELL_EVERY_SECONDS: Final = 5.0
_NOT_PROPERTIES: Final = frozenset(
    {"image_id", "source_url", "name", "version", "disk_format", "container_format", "hypervisor", "tags", "boot_mode"}
)
_SECTOR: Final = 512

_log = logging.getLogger(__name__)


def check_format(path: Path, disk_format: str) -> None:
    """Raises CpiError for a file that cannot be read or is not of the format; a tarball is none, say."""
    try:
        with path.open("rb") as file:
            head = file.read(4)
        size = path.stat().st_size
    except OSError as error:
        raise errors.CpiError(f"the image {path} cannot be read: {error.strerror}") from error
    magic = _MAGIC.get(disk_format)
    if magic is not None and head != magic:
        raise errors.CpiError(f"the image {path} is not of the format {disk_format}: it begins with {head!r}")
    if disk_format == "raw" and (size == 0 or size % _SECTOR or head in _MAGIC.values() or head[:2] == b"\x1f\x8b"):
        raise errors.CpiError(f"the image {path} is no raw disk: {size} bytes that begin with {head!r}")


def properties_of(wish: StemcellProperties, tags: Mapping[str, Any], *, public: bool) -> dict[str, Any]:
    """What Glance is asked for; tags are properties, and tags proper too."""
    given = {
        name: value for name, value in msgspec.structs.asdict(wish).items() if name not in _NOT_PROPERTIES and value is not None
    }
    if wish.hypervisor:
        given["hypervisor_type"] = wish.hypervisor
    if wish.boot_mode == "uefi":
        given.setdefault("hw_firmware_type", "uefi")
    plain = {name: _text(value) for name, value in {**given, "version": wish.version or None}.items() if value is not None}
    return {
        **{str(key)[:255]: _text(value)[:255] for key, value in tags.items() if value is not None},
        **plain,
        "name": f"{wish.name}/{wish.version}" if wish.version else wish.name,
        "disk_format": wish.disk_format,
        "container_format": wish.container_format,
        "visibility": "public" if public else "private",
        "tags": sorted({f"{key}:{_text(value)}"[:255] for key, value in tags.items() if value is not None}),
        "multicpi-call": str(uuid.uuid4()),
    }


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class Reading(io.RawIOBase):
    """A file read once from its beginning, hashed on the way, telling how far it is."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._size = path.stat().st_size
        self._path = path
        self._sent = 0
        self._told = time.monotonic()
        self._hashes = {name: hashlib.new(name, usedforsecurity=False) for name in ("md5", "sha256", "sha512")}

    def __len__(self) -> int:
        return self._size

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        block = self._file.read(size)
        for digest in self._hashes.values():
            digest.update(block)
        self._sent += len(block)
        if time.monotonic() - self._told > _TELL_EVERY_SECONDS:
            self._told = time.monotonic()
            _log.info("%s: %d of %d MiB sent", self._path.name, self._sent >> 20, self._size >> 20)
        return block

    def readable(self) -> bool:
        """Yes."""
        return True

    def digest(self, name: str) -> str | None:
        """Of what was read; None for a hash that was not taken."""
        return self._hashes[name].hexdigest() if name in self._hashes else None

    def __enter__(self) -> Self:
        return self

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def mismatch(image: Document, sent: Reading) -> str | None:
    """What is wrong with an image that should be what was sent; Glance's own hash (os_hash_algo) decides, else its checksum."""
    algorithm = str(image.get("os_hash_algo") or "")
    for name, theirs in ((algorithm, image.get("os_hash_value")), ("md5", image.get("checksum"))):
        ours = sent.digest(name)
        if ours and theirs:
            return None if ours == theirs else f"{name} is {theirs}, and of what was sent {ours}"
    return None if image.get("size") in {None, len(sent)} else f"it has {image.get('size')} bytes instead of {len(sent)}"
