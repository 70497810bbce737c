"""A local cloud with a stemcell, on which places are made."""

import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import cpi
from cpi.contract.model import Env
from tests.migration.place import Place


@contextmanager
def local_place(folder: Path, document: dict[str, Any], env: Env | None = None) -> Iterator[Callable[[int, int], Place]]:
    """Makes a VM with a disk of so many MiB and so many of data on it; all of it is removed afterwards."""
    with cpi.connect(document) as cloud, ExitStack() as made:
        image = folder / "stemcell.tgz"
        (folder / "motd").write_text("a test\n")
        with tarfile.open(image, "w:gz") as archive:
            archive.add(folder / "motd", "etc/motd")
        stemcell_cid = cloud.create_stemcell(str(image), {"name": "test", "version": "1"}, {})
        made.callback(cloud.delete_stemcell, stemcell_cid)

        def make(size: int, data: int) -> Place:
            new = Place(document, stemcell_cid, env)
            made.callback(new.clear)
            new.begin(size, data)
            return new

        yield make
