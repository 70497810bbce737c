"""What a disk is made of: an image on a loop device, or a folder. Each disk and each snapshot has a folder for it."""

import os
from pathlib import Path
from typing import Final, Literal, Protocol

from cpi.contract.units import MiB, bytes_from_mib
from cpi_drivers.local.host.copying import copy
from cpi_drivers.local.host.layout import make_folder

Name = Literal["loop", "folder"]


class Backing(Protocol):
    """One way to keep a disk's data in a folder."""

    def make(self, folder: Path, size: MiB) -> None:
        """Make an empty disk in a new folder."""

    def grow(self, folder: Path, size: MiB) -> None:
        """Make room for size, also while it is connected; the data is untouched, and a repetition changes nothing."""

    def connect(self, folder: Path) -> str:
        """The path at which an agent finds the disk; the same until disconnect."""

    def wait_until_unused(self, folder: Path, what: str) -> None:
        """Returns when no VM uses the disk any more, as far as that can be known."""

    def disconnect(self, folder: Path) -> None:
        """Undo connect; not connected is fine."""

    def copy(self, folder: Path, target: Path) -> None:
        """Copy the data into a new folder."""


class _Image:
    """A sparse file with a filesystem of its own, which the agent makes and grows."""

    def make(self, folder: Path, size: MiB) -> None:
        make_folder(folder)
        image = os.open(folder / "image", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(image, bytes_from_mib(size))
            os.fsync(image)
        finally:
            os.close(image)

    def grow(self, folder: Path, size: MiB) -> None:
        image = folder / "image"
        if image.stat().st_size < bytes_from_mib(size):
            os.truncate(image, bytes_from_mib(size))
        from cpi_drivers.local.host import loop_devices

        loop_devices.take_size(image)

    def connect(self, folder: Path) -> str:
        from cpi_drivers.local.host import loop_devices

        return loop_devices.connect(folder / "image")

    def wait_until_unused(self, folder: Path, what: str) -> None:
        from cpi_drivers.local.host import loop_devices

        loop_devices.wait_until_unused(folder / "image", what)

    def disconnect(self, folder: Path) -> None:
        from cpi_drivers.local.host import loop_devices

        if (folder / "image").exists():
            loop_devices.disconnect(folder / "image")

    def copy(self, folder: Path, target: Path) -> None:
        make_folder(target)
        copy(folder / "image", target / "image")


class _Folder:
    """A folder that the VM's store is linked to; its size is on record, nothing enforces it."""

    def make(self, folder: Path, size: MiB) -> None:
        make_folder(folder)
        make_folder(folder / "data")
        self.grow(folder, size)

    def grow(self, folder: Path, size: MiB) -> None:
        # replaced as a whole: an agent may read it at any time
        fresh = folder / "size.new"
        fresh.write_text(f"{size}\n", encoding="ascii")
        fresh.rename(folder / "size")

    def connect(self, folder: Path) -> str:
        return str(folder / "data")

    def wait_until_unused(self, folder: Path, what: str) -> None:
        """Nothing tells whether a folder is in use."""

    def disconnect(self, folder: Path) -> None:
        """Nothing was set up."""

    def copy(self, folder: Path, target: Path) -> None:
        make_folder(target)
        copy(folder / "data", target / "data")


BACKINGS: Final[dict[str, Backing]] = {"loop": _Image(), "folder": _Folder()}
