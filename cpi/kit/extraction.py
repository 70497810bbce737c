"""A tarball into a folder: whatever the tarball says, nothing of it lands outside of that folder.

Each member is made in a folder that is held open and was reached without following a link (openat, O_NOFOLLOW). So no chain of
links, however long, leads out of it: CVE-2025-4517 and its kin have nothing to work on.
"""

import contextlib
import errno
import lzma
import math
import os
import posixpath
import stat
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, Self

from cpi.contract import errors

_PIECE: Final = 1024 * 1024
_BROKEN: Final = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError, OverflowError)
_NOT_HERE: Final = frozenset({errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.ENOSPC, errno.E2BIG})
_NO_NAME: Final = frozenset({errno.ENAMETOOLONG, errno.EILSEQ})
_XATTR: Final = "SCHILY.xattr."  # as GNU tar, bsdtar and star write extended attributes
_LONG_HEADERS: Final = frozenset({tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, b"X"})
_LONGEST_HEADER: Final = _PIECE
_SHOWN: Final = 5
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NOT_OURS_TO_GIVE: Final = stat.S_ISUID | stat.S_ISGID


class Refused(ValueError):
    """What no honest image holds."""


@dataclass(frozen=True)
class Limits:
    """More than any image of a root file system has. Sizes in bytes; data counts no holes."""

    members: int = 2_000_000
    data: int = 256 << 30
    file: int = 16 << 40
    path: int = 4096
    depth: int = 256


@dataclass
class LeftOut:
    """What this user or this file system cannot keep: the kind, and the first members it happened to."""

    counts: Counter[str] = field(default_factory=Counter)
    names: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, name: str) -> None:
        """Remember one."""
        self.counts[kind] += 1
        if self.counts[kind] <= _SHOWN:
            self.names.setdefault(kind, []).append(name)

    def __str__(self) -> str:
        more = {kind: ", …" if count > _SHOWN else "" for kind, count in self.counts.items()}
        return "; ".join(f"{count} {kind}: {', '.join(self.names[kind])}{more[kind]}" for kind, count in self.counts.items())


class BoundedMember(tarfile.TarInfo):
    """A header's own length is bounded: tarfile reads a long name into memory, however long it says it is."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Raises Refused, a ValueError."""
        member = super().frombuf(buf, encoding, errors)
        if member.type in _LONG_HEADERS and member.size > _LONGEST_HEADER:
            raise Refused(f"a header of {member.size} bytes")
        return member


def extract(tarball: Path, folder: Path, limits: Limits = Limits()) -> LeftOut:
    """Unpack a tarball (plain, gzip, bzip2 or xz) into an empty folder.

    Given:   folder exists and is empty.
    Then:    every member lies inside it, with owner, mode, times and extended attributes; absolute links lead into the folder.
             Without root, owners, setuid, setgid and device nodes are left out; what was left out is returned.
    Raises:  CpiError if it is not a complete tarball, leads out of the folder, or exceeds the limits. The folder may then
             hold a part of it.
    """
    try:
        with contextlib.ExitStack() as stack:
            root = os.open(folder, _FOLDER)
            stack.callback(os.close, root)
            archive = stack.enter_context(tarfile.open(tarball, "r:*", tarinfo=BoundedMember))
            extraction = _Extraction(archive, root, limits)
            extraction.run()
            _check_end(archive)
            return extraction.left_out
    except Refused as error:
        raise errors.CpiError(f"the image {tarball} is refused: it contains {error}") from error
    except _BROKEN as error:
        raise errors.CpiError(f"the image {tarball} is not a complete tarball: {error}") from error
    except OSError as error:
        if error.errno is None:  # this is how gzip and bz2 report damaged data
            raise errors.CpiError(f"the image {tarball} is not a complete tarball: {error}") from error
        if error.errno in _NO_NAME:
            raise errors.CpiError(
                f"the image {tarball} is refused: it contains a name that cannot be made here: {error}"
            ) from error
        raise


def _check_end(archive: tarfile.TarFile) -> None:
    """tarfile takes the end of the file for the end of the archive, and does not look at the checksums behind it."""
    content = archive.fileobj
    if content.tell() - archive.offset < tarfile.BLOCKSIZE:
        raise tarfile.ReadError("it ends too early")
    while content.read(_PIECE):
        pass


