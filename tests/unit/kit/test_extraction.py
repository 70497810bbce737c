"""Extraction: honest images arrive whole, hostile ones write nothing outside of the folder."""

import io
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cpi.contract import errors
from cpi.kit.extraction import Limits, extract

Member = tuple[tarfile.TarInfo, bytes]
_IS_ROOT = os.geteuid() == 0
_DEEP = "d" * 247  # sixteen of these are longer than PATH_MAX


def _file(name: str, content: bytes = b"x", **more: object) -> Member:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in more.items():
        setattr(member, key, value)
    return member, content


def _link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> Member:
    return _file(name, b"", type=kind, linkname=target)


def _folder(name: str, mode: int = 0o755) -> Member:
    return _file(name, b"", type=tarfile.DIRTYPE, mode=mode)


def _tarball(path: Path, members: Iterator[Member] | list[Member]) -> Path:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return path


def _long_chain(outside: Path) -> Iterator[Member]:
    """CVE-2025-4517: links so long that realpath gives up, then a hard link through them."""
    path = ""
    for letter in "abcdefghijklmnop":
        yield _folder(f"{path}{_DEEP}")
        yield _link(f"{path}{letter}", _DEEP)
        path += f"{letter}/"
    chain = "/".join("abcdefghijklmnop")
    yield _link(f"{chain}/{'l' * 254}", "../" * 16)
    yield _link("escape", f"{chain}/{'l' * 254}/../../../../{outside}")
    yield _link("flaglink", "escape/canary", tarfile.LNKTYPE)
    yield _file("flaglink", b"overwritten")


HOSTILE: dict[str, Callable[[Path], Iterator[Member] | list[Member]]] = {
    "a name with dots": lambda _: [_file("../canary")],
    "dots in the middle": lambda _: [_file("a/../../canary")],
    "a link to the parent, and a file through it": lambda _: [_link("up", ".."), _file("up/canary")],
    "a link that stays inside, and a file through it": lambda _: [_folder("a"), _link("b", "a"), _file("b/c")],
    "an absolute link, and a file through it": lambda outside: [_link("out", str(outside)), _file("out/canary")],
    "a link through another link": lambda _: [_folder("a"), _link("a/b", "."), _link("c", "a/b/../.."), _file("c/../canary")],
    "a link that leads out": lambda _: [_link("up", "../../etc")],
    "a hard link that leads out": lambda _: [_link("h", "../canary", tarfile.LNKTYPE)],
    "a hard link to what is absolute": lambda outside: [_link("h", f"{outside}/canary", tarfile.LNKTYPE), _file("h", b"y")],
    "a hard link through a link": lambda outside: [
        _link("out", str(outside)),
        _link("h", "out/canary", tarfile.LNKTYPE),
        _file("h", b"y"),
    ],
    "a hard link to itself": lambda _: [_file("h"), _link("h", "h", tarfile.LNKTYPE)],
    "a hard link to a folder": lambda _: [_folder("d"), _link("h", "d", tarfile.LNKTYPE)],
    "a long chain of links, then a hard link": _long_chain,
    "a folder in the place of a file, and a file in it": lambda _: [_file("a"), _file("a/b")],
    "a link in the place of a folder": lambda _: [_folder("a"), _link("a", "/"), _file("a/canary")],
    "a file in the place of a folder": lambda _: [_folder("a"), _file("a")],
    "the folder itself as a file": lambda _: [_file(".")],
    "the folder itself as a link": lambda outside: [_link("./", str(outside)), _file("canary")],
    "a path that is too deep": lambda _: [_file("a/" * 300 + "b")],
    "a name that is too long": lambda _: [_file("n" * 300)],
    "a path that is too long": lambda _: [_file("/".join(["n" * 200] * 21))],
    "a member that says it is huge": lambda _: [_file("f", b"x", pax_headers={"GNU.sparse.realsize": str(1 << 60)})],
}


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder with a file that must stay as it is; the image is unpacked beside that file."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "canary").write_text("alive")
    (folder / "image").mkdir()
    return folder


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_image_is_refused_and_writes_nothing_outside(outside: Path, name: str) -> None:
    """Published ways out of a tar, and some of ours."""
    tarball = _tarball(outside.parent / "image.tar", HOSTILE[name](outside))
    with pytest.raises(errors.CpiError, match="is refused"):
        extract(tarball, outside / "image")
    assert sorted(path.name for path in outside.iterdir()) == ["canary", "image"]
    assert (outside / "canary").read_text() == "alive"
    assert (outside / "canary").stat().st_nlink == 1


@pytest.mark.parametrize(
    ("limits", "members"),
    [
        (Limits(members=2), [_file("a"), _file("b"), _file("c")]),
        (Limits(data=10), [_file("a", b"123456"), _file("b", b"123456")]),
        (Limits(file=5), [_file("a", b"123456")]),
        (Limits(path=5), [_file("123456")]),
        (Limits(depth=2), [_file("a/b/c")]),
    ],
)
def test_what_is_beyond_a_limit_is_refused(tmp_path: Path, limits: Limits, members: list[Member]) -> None:
    """Each limit."""
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(errors.CpiError, match="is refused"):
        extract(_tarball(tmp_path / "t", members), folder, limits)


