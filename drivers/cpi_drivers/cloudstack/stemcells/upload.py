"""A template's file on its way to the cloud: read piece by piece, wrapped as a form."""

import io
import logging
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

from cpi.contract import errors

_TELL_EVERY_SECONDS: Final = 5.0
_BLOCK: Final = 1 << 20
_GZIP: Final = b"\x1f\x8b"
_MAGIC: Final = {"QCOW2": b"QFI\xfb", "VHDX": b"vhdxfile"}

_log = logging.getLogger(__name__)


def file_name(path: Path, form: str) -> str:
    """The name it is sent under: the cloud reads format and compression from its end. Raises CpiError."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise errors.CpiError(f"the image {path} cannot be read: {error.strerror}") from error
    if head.startswith(_GZIP):
        return f"image.{form.lower()}.gz"
    magic = _MAGIC.get(form)
    if not head or (magic is not None and not head.startswith(magic)):
        raise errors.CpiError(f"the image {path} is not of the format {form}: it begins with {head!r}")
    return f"image.{form.lower()}"


class Form:
    """A form with one file in it, as long as it says, never whole in memory."""

    def __init__(self, path: Path, name: str) -> None:
        boundary = f"multicpi-{uuid.uuid4().hex}"
        self.content_type = f"multipart/form-data; boundary={boundary}"
        disposition = f'Content-Disposition: form-data; name="file"; filename="{name}"'
        self._head = io.BytesIO(f"--{boundary}\r\n{disposition}\r\nContent-Type: application/octet-stream\r\n\r\n".encode())
        self._tail = io.BytesIO(f"\r\n--{boundary}--\r\n".encode())
        self._path = path
        self._size = path.stat().st_size
        self._file = path.open("rb")
        self._told = time.monotonic()

    def __len__(self) -> int:
        return len(self._head.getbuffer()) + self._size + len(self._tail.getbuffer())

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes; tells now and then how far it is."""
        block = self._head.read(size) or self._file.read(size) or self._tail.read(size)
        if time.monotonic() - self._told > _TELL_EVERY_SECONDS:
            self._told = time.monotonic()
            _log.info("%s: %d of %d MiB sent", self._path.name, self._file.tell() >> 20, self._size >> 20)
        return block

    def __iter__(self) -> Iterator[bytes]:
        """By this requests knows that it can be sent as a stream."""
        return iter(lambda: self.read(_BLOCK), b"")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
