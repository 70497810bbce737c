"""A stemcell's image file: a tar, packed or not, of an OVF and the disks that it names."""

import contextlib
import tarfile
from collections.abc import Iterator
from typing import IO

from cpi.contract import errors
from drivers.vcloud import documents


class Image:
    """One that is open."""

    def __init__(self, path: str, archive: tarfile.TarFile) -> None:
        self._path = path
        self._archive = archive
        self._members = {member.name.removeprefix("./"): member for member in archive.getmembers() if member.isfile()}
        self.descriptor = self._read_descriptor()
        self.files = [documents.attribute(file, "href") for file in documents.every(self._parsed(), "References/File")]
        for name in self.files:
            self._member(name)

    def size(self, name: str) -> int:
        """Bytes of a file in it."""
        return self._member(name).size

    def file(self, name: str) -> IO[bytes]:
        """A file in it, to be read from its beginning."""
        opened = self._archive.extractfile(self._member(name))
        if opened is None:
            raise errors.CpiError(f"{self._path}: {name} is no file")
        return opened

    def _read_descriptor(self) -> bytes:
        found = [name for name in self._members if name.endswith(".ovf")]
        if len(found) != 1:
            raise errors.CpiError(f"{self._path} is no image for vCloud: it holds {len(found)} OVF files, expected one")
        with self.file(found[0]) as file:
            return file.read()

    def _parsed(self) -> documents.Element:
        try:
            return documents.read(self.descriptor)
        except documents.Unreadable as error:
            raise errors.CpiError(f"{self._path}: its OVF can not be read: {error}") from error

    def _member(self, name: str) -> tarfile.TarInfo:
        if name not in self._members:
            raise errors.CpiError(f"{self._path}: its OVF names {name}, which is not in it")
        return self._members[name]


@contextlib.contextmanager
def opened(path: str) -> Iterator[Image]:
    """Raises CpiError for what can not be read, or is no image."""
    try:
        archive = tarfile.open(path)  # noqa: SIM115 - closed below
    except (OSError, tarfile.TarError) as error:
        raise errors.CpiError(f"the image {path} can not be read: {error}") from error
    with archive:
        yield Image(path, archive)
