"""A stemcell to try things with: a few files, no operating system. The jobs of its VMs use the programs of the machine."""

import gzip
import io
import os
import tarfile
from pathlib import Path
from typing import Any, Final

_VERSION: Final = "1.0"
_FILES: Final = {
    "etc/motd": "A VM of the local cloud.\n",
    "etc/issue": "multicpi small stemcell\n",
    "var/vcap/bosh/etc/stemcell_version": f"{_VERSION}\n",
    "var/vcap/bosh/etc/operating_system": "none\n",
}
_FOLDERS: Final = ("etc", "tmp", "var", "var/log", "var/vcap", "var/vcap/bosh", "var/vcap/bosh/etc")


def write_small_stemcell(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Write the image, the same bytes each time, and return the cloud properties that go with it."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name in _FOLDERS:
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(folder)
        for name, text in _FILES.items():
            file = tarfile.TarInfo(name)
            file.size, file.mode = len(text), 0o644
            archive.addfile(file, io.BytesIO(text.encode()))
    Path(path).write_bytes(gzip.compress(content.getvalue(), mtime=0))
    return {
        "name": "multicpi-small-stemcell",
        "version": _VERSION,
        "infrastructure": "local",
        "architecture": os.uname().machine,
        "disk": 16,
        "disk_format": "local-tar",
        "container_format": "tar",
    }