class _Extraction:
    def __init__(self, archive: tarfile.TarFile, root: int, limits: Limits) -> None:
        self._archive, self._root, self._limits = archive, root, limits
        self._is_root = os.geteuid() == 0
        self._folders: dict[tuple[str, ...], tarfile.TarInfo] = {}
        self._made: dict[tuple[str, ...], tuple[int, int]] = {}
        self._data = 0
        self.left_out = LeftOut()

    def run(self) -> None:
        """Member by member; folders get their owners, modes and times last, so that what lies in them can be made."""
        count = 0
        while (member := self._archive.next()) is not None:
            self._archive.members.clear()  # type: ignore[attr-defined]  # it keeps all that it has seen
            count += 1
            if count > self._limits.members:
                raise Refused(f"more than {self._limits.members} members")
            self._member(member)
        for parts, member in sorted(self._folders.items(), reverse=True):
            with self._opened(parts) as folder:
                self._attributes(folder, member)

    def _member(self, member: tarfile.TarInfo) -> None:
        parts = self._parts(member.name)
        if member.isdir():
            with self._opened(parts):
                self._folders[parts] = member
            return
        if not parts:
            raise Refused(f"{member.name!r}, which is not a file name")
        with self._opened(parts[:-1]) as parent:
            self._remove(parent, parts)
            if member.islnk():
                self._hard_link(member, parent, parts)
            elif self._made_new(member, parent, parts[-1]):
                made = os.stat(parts[-1], dir_fd=parent, follow_symlinks=False)
                self._made[parts] = (made.st_dev, made.st_ino)

    def _made_new(self, member: tarfile.TarInfo, parent: int, name: str) -> bool:
        if member.isreg():
            self._file(member, parent, name)
        elif member.issym():
            os.symlink(self._target(member), name, dir_fd=parent)
            self._owner(member, name, parent)
        elif member.isfifo() or member.isdev():
            return self._node(member, parent, name)
        else:
            self.left_out.add("members of an unknown kind", member.name)
            return False
        return True

    # ------------------------------------------------------------------ where

    def _parts(self, name: str) -> tuple[str, ...]:
        """Raises Refused."""
        parts = tuple(part for part in name.split("/") if part not in {"", "."})
        if ".." in parts or "\0" in name:
            raise Refused(f"{_short(name)}, which leads out of it")
        if len(os.fsencode(name)) > self._limits.path or len(parts) > self._limits.depth:
            raise Refused(f"a path that is too long or too deep: {_short(name)}")
        return parts

    @contextlib.contextmanager
    def _opened(self, parts: tuple[str, ...]) -> Iterator[int]:
        """The folder of that path, made if it is missing; no link is followed. Raises Refused."""
        folder = os.dup(self._root)
        try:
            for part in parts:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o755, dir_fd=folder)
                try:
                    inner = os.open(part, _FOLDER, dir_fd=folder)
                except OSError as error:
                    if error.errno in {errno.ELOOP, errno.ENOTDIR}:
                        raise Refused(
                            f"{_short('/'.join(parts))}, whose path goes through something that is not a folder"
                        ) from error
                    raise
                os.close(folder)
                folder = inner
            yield folder
        finally:
            os.close(folder)

    def _target(self, member: tarfile.TarInfo) -> str:
        """Where a link leads, from where it lies. One from the root of the image leads into the image. Raises Refused."""
        parent = "/".join(self._parts(member.name)[:-1])
        if posixpath.isabs(member.linkname):
            return posixpath.relpath(posixpath.normpath(member.linkname), posixpath.join("/", parent))
        if posixpath.normpath(posixpath.join(parent, member.linkname)).split("/")[0] == "..":
            raise Refused(f"the link {_short(member.name)}, which leads out of it")
        return member.linkname

    # ------------------------------------------------------------------ what

    def _remove(self, parent: int, parts: tuple[str, ...]) -> None:
        """A later member takes the place of an earlier one, as tar does it. Raises Refused for a folder."""
        self._made.pop(parts, None)
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISDIR(os.stat(parts[-1], dir_fd=parent, follow_symlinks=False).st_mode):
                raise Refused(f"{_short('/'.join(parts))}, which would replace a folder")
            os.unlink(parts[-1], dir_fd=parent)

    def _file(self, member: tarfile.TarInfo, parent: int, name: str) -> None:
        if not 0 <= member.size <= self._limits.file:
            raise Refused(f"{_short(member.name)}, a file of {member.size} bytes")
        with os.fdopen(os.open(name, _FILE, 0o600, dir_fd=parent), "wb") as file:
            self._content(member, file)
            self._attributes(file.fileno(), member)

    def _content(self, member: tarfile.TarInfo, file: IO[bytes]) -> None:
        source = self._archive.extractfile(member)
        if source is None:
            return
        sparse = getattr(member, "sparse", None)
        pieces = [(0, member.size)] if sparse is None else sparse
        for offset, size in pieces:
            self._data += size
            if self._data > self._limits.data or offset + size > member.size:
                raise Refused(f"more than {self._limits.data} bytes, or a piece beyond the end of {_short(member.name)}")
            source.seek(offset)
            file.seek(offset)
            _copy(source, file, size)
        file.truncate(member.size)
        file.flush()

    def _hard_link(self, member: tarfile.TarInfo, parent: int, parts: tuple[str, ...]) -> None:
        """Only to what this tarball brought, and only if it is still the same file."""
        source = self._parts(member.linkname)
        if source not in self._made or source == parts:
            raise Refused(f"the hard link {_short(member.name)} to a file that is not in the image: {_short(member.linkname)}")
        with self._opened(source[:-1]) as folder:
            there = os.stat(source[-1], dir_fd=folder, follow_symlinks=False)
            if (there.st_dev, there.st_ino) != self._made[source]:
                raise Refused(f"the hard link {_short(member.name)} to a file that changed meanwhile: {_short(member.linkname)}")
            os.link(source[-1], parts[-1], src_dir_fd=folder, dst_dir_fd=parent, follow_symlinks=False)
        self._made[parts] = self._made[source]

    def _node(self, member: tarfile.TarInfo, parent: int, name: str) -> bool:
        kind = stat.S_IFIFO if member.isfifo() else stat.S_IFCHR if member.ischr() else stat.S_IFBLK
        device = 0 if member.isfifo() else os.makedev(member.devmajor, member.devminor)
        try:
            os.mknod(name, kind | 0o600, device, dir_fd=parent)
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
            self.left_out.add("device nodes", member.name)
            return False
        self._owner(member, name, parent)
        os.chmod(name, self._mode(member), dir_fd=parent)  # it was made here, and is no link
        return True

    # ------------------------------------------------------------------ what belongs to it

    def _attributes(self, made: int, member: tarfile.TarInfo) -> None:
        self._owner(member, made)
        for name, value in _xattrs(member.pax_headers).items():
            with self._keeping(f"extended attributes {name}", member):
                os.setxattr(made, name, value)
        os.fchmod(made, self._mode(member))
        with self._keeping("times", member):
            os.utime(made, ns=(_nanoseconds(member.mtime),) * 2)

    def _owner(self, member: tarfile.TarInfo, name: str | int, parent: int | None = None) -> None:
        if not self._is_root:
            return
        with self._keeping("owners", member):
            if isinstance(name, int):
                os.fchown(name, member.uid, member.gid)
            else:
                os.chown(name, member.uid, member.gid, dir_fd=parent, follow_symlinks=False)

    def _mode(self, member: tarfile.TarInfo) -> int:
        mode = member.mode & 0o7777
        if not self._is_root and mode & _NOT_OURS_TO_GIVE:
            self.left_out.add("setuid and setgid", member.name)
            return mode & ~_NOT_OURS_TO_GIVE
        return mode

    @contextlib.contextmanager
    def _keeping(self, kind: str, member: tarfile.TarInfo) -> Iterator[None]:
        try:
            yield
        except (OSError, OverflowError) as error:
            if isinstance(error, OSError) and error.errno not in _NOT_HERE:
                raise
            self.left_out.add(kind, member.name)


def _copy(source: IO[bytes], target: IO[bytes], size: int) -> None:
    left = size
    while left > 0:
        data = source.read(min(left, _PIECE))
        if not data:
            raise tarfile.ReadError("it ends too early")
        target.write(data)
        left -= len(data)


def _xattrs(headers: Mapping[str, str]) -> dict[str, bytes]:
    found = {name.removeprefix(_XATTR): value for name, value in headers.items() if name.startswith(_XATTR)}
    return {name: value.encode("utf-8", "surrogateescape") for name, value in found.items()}


def _nanoseconds(seconds: float) -> int:
    whole = math.floor(seconds)
    return whole * 1_000_000_000 + int((seconds - whole) * 1_000_000_000)


def _short(name: str) -> str:
    return repr(name if len(name) <= 200 else f"{name[:100]}…{name[-80:]}")  # noqa: PLR2004 - as much as one reads
