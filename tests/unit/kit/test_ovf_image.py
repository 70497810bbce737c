"""Images that are a tar of an OVF and its disks."""

import gzip
from pathlib import Path

import pytest

from cpi.contract import errors
from cpi.kit import ovf_image
from fixtures.clouds.vcsim.images import packed


@pytest.mark.parametrize("folder", ["", "./"])
def test_the_ovf_and_the_files_that_it_names_are_read(tmp_path: Path, folder: str) -> None:
    """However tar wrote the names; a file as often as it is wanted."""
    path = packed(tmp_path / "image", {f"{folder}a.ovf": b"<x/>", f"{folder}disk": b"content"})
    with ovf_image.opened(str(path)) as image:
        assert image.descriptor == b"<x/>"
        assert image.size("disk") == 7
        for _ in range(2):
            with image.file("disk") as file:
                assert file.read() == b"content"


@pytest.mark.parametrize("files", [{}, {"a.ovf": b"", "b.ovf": b""}])
def test_an_image_has_one_ovf(tmp_path: Path, files: dict[str, bytes]) -> None:
    """An operator who took another cloud's stemcell reads which file it is."""
    path = str(packed(tmp_path / "image", files))
    with (
        pytest.raises(errors.CpiError, match=rf"{path} .* contains {len(files)} OVF files, expected one"),
        ovf_image.opened(path),
    ):
        pass


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ({"a.ovf": b" " * (4 * 2**20 + 1)}, "its OVF is larger than 4194304 bytes"),
        ({"a.ovf": b"<x/>", **{f"disk-{number}": b"" for number in range(1000)}}, "it contains more than 1000 files"),
        ({"a.ovf": b'<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>'}, "declares a document type or entities"),
        ({"a.ovf": b'<!doctype x SYSTEM "file:///etc/passwd"><x/>'}, "declares a document type or entities"),
        ({"a.ovf": "<!DOCTYPE x><x/>".encode("utf-16")}, "its OVF is not UTF-8"),
        ({"a.ovf": b"<x/>", "long/" * 300_000: b""}, "a header of 150[0-9]+ bytes"),
    ],
    ids=["large", "many", "entities", "outside", "utf-16", "header"],
)
def test_an_image_that_no_honest_author_made_is_refused(tmp_path: Path, files: dict[str, bytes], fault: str) -> None:
    """A few packed bytes may be hundreds of megabytes, and a few entities as many."""
    path = str(packed(tmp_path / "image", files))
    with pytest.raises(errors.CpiError, match=fault), ovf_image.opened(path):
        pass


def test_a_file_that_is_not_in_it_is_named(tmp_path: Path) -> None:
    """By size and by content."""
    with ovf_image.opened(str(packed(tmp_path / "image", {"a.ovf": b"<x/>"}))) as image:
        for ask in (image.size, image.file):
            with pytest.raises(errors.CpiError, match="refers to gone, which is not in the image"):
                ask("gone")


@pytest.mark.parametrize("spoil", ["missing", "no tar", "cut short", "damaged"])
def test_what_cannot_be_read_is_told(tmp_path: Path, spoil: str) -> None:
    """The path, and why; also where the first file can be read and a later one cannot."""
    path = tmp_path / "image"
    whole = packed(path, {"a.ovf": b"<x/>", "disk": bytes(range(256)) * 40}).read_bytes()
    if spoil == "missing":
        path.unlink()
    else:
        damaged = gzip.compress(gzip.decompress(whole)[:2048]) + gzip.compress(b"")[:10] + b"\xff" * 100
        path.write_bytes({"no tar": b"text", "cut short": whole[:-50], "damaged": damaged}[spoil])
    with pytest.raises(errors.CpiError, match=f"the image {path} cannot be read"), ovf_image.opened(str(path)):
        pass