def test_a_header_longer_than_a_mebibyte_is_refused_unread(tmp_path: Path) -> None:
    """It says 4 GiB: that much memory is not asked for."""
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 4 << 30
    (tmp_path / "t").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(10240))
    (tmp_path / "folder").mkdir()
    with pytest.raises(errors.CpiError, match="is refused"):
        extract(tmp_path / "t", tmp_path / "folder")


def test_an_honest_image_arrives_as_it_was(tmp_path: Path) -> None:
    """Names, links, modes, times, holes; a read-only folder with files in it; a later member replaces an earlier one."""
    sparse, content = _file("sparse", b"tail")
    sparse.pax_headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.map": f"{1 << 30},4",
        "GNU.sparse.size": str((1 << 30) + 4),
    }
    members = [
        _folder("./", 0o755),
        _folder("locked", 0o555),
        _file("locked/a", b"one", mtime=-1.5),
        _link("locked/b", "locked/a", tarfile.LNKTYPE),
        _link("etc/abs", "/locked/a"),
        _file("twice", b"old"),
        _file("twice", b"new", mode=0o640, mtime=1234567890.25),
        _folder("tmp", 0o1777),
        _file("odd\nname \udcff", b"odd"),
        (sparse, content),
    ]
    folder = tmp_path / "folder"
    folder.mkdir()
    extract(_tarball(tmp_path / "t", members), folder)
    assert (folder / "locked" / "b").read_bytes() == b"one"
    assert (folder / "locked" / "a").stat().st_nlink == 2
    assert (folder / "locked" / "a").stat().st_mtime_ns == -1_500_000_000
    assert stat.S_IMODE((folder / "locked").stat().st_mode) == 0o555
    assert (folder / "etc" / "abs").read_bytes() == b"one"
    assert (folder / "etc" / "abs").readlink() == Path("../locked/a")
    twice = (folder / "twice").stat()
    assert ((folder / "twice").read_bytes(), stat.S_IMODE(twice.st_mode)) == (b"new", 0o640)
    assert twice.st_mtime_ns == 1_234_567_890_250_000_000
    assert stat.S_IMODE((folder / "tmp").stat().st_mode) == 0o1777
    assert (folder / "odd\nname \udcff").read_bytes() == b"odd"
    holes = (folder / "sparse").stat()
    assert (holes.st_size, holes.st_blocks * 512 < 1 << 20) == ((1 << 30) + 4, True)
    with (folder / "sparse").open("rb") as file:
        file.seek(1 << 30)
        assert file.read() == b"tail"


def _with_rights(folder: Path) -> list[Member]:
    del folder
    return [
        _file("bin/sudo", mode=0o4755, uid=0, gid=27),
        _file("home/vcap/f", uid=1000, gid=1001, pax_headers={"SCHILY.xattr.user.colour": "blue"}),
        _file("dev/null", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666),
        _file("pipe", b"", type=tarfile.FIFOTYPE, mode=0o620),
    ]


@pytest.mark.root
def test_root_keeps_owners_rights_attributes_and_nodes(tmp_path: Path) -> None:
    """Without them, sudo in the VM fails."""
    folder = tmp_path / "folder"
    folder.mkdir()
    left_out = extract(_tarball(tmp_path / "t", _with_rights(tmp_path)), folder)
    sudo, home = (folder / "bin" / "sudo").stat(), (folder / "home" / "vcap" / "f").stat()
    assert (stat.S_IMODE(sudo.st_mode), sudo.st_uid, sudo.st_gid) == (0o4755, 0, 27)
    assert (home.st_uid, home.st_gid) == (1000, 1001)
    assert stat.S_ISFIFO((folder / "pipe").stat().st_mode)
    for kind, path in {"device nodes": folder / "dev" / "null", "extended attributes user.colour": folder}.items():
        assert path.exists() == (kind not in left_out.counts or path == folder)
    if "device nodes" not in left_out.counts:
        assert (folder / "dev" / "null").stat().st_rdev == os.makedev(1, 3)
    if "extended attributes user.colour" not in left_out.counts:
        assert os.getxattr(folder / "home" / "vcap" / "f", "user.colour") == b"blue"


def test_without_root_what_cannot_be_kept_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rights to become another user, and device nodes."""
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.mknod", refused)
    left_out = str(extract(_tarball(tmp_path / "t", _with_rights(tmp_path)), folder))
    assert "1 setuid and setgid: bin/sudo" in left_out
    assert "2 device nodes: dev/null, pipe" in left_out
    assert stat.S_IMODE((folder / "bin" / "sudo").stat().st_mode) == 0o755
