"""The disk image inside a stemcell's image file: raw, gzip, or a tar (packed or not) with the one file `root.img`."""

import contextlib
import gzip
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from cpi.contract import errors

_GZIP: Final = b"\x1f\x8b"
_TAR_AT: Final = 257
_TAR: Final = b"ustar"
_SECTOR: Final = 512
_BOOT_SIGNATURE: Final = b"\x55\xaa"


class Stream(Protocol):
    """What can be read from front to back."""

    def read(self, count: int, /) -> bytes:
        """As many bytes, or fewer."""


class Image:
    """A disk image read from front to back."""

    def __init__(self, stream: Stream, size: int | None) -> None:
        self._stream = stream
        self._ahead = b""
        self.size = size
        """In bytes, if it is known before it is read."""

    def read(self, count: int) -> bytes:
        """As many bytes, fewer at the end. Raises CpiError if the file is damaged."""
        try:
            parts, self._ahead = [self._ahead[:count]], self._ahead[count:]
            count -= len(parts[0])
            while count > 0 and (part := self._stream.read(count)):
                parts.append(part)
                count -= len(part)
            return b"".join(parts)
        except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
            raise errors.CpiError(f"the stemcell's image is damaged: {error}") from error

    def check(self, where: str) -> None:
        """Raises CpiError if it begins with no boot sector: EC2 would boot nothing of it."""
        self._ahead = self.read(_SECTOR)
        if self._ahead[-2:] != _BOOT_SIGNATURE or len(self._ahead) < _SECTOR:
            raise errors.CpiError(f"the stemcell's image {where} is no raw disk image: it has no boot sector")


@contextlib.contextmanager
def open_image(image_path: str) -> Iterator[Image]:
    """The disk image in a file. Raises CpiError if there is none."""
    path = Path(image_path)
    with contextlib.ExitStack() as stack:
        try:
            packed = _starts_with(path, _GZIP)
            head = _opened(stack, path, packed=packed)
            is_tar = head.read(_TAR_AT + len(_TAR))[_TAR_AT:] == _TAR
            image = _from_tar(stack, path) if is_tar else _plain(stack, path, packed=packed)
        except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
            raise errors.CpiError(f"the stemcell's image {image_path} cannot be read: {error}") from error
        if image.size == 0:
            raise errors.CpiError(
                f"the stemcell's image {image_path} is empty, and cloud_properties.ami is missing: a light stemcell names an AMI"
            )
        image.check(image_path)
        yield image


def _plain(stack: contextlib.ExitStack, path: Path, *, packed: bool) -> Image:
    return Image(_opened(stack, path, packed=packed), None if packed else path.stat().st_size)


def _opened(stack: contextlib.ExitStack, path: Path, *, packed: bool) -> Stream:
    if packed:
        return stack.enter_context(gzip.GzipFile(path, "rb"))
    return stack.enter_context(path.open("rb"))


def _starts_with(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def _from_tar(stack: contextlib.ExitStack, path: Path) -> Image:
    archive = stack.enter_context(tarfile.open(path, "r|*"))  # noqa: SIM115 - the stack closes it
    for member in archive:
        if member.isfile() and member.name.removeprefix("./").endswith((".img", ".raw", "image")):
            content = archive.extractfile(member)
            if content is not None:
                return Image(content, member.size)
    raise errors.CpiError(f"the stemcell's image {path} is a tar without root.img in it")
