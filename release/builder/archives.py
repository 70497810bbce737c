"""Archives whose bytes depend on what is in them and on nothing else."""

import gzip
import io
import tarfile
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

PLAIN: Final = 0o644
PROGRAM: Final = 0o755
_WHEN: Final = 1577836800  # the first second of 2020: before what is made of the files


class Entry(NamedTuple):
    """A file of an archive."""

    name: str
    content: bytes
    mode: int = PLAIN


def entry_of(path: Path, name: str) -> Entry:
    """A file of this machine; of its mode, whether it is a program."""
    return Entry(name, path.read_bytes(), PROGRAM if path.stat().st_mode & 0o100 else PLAIN)


def packed(entries: Iterable[Entry], *, level: int = 9) -> bytes:
    """A .tgz as BOSH takes it: sorted, with the folders, owned by root."""
    told = sorted(entries)
    folders = {str(parent) for entry in told for parent in Path(entry.name).parents}
    buffer = io.BytesIO()
    with (
        gzip.GzipFile("", "wb", compresslevel=level, fileobj=buffer, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.GNU_FORMAT) as tar,
    ):
        for folder in sorted(folders):
            tar.addfile(_member("./" if folder == "." else f"./{folder}", tarfile.DIRTYPE, PROGRAM))
        for entry in told:
            member = _member(f"./{entry.name}", tarfile.REGTYPE, entry.mode)
            member.size = len(entry.content)
            tar.addfile(member, io.BytesIO(entry.content))
    return buffer.getvalue()


def fingerprint(name: str, entries: Iterable[Entry], dependencies: Iterable[str] = ()) -> str:
    """What a job or a package is known by: another one for every other content."""
    digest = sha256(f"{name}\0".encode())
    for entry in sorted(entries):
        digest.update(f"{entry.name}\0{entry.mode:o}\0{sha256(entry.content).hexdigest()}\0".encode())
    digest.update("\0".join(sorted(dependencies)).encode())
    return digest.hexdigest()


def _member(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.mtime = kind, mode, _WHEN
    member.uname = member.gname = "root"
    return member
