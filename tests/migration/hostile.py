"""Trees that are hard to copy, each made by a few lines. Those that cannot be copied at all stand apart."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

MEGA = 1 << 20
_SECOND = 10**9
_CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")  # cap_net_bind_service, effective
_ODD = [
    b"two\nlines",
    b"\xff\xfe\x80",
    b"-rf",
    b" ",
    b"*",
    b"b\\#012ack",
    b'it\'s "quoted"',
    b"tab\t",
    b"\x01",
    b"\n",
    b"{a,b}",
    b"$HOME",
]


def _sparse(top: Path) -> None:
    for number in range(2):
        with (top / f"apparent{number}").open("wb") as file:
            file.write(b"begin")
            file.seek(512 * MEGA + 4096)
            file.write(os.urandom(5000))
            file.truncate(1024 * MEGA)
    with (top / "more than can be read").open("wb") as file:
        file.seek(1 << 39)
        file.write(b"middle")
        file.truncate(1 << 40)
    with (top / "only a hole").open("wb") as file:
        file.truncate(300 * MEGA)
    with (top / "a few of many").open("wb") as file:
        for block in range(0, 4 * MEGA, 64 * 1024):
            file.seek(block)
            file.write(os.urandom(100))


def _links(top: Path) -> None:
    (top / "one").write_bytes(os.urandom(5000))
    (top / "inner").mkdir()
    for number in range(20):
        os.link(top / "one", top / "inner" / f"{number}")
    (top / "link").symlink_to("nowhere")
    os.link(top / "link", top / "link too", follow_symlinks=False)
    os.mkfifo(top / "pipe")
    os.link(top / "pipe", top / "pipe too")


def _whiteouts(top: Path) -> None:
    (top / "upper").mkdir()
    os.mknod(top / "upper" / "deleted", 0o020000)
    (top / "upper" / "opaque").mkdir()
    os.setxattr(top / "upper" / "opaque", "trusted.overlay.opaque", b"y")
    os.setxattr(top / "upper" / "opaque", "trusted.overlay.origin", bytes(range(256)))


def _nodes(top: Path) -> None:
    os.mknod(top / "null", 0o020666, os.makedev(1, 3))
    os.mknod(top / "large minor", 0o020600, os.makedev(300, 70_000))
    os.mknod(top / "block", 0o060640, os.makedev(7, 99))
    os.chown(top / "block", 5, 6)
    os.mkfifo(top / "pipe", 0o640)
    os.utime(top / "pipe", ns=(_SECOND, 77 * _SECOND + 5))
    os.mknod(top / "socket", 0o140755)


def _attributes(top: Path) -> None:
    (top / "can").write_bytes(b"program")
    (top / "can").chmod(0o4755)
    os.setxattr(top / "can", "security.capability", _CAPABILITY)
    os.setxattr(top / "can", "user.empty", b"")
    os.setxattr(top / "can", "trusted.long", bytes(300))
    os.setxattr(top / "can", "security.ima", b"\x04\x02signature")
    (top / "link").symlink_to("can")
    os.setxattr(top / "link", "trusted.of a link", b"1", follow_symlinks=False)
    (top / "folder").mkdir(mode=0o2770)
    subprocess.run(["setfacl", "-d", "-m", "g:4321:rx,u:77:rwx,m::rwx", str(top / "folder")], check=True)
    (top / "folder" / "inherits").mkdir()
    (top / "folder" / "inherits" / "too").write_text("x")
    subprocess.run(["setfacl", "-m", "u:1234:rw", str(top / "can")], check=True)


def _odd_names(top: Path) -> None:
    for number, name in enumerate(_ODD):
        folder = os.fsencode(top) + b"/" + name
        os.mkdir(folder)  # noqa: PTH102 - names are bytes
        with open(folder + b"/" + name, "wb") as file:  # noqa: PTH123 - as above
            file.write(name * number)
    (top / ("n" * 255)).mkdir()
    (top / ("n" * 255) / ("m" * 255)).write_text("long")
    (top / "to").symlink_to("t" * 1000 + "\n")


def _deep(top: Path) -> None:
    for number in range(150):
        top /= f"{number}"
    top.mkdir(parents=True)
    (top / "leaf").write_text("deep")


def _wide(top: Path) -> None:
    for number in range(2500):
        (top / f"{number}").write_bytes(b"%d" % number)
    for number in range(200):
        (top / f"folder {number}").mkdir(mode=0o700 + number % 8)


def _flags(top: Path) -> None:
    (top / "locked").mkdir()
    for name, flag in {"immutable": "i", "append": "a", "undumped": "d", "locked/inner": "i", "locked": "i"}.items():
        if name != "locked":
            (top / name).write_text(name)
        subprocess.run(["chattr", f"+{flag}", str(top / name)], check=True)
    (top / "append too").write_text("linked")
    os.link(top / "append too", top / "append linked")
    subprocess.run(["chattr", "+a", str(top / "append too")], check=True)


def _times(top: Path) -> None:
    for number, seconds in enumerate([-(2**31), -86_400 * 365, -1, 0, 2**31 - 1, 2**31, 2**32 + 12345]):
        (top / f"{number}").write_text("then")
        (top / f"folder {number}").mkdir()
        for name in (f"{number}", f"folder {number}"):
            os.utime(top / name, ns=(seconds * _SECOND, seconds * _SECOND + (123_456_789 if seconds > 0 else 0)))


def _owners(top: Path) -> None:
    for owner in (0, 1, 65_534, 2**31 + 5, 2**32 - 2):
        (top / f"{owner}").write_text("owned")
        os.chown(top / f"{owner}", owner, owner)
        (top / f"{owner}").chmod(0o7777 if owner else 0)
    (top / "shut").mkdir(mode=0)
    (top / "shut" / "in").write_text("x")


def _empty(top: Path) -> None:
    (top / "file").touch()
    (top / "folder").mkdir()


# What each is, below a folder of its own.
TREES: dict[str, Callable[[Path], None]] = {
    "sparse": _sparse, "links": _links, "whiteouts": _whiteouts, "nodes": _nodes, "attributes": _attributes, "names": _odd_names,
    "deep": _deep, "wide": _wide, "flags": _flags, "times": _times, "owners": _owners, "empty": _empty,
}  # fmt: skip


def plant(store: Path) -> None:
    """All of them side by side, and files in lost+found."""
    for name, build in TREES.items():
        (store / name).mkdir()
        build(store / name)
    (store / "lost+found").mkdir(exist_ok=True)
    (store / "lost+found" / "#12345").write_text("found by fsck")
    (store / "lost+found" / "inner").mkdir()
    (store / "lost+found" / "inner" / "lost+found").write_text("by that name elsewhere")


def too_long(store: Path) -> None:
    """25 folders in each other with names of 203 bytes, and a leaf: no system call takes the path as a whole."""
    folder = os.open(store, os.O_RDONLY)
    for number in range(25):
        name = f"{number:03}" + "x" * 200
        os.mkdir(name, dir_fd=folder)
        inner = os.open(name, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(os.open("leaf", os.O_WRONLY | os.O_CREAT, dir_fd=folder))
    os.close(folder)


def fragmented(path: Path) -> None:
    """A file of so many pieces that ext4 keeps the list of them in a block of its own."""
    with path.open("wb") as file:
        for piece in range(40):
            file.seek(piece * 3 * 4096)
            file.write(os.urandom(4096))


@contextmanager
def unflagged(store: Path) -> Iterator[None]:
    """What cannot be removed as it is."""
    try:
        yield
    finally:
        subprocess.run(["chattr", "-R", "-f", "-i", "-a", str(store)], check=False, capture_output=True)


def damage_extents(image: Path, path: str) -> None:
    """An unmounted ext4: the list of the file's pieces is torn, so that it cannot be read while its length is still told."""
    block = subprocess.run(
        ["debugfs", "-R", f"ex {path}", str(image)], check=True, capture_output=True, text=True
    ).stdout.splitlines()[1].split()  # fmt: skip
    subprocess.run(
        ["debugfs", "-w", "-R", f"zap_block -p 0x55 {_index_block(block)}", str(image)], check=True, capture_output=True
    )


def _index_block(words: list[str]) -> str:
    # Level Entries Logical Physical Length Flags: "0/ 1 1/ 1 0 - 117 33288 118"
    return words[words.index("-") + 2]


def damage_inode(image: Path, path: str) -> None:
    """An unmounted ext4: the inode's checksum does not fit."""
    subprocess.run(
        ["debugfs", "-w", "-R", f"set_inode_field {path} checksum 0x12345678", str(image)], check=True, capture_output=True
    )
