"""Stemcells: whole tarballs, and nothing outside of their folder."""

import gzip
import io
import json
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from cpi.contract import errors
from cpi.contract.ids import StemcellCid
from cpi_drivers.local.stemcells.small import write_small_stemcell
from tests.drivers.local.place import Place


def _tarball(path: Path, *members: tarfile.TarInfo, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]  # any mode
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size) if member.isreg() else None)
    return path


def _member(name: str, kind: bytes = tarfile.REGTYPE, linkname: str = "", size: int = 0, mode: int = 0o644) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size, member.mode = kind, linkname, size, mode
    return member


def _made(place: Place, image: Path) -> Path:
    return place.layout.stemcell(place.cloud.create_stemcell(str(image), {}, {}))


def test_the_small_stemcell_is_the_same_each_time(tmp_path: Path) -> None:
    """So that it can be told by its digest."""
    assert write_small_stemcell(tmp_path / "one") == write_small_stemcell(tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_stemcell_is_unpacked_with_its_tags_on_record(place: Place) -> None:
    """And is gone when it is deleted."""
    image = place.folder / "image"
    stemcell_cid = place.cloud.create_stemcell(str(image), write_small_stemcell(image), {"team": 7})
    assert (place.layout.stemcell(stemcell_cid) / "etc" / "motd").read_text() == "A VM of the local cloud.\n"
    row = place.row("stemcells", stemcell_cid)
    assert (json.loads(row["tags"]), json.loads(row["properties"])["version"]) == ({"team": "7"}, "1.0")
    place.cloud.delete_stemcell(stemcell_cid)
    place.cloud.delete_stemcell(stemcell_cid)
    place.cloud.delete_stemcell(StemcellCid("../vms"))
    assert place.leftovers() == []


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_any_usual_compression_is_taken(place: Place, mode: str) -> None:
    """Plain too."""
    assert (_made(place, _tarball(place.folder / "t", _member("etc/a", size=5), mode=mode)) / "etc" / "a").read_text() == "xxxxx"


def _whole(place: Place) -> bytes:
    image = place.folder / "whole"
    _tarball(image, *(_member(f"file-{number}", size=5000) for number in range(20)))
    return image.read_bytes()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: b"",
        lambda _: b"no tarball at all",
        lambda _: b"\0" * 100,
        lambda tar: tar[:3000],
        lambda tar: tar[: 512 + 5120 + 512 + 100],
        lambda tar: tar[: 512 + 5120],
        lambda tar: tar[: 512 + 5120 + 100],
        lambda tar: gzip.compress(tar)[:-20],
        lambda tar: gzip.compress(tar)[:30],
        lambda tar: gzip.compress(tar[: 512 + 5120]),
        lambda tar: gzip.compress(tar)[:200] + b"x" * 100 + gzip.compress(tar)[300:],
        lambda tar: lzma.compress(tar)[:-30],
        lambda _: gzip.compress(b"no tarball"),
    ],
)
def test_what_is_no_whole_tarball_is_refused_and_leaves_nothing(place: Place, spoil: Callable[[bytes], bytes]) -> None:
    """Cut anywhere, or something else."""
    image = place.folder / "image"
    image.write_bytes(spoil(_whole(place)))
    with pytest.raises(errors.CpiError, match=str(image)):
        place.cloud.create_stemcell(str(image), {}, {})
    assert not place.root.exists() or place.leftovers() == []


@pytest.mark.parametrize("path", ["/nowhere/image", "", "/"])
def test_an_image_that_cannot_be_read_is_refused(place: Place, path: str) -> None:
    """With the reason."""
    with pytest.raises(errors.CpiError, match="cannot be read"):
        place.cloud.create_stemcell(path, {}, {})


@pytest.mark.parametrize(
    "members",
    [
        [_member("../outside", size=1)],
        [_member("a/../../outside", size=1)],
        [_member("link", tarfile.SYMTYPE, "../.."), _member("link/outside", size=1)],
        [_member("link", tarfile.LNKTYPE, "../../../etc/passwd")],
        [_member("link", tarfile.SYMTYPE, "../../../../etc")],
    ],
)
def test_what_would_lead_out_is_refused_and_leaves_nothing(place: Place, members: list[tarfile.TarInfo]) -> None:
    """Whichever way."""
    with pytest.raises(errors.CpiError, match="is refused"):
        _made(place, _tarball(place.folder / "t", *members))
    assert place.leftovers() == []
    assert not list(place.root.rglob("outside"))


def test_absolute_names_and_links_stay_inside(place: Place) -> None:
    """As root filesystems have them."""
    made = _made(
        place,
        _tarball(
            place.folder / "t",
            _member("/etc/real", size=3),
            _member("etc/alternatives/it", tarfile.SYMTYPE, "/etc/real"),
            _member("./top", tarfile.SYMTYPE, "/etc/real"),
        ),
    )
    assert (made / "etc" / "real").read_text() == "xxx"
    assert (made / "etc" / "alternatives" / "it").read_text() == "xxx"
    assert (made / "top").read_text() == "xxx"


@pytest.mark.root
def test_setuid_and_sticky_survive_to_the_vm(place: Place) -> None:
    """Without them, sudo in the VM fails."""
    members = [_member("bin/sudo", mode=0o4755), _member("tmp", tarfile.DIRTYPE, mode=0o1777)]
    made = _made(place, _tarball(place.folder / "t", *members))
    assert [(made / name).stat().st_mode & 0o7777 for name in ("bin/sudo", "tmp")] == [0o4755, 0o1777]
