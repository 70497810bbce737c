"""Trees of files with everything that a file can have, what a job may do to them, and a comparison that is not rsync's."""

import hashlib
import os
import socket
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

MEGA = 1 << 20


def plant(top: Path) -> None:
    """Files of every kind."""
    (top / "db").mkdir(mode=0o700)
    (top / "db" / "big").write_bytes(os.urandom(3 * MEGA))
    (top / "db" / "same-size").write_bytes(b"a" * 5000)
    with (top / "db" / "sparse").open("wb") as file:
        file.seek(8 * MEGA)
        file.write(os.urandom(4096))
        file.truncate(16 * MEGA)
    for name in ("linked", "secret", "private"):
        (top / name).write_bytes(os.urandom(3000))
    os.link(top / "linked", top / "linked too")
    (top / "secret").chmod(0o4750)
    os.chown(top / "secret", 1234, 4321)
    os.setxattr(top / "private", "user.colour", b"blue")
    subprocess.run(["setfacl", "-m", "u:1234:rw", str(top / "private")], check=True)
    subprocess.run(["setfacl", "-d", "-m", "g:4321:rx", str(top / "db")], check=True)
    (top / "link").symlink_to("../nowhere/at all")
    (top / "-rf").write_text("a name like an option")
    (top / "two\nlines").write_text("a name of two lines")
    (top / "b\\#012ack").write_text("a name with an escape of rsync's")
    Path(os.fsdecode(os.fsencode(top) + b"/\xff\xfe")).write_text("a name that is no UTF-8")
    for outer in ("left", "right", "gone"):
        for inner in range(3):
            deep = top / outer / f"{inner}" / "deep"
            deep.mkdir(parents=True)
            (deep / "same").write_bytes(outer[:4].encode() * 100)
            (deep / f"only {outer}").write_bytes(os.urandom(500))
    os.mkfifo(top / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(top / "socket"))
    os.utime(top / "linked", ns=(1_111_111_111_123_456_789, 1_222_222_222_987_654_321))
    os.utime(top / "left", ns=(1_111_111_111_123_456_789, 1_333_333_333_987_654_321))


def _swap_folders(top: Path) -> None:
    (top / "left").rename(top / "between")
    (top / "right").rename(top / "left")
    (top / "between").rename(top / "right")


def _change_without_a_trace(top: Path) -> None:
    path = top / "db" / "same-size"
    before = path.stat()
    path.write_bytes(b"b" * 5000)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _part_links(top: Path) -> None:
    (top / "linked too").unlink()
    (top / "linked too").write_bytes(os.urandom(3000))
    os.link(top / "linked", top / "linked anew")


def _write_inside(top: Path) -> None:
    with (top / "db" / "big").open("r+b") as file:
        file.seek(MEGA)
        file.write(os.urandom(9000))


def _exchange_kinds(top: Path) -> None:
    (top / "-rf").unlink()
    (top / "-rf").mkdir()
    (top / "-rf" / "now a folder").write_text("x")
    subprocess.run(["rm", "-rf", "--", str(top / "gone")], check=True)
    (top / "gone").write_text("now a file")


def _change_what_belongs_to_it(top: Path) -> None:
    os.setxattr(top / "private", "user.colour", b"red")
    subprocess.run(["setfacl", "-m", "u:1234:r", str(top / "private")], check=True)
    (top / "secret").chmod(0o600)
    os.chown(top / "db", 99, 98)


def _punch(top: Path) -> None:
    with (top / "db" / "sparse").open("r+b") as file:
        file.truncate(20 * MEGA)
        file.seek(19 * MEGA)
        file.write(b"end")


def _rotate_logs(top: Path) -> None:
    (top / "two\nlines").rename(top / "two\nlines.1")
    (top / "two\nlines").write_text("anew")
    (top / "new" / "and" / "deep").mkdir(parents=True)
    (top / "new" / "and" / "deep" / "file").write_bytes(os.urandom(700))


CHANGES: dict[str, Callable[[Path], None]] = {
    "folders swapped": _swap_folders,
    "same size and time, other bytes": _change_without_a_trace,
    "hard links parted and made": _part_links,
    "written inside a large file": _write_inside,
    "a file a folder and a folder a file": _exchange_kinds,
    "attributes, owner, mode alone": _change_what_belongs_to_it,
    "a sparse file grown": _punch,
    "renamed, made anew, new folders": _rotate_logs,
}


def told(top: Path) -> dict[bytes, Any]:
    """Every file with all that must be the same; sockets, pipes and devices left out."""
    found: dict[bytes, Any] = {}
    links: dict[int, list[bytes]] = {}
    for folder, folders, files in os.walk(os.fsencode(top)):
        for name in [b".", *folders, *files]:
            path = os.path.normpath(os.path.join(folder, name))  # noqa: PTH118 - names are bytes
            relative = os.path.relpath(path, os.fsencode(top))
            status = os.lstat(path)
            if relative.split(b"/")[0] == b"lost+found" or stat.S_IFMT(status.st_mode) not in {
                stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK,
            }:  # fmt: skip
                continue
            found[relative] = _about(path, status)
            if stat.S_ISREG(status.st_mode):
                links.setdefault(status.st_ino, []).append(relative)
    for group in links.values():
        for relative in group:
            found[relative]["links"] = sorted(set(group))
    return found


def _about(path: bytes, status: os.stat_result) -> dict[str, Any]:
    about: dict[str, Any] = {"mode": status.st_mode, "owner": (status.st_uid, status.st_gid), "changed": status.st_mtime_ns}
    if stat.S_ISLNK(status.st_mode):
        return about | {"to": os.readlink(path)}  # noqa: PTH115 - names are bytes
    about["attributes"] = {name: os.getxattr(path, name) for name in sorted(os.listxattr(path))}
    if stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:  # noqa: PTH123 - names are bytes
            about["content"] = hashlib.file_digest(file, "sha256").hexdigest()
    return about
