"""A local cloud of its own for each test, with a VM whose job writes acknowledged rows on its persistent disk."""

import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import cpi
from tests.migration.place import Place

_BACKINGS = [pytest.param("folder", id="folder"), pytest.param("loop", id="loop", marks=pytest.mark.root)]


@pytest.fixture(params=_BACKINGS)
def backing(request: pytest.FixtureRequest) -> str:
    """What disks are: folders anywhere, loop devices with ext4 where we are root."""
    return str(request.param)


@pytest.fixture
def place(tmp_path: Path, backing: str) -> Iterator[Callable[[int, int], Place]]:
    """Makes a VM with a disk of so many MiB and so many of data on it; all of it is removed afterwards."""
    document = {"cloud": {"plugin": "local", "properties": {"local": {"root": str(tmp_path / "cloud"), "disk_backing": backing}}}}
    with cpi.connect(document) as cloud, ExitStack() as made:
        image = tmp_path / "stemcell.tgz"
        (tmp_path / "motd").write_text("a test\n")
        with tarfile.open(image, "w:gz") as archive:
            archive.add(tmp_path / "motd", "etc/motd")
        stemcell_cid = cloud.create_stemcell(str(image), {"name": "test", "version": "1"}, {})
        made.callback(cloud.delete_stemcell, stemcell_cid)

        def make(size: int, data: int) -> Place:
            new = Place(document, stemcell_cid)
            made.callback(new.clear)
            new.begin(size, data)
            return new

        yield make
