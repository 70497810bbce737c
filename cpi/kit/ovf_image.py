"""A stemcell's image file that is a tar, packed or not, of an OVF and the disks that it names."""

import contextlib
import tarfile
import zlib
from collections.abc import Iterator
from typing import IO

from cpi.contract import errors


class OvfImage:
    """One that is open."""

    def __init__(self, path: str, archive: tarfile.TarFile) -> None:
        self.path = path
        self._archive = archive
        self._members = {member.name.removeprefix("./"): member for member in archive.getmembers() if member.isfile()}
        self.descriptor = self._descriptor()
        """The OVF."""

    def size(self, name: str) -> int:
        """Bytes of a file in it."""
        return self._member(name).size

    def file(self, name: str) -> IO[bytes]:
        """A file in it, to be read from its beginning."""
        opened = self._archive.extractfile(self._member(name))
        if opened is None:
            raise errors.CpiError(f"{self.path}: {name} is no file")
        return opened

    def _descriptor(self) -> bytes:
        found = [name for name in self._members if name.endswith(".ovf")]
        if len(found) != 1:
            raise errors.CpiError(f"{self.path} is no image for this cloud: it holds {len(found)} OVF files, expected one")
        with self.file(found[0]) as file:
            return file.read()

    def _member(self, name: str) -> tarfile.TarInfo:
        if name not in self._members:
            raise errors.CpiError(f"{self.path}: its OVF names {name}, which is not in it")
        return self._members[name]


@contextlib.contextmanager
def opened(path: str) -> Iterator[OvfImage]:
    """Raises CpiError for what can not be read, or is no image."""
    with contextlib.ExitStack() as stack:
        try:
            archive = stack.enter_context(tarfile.open(path))
            image = OvfImage(path, archive)
        except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
            raise errors.CpiError(f"the image {path} can not be read: {error}") from error
        yield image
