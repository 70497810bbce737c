"""A tarball into a folder: nothing of it lands outside, whatever it holds."""

import lzma
import os
import posixpath
import tarfile
import zlib
from pathlib import Path
from typing import Final

from cpi.contract import errors

if not hasattr(tarfile, "data_filter"):  # Python before 3.11.4, which is what Debian 12 has
    from backports import tarfile  # type: ignore[no-redef]  # the same module of a later Python

_PIECE: Final = 1024 * 1024
_BROKEN: Final = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, UnicodeError)


def unpack(tarball: Path, folder: Path) -> None:
    """Plain, gzip, bzip2 or xz. Raises CpiError for what is no tarball, ends too early, or would lead out of the folder."""
    try:
        with tarfile.open(tarball, "r:*") as archive:
            archive.extractall(folder, filter=_inside)  # noqa: S202 - the filter keeps everything inside
            _check_end(archive)
    except tarfile.FilterError as error:
        raise errors.CpiError(f"the stemcell's image {tarball} is refused: {error}") from error
    except _BROKEN as error:
        raise errors.CpiError(f"the stemcell's image {tarball} is no whole tarball: {error}") from error
    except OSError as error:
        if error.errno is None:
            raise errors.CpiError(f"the stemcell's image {tarball} is no whole tarball: {error}") from error
        raise


def _check_end(archive: tarfile.TarFile) -> None:
    """tarfile takes the end of the file for the end of the archive, and does not look at the checksums behind it."""
    content = archive.fileobj
    if content.tell() - archive.offset < tarfile.BLOCKSIZE:
        raise tarfile.ReadError("it ends too early")
    while content.read(_PIECE):
        pass


def _inside(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo | None:
    if member.isdev():
        # a VM here sees the devices of its machine
        return None
    if member.issym() and posixpath.isabs(member.linkname):
        # a link from the root of the image leads into the image, wherever it lies
        parent = posixpath.dirname(posixpath.normpath(member.name.lstrip("/")))
        member = member.replace(linkname=posixpath.relpath(member.linkname, posixpath.join("/", parent)), deep=False)
    return tarfile.data_filter(member, os.fspath(folder))
