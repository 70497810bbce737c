"""A judge of moves that knows nothing of them: a picture of a tree before and one after, and in what they differ.

    python -m tests.migration.checker TREE >before.json
    python -m tests.migration.checker TREE >after.json
    python -m tests.migration.checker before.json after.json

It walks by descriptors of folders, so that no path is too long for it, and reads what lies on the disk: names as bytes,
content, kinds, owners, modes, times, links, attributes, flags, project ids, devices, where data is and how much is allocated.
"""

import array
import contextlib
import errno
import fcntl
import hashlib
import json
import os
import stat
import struct
import sys
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any, Final

Picture = dict[str, dict[str, Any]]

# What a filesystem may allocate more on another block size, and for attributes of its own.
_SLACK: Final = 256 * 1024
_SLACK_SHARE: Final = 16
_CHUNK: Final = 1 << 20
_LETTERS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_GET_FLAGS: Final = 0x80086601
_GET_XATTR: Final = 0x801C581F
# immutable, append-only, no dump, no atime, both synchronous, data journalled, top of a hierarchy, project inherited
_KEPT_FLAGS: Final = 0x10 | 0x20 | 0x40 | 0x80 | 0x8 | 0x10000 | 0x4000 | 0x20000 | 0x20000000
_GONE: Final = "lost+found"


def picture(top: Path, *, without: Container[str] = ()) -> Picture:
    """All that is below top. Names in the root that are in `without` are passed by."""
    found: Picture = {}
    inodes: dict[int, list[str]] = {}
    root = os.open(top, _LETTERS | os.O_DIRECTORY)
    try:
        device = os.fstat(root).st_dev
        found["."] = _about(root, b".", os.fstat(root))
        for name, status, about in _below(root, b"", device):
            if name.split("/")[0] not in without:
                found[name] = about
                if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                    inodes.setdefault(status.st_ino, []).append(name)
    finally:
        os.close(root)
    for names in inodes.values():
        for name in names:
            found[name]["same file"] = sorted(names)
    return found


def _below(folder: int, prefix: bytes, device: int) -> Iterator[tuple[str, os.stat_result, dict[str, Any]]]:
    for entry in sorted(os.listdir(folder)):
        name = os.fsencode(entry)
        path = prefix + name
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except OSError as error:
            yield _written(path), os.stat_result([0] * 10), {"unreadable": errno.errorcode[error.errno or 0]}
            continue
        yield _written(path), status, _about(folder, name, status)
        if stat.S_ISDIR(status.st_mode) and status.st_dev == device:
            with _opened(folder, name) as inner:
                yield from _below(inner, path + b"/", device)


@contextlib.contextmanager
def _opened(folder: int, name: bytes) -> Iterator[int]:
    descriptor = os.open(name, _LETTERS, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _about(folder: int, name: bytes, status: os.stat_result) -> dict[str, Any]:
    about: dict[str, Any] = {
        "kind": stat.filemode(status.st_mode)[0],
        "mode": oct(stat.S_IMODE(status.st_mode)),
        "owner": [status.st_uid, status.st_gid],
        "changed": status.st_mtime_ns,
        "attributes": _attributes(folder, name),
    }
    if not stat.S_ISDIR(status.st_mode):
        about["links"] = status.st_nlink
    if stat.S_ISLNK(status.st_mode):
        about["to"] = _written(os.readlink(name, dir_fd=folder))
    elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        about["device"] = [os.major(status.st_rdev), os.minor(status.st_rdev)]
    elif stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
        with _opened(folder, name) as file:
            about |= _inside(file)
            if stat.S_ISREG(status.st_mode):
                about |= {"size": status.st_size, "allocated": status.st_blocks * 512, "bytes": _content(file, status.st_size)}
    return about


def _attributes(folder: int, name: bytes) -> dict[str, str]:
    path = os.fsencode(f"/proc/self/fd/{folder}/") + name
    try:
        names = os.listxattr(path, follow_symlinks=False)
        return {key: os.getxattr(path, key, follow_symlinks=False).hex() for key in sorted(names)}
    except OSError as error:
        return {} if error.errno == errno.EOPNOTSUPP else {"unreadable": errno.errorcode[error.errno or 0]}


def _inside(file: int) -> dict[str, Any]:
    flags, more = array.array("q", [0]), bytearray(28)
    try:
        fcntl.ioctl(file, _GET_FLAGS, flags)
        fcntl.ioctl(file, _GET_XATTR, more)
    except OSError:
        return {}
    return {"flags": flags[0] & _KEPT_FLAGS, "project": struct.unpack_from("=IIII", more)[3]}


def _content(file: int, size: int) -> str:
    """The checksum of where data is not zero, and of that: it is the same however holes are kept."""
    digest, at = hashlib.sha256(), 0
    try:
        while at < size:
            try:
                at = os.lseek(file, at, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    break
                raise
            end = os.lseek(file, at, os.SEEK_HOLE)
            while at < end:
                at += _digested(digest, file, at, end)
    except OSError as error:
        return f"unreadable: {errno.errorcode[error.errno or 0]}"
    return digest.hexdigest()


def _digested(digest: Any, file: int, at: int, end: int) -> int:
    """From `at`, by blocks of a KiB, which is the smallest a hole can be; how far that went."""
    data = os.pread(file, min(_CHUNK - at % _CHUNK, end - at), at)
    if not data:
        raise OSError(errno.EIO, "the file ends before its size")
    if data.count(0) == len(data):
        return len(data)
    first = at - at % 1024
    for begin in range(first, at + len(data), 1024):
        block = data[max(begin - at, 0) : begin - at + 1024]
        if block.count(0) != len(block):
            digest.update(struct.pack("=Q", begin) + block.rstrip(b"\0"))
    return len(data)


def _written(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def judge(before: Picture, after: Picture) -> list[str]:
    """In what they differ, a line each; empty if nothing that is data was lost, changed or added."""
    kept = {name: about for name, about in before.items() if about.get("kind") != "s"}
    there = {name: about for name, about in after.items() if about.get("kind") != "s" and (name in kept or name != _GONE)}
    faults = [f"gone: {name!r}" for name in kept if name not in there]
    faults += [f"new: {name!r}" for name in there if name not in kept]
    for name, about in kept.items():
        if name in there:
            faults += [f"{name!r}: {fault}" for fault in _differences(about, there[name])]
    return sorted(faults)


def _differences(was: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    for key in sorted(was.keys() | now.keys()):
        old, new = was.get(key), now.get(key)
        if key == "allocated":
            if new is not None and new > (old or 0) + max(_SLACK, (old or 0) // _SLACK_SHARE):
                yield f"{old} bytes were allocated, now {new}"
        elif old != new:
            yield f"{key} was {old!r}, now {new!r}"


def main(words: list[str]) -> int:
    """Take a picture, or judge two."""
    if len(words) == 1:
        json.dump(picture(Path(words[0])), sys.stdout, indent=1)
        return 0
    before, after = (json.loads(Path(word).read_bytes()) for word in words)
    faults = judge(before, after)
    sys.stdout.write("".join(f"{fault}\n" for fault in faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
