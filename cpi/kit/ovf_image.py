"""A stemcell's image file that is a tar, packed or not, of an OVF and the disks that it names."""

import contextlib
import re
import tarfile
import zlib
from collections.abc import Iterator
from typing import IO, Final

from cpi.contract import errors
from cpi.kit.extraction import BoundedMember

_MOST_FILES: Final = 1000
_LARGEST_DESCRIPTOR: Final = 4 * 2**20
_DECLARATION: Final = re.compile(rb"<!(DOCTYPE|ENTITY)", re.IGNORECASE)


class OvfImage:
    """One that is open."""

    def __init__(self, path: str, archive: tarfile.TarFile) -> None:
        self.path = path
        self._archive = archive
        self._members = {member.name.removeprefix("./"): member for member in self._few() if member.isfile()}
        self.descriptor = self._descriptor()
        """The OVF."""

    def size(self, name: str) -> int:
        """Bytes of a file in it."""
        return self._member(name).size

    def file(self, name: str) -> IO[bytes]:
        """A file in it, to be read from its beginning."""
        opened = self._archive.extractfile(self._member(name))
        if opened is None:
            raise errors.CpiError(f"{self.path}: {name} is not a file")
        return opened

    def _descriptor(self) -> bytes:
        found = [name for name in self._members if name.endswith(".ovf")]
        if len(found) != 1:
            raise errors.CpiError(f"{self.path} is not an image for this cloud: it contains {len(found)} OVF files, expected one")
        if self.size(found[0]) > _LARGEST_DESCRIPTOR:
            raise errors.CpiError(f"{self.path} is refused: its OVF is larger than {_LARGEST_DESCRIPTOR} bytes")
        with self.file(found[0]) as file:
            descriptor = file.read()
        try:
            descriptor.decode()
        except UnicodeDecodeError as error:
            raise errors.CpiError(f"{self.path} is refused: its OVF is not UTF-8 (byte {error.start})") from error
        if _DECLARATION.search(descriptor):  # who reads it, here or in the cloud, would expand them, or open what they name
            raise errors.CpiError(f"{self.path} is refused: its OVF declares a document type or entities")
        return descriptor

    def _few(self) -> Iterator[tarfile.TarInfo]:
        for count, member in enumerate(self._archive):
            if count >= _MOST_FILES:
                raise errors.CpiError(f"{self.path} is refused: it contains more than {_MOST_FILES} files")
            yield member

    def _member(self, name: str) -> tarfile.TarInfo:
        if name not in self._members:
            raise errors.CpiError(f"{self.path}: its OVF refers to {name}, which is not in the image")
        return self._members[name]


@contextlib.contextmanager
def opened(path: str) -> Iterator[OvfImage]:
    """Raises CpiError for what cannot be read, or is no image."""
    with contextlib.ExitStack() as stack:
        try:
            archive = stack.enter_context(tarfile.open(path, tarinfo=BoundedMember))
            image = OvfImage(path, archive)
        except (OSError, EOFError, zlib.error, ValueError, tarfile.TarError) as error:
            raise errors.CpiError(f"the image {path} cannot be read: {error}") from error
        yield image
