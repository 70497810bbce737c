"""A disk that is a folder on the host: mounting is a link in the VM's root. Works without root, and anywhere."""

import asyncio
import os
from pathlib import Path

from cpi.contract.units import MiB, bytes_from_mib, mib_from_bytes
from cpi_drivers.local.agent.backing import Disk
from cpi_drivers.local.agent.faults import Fault


class FolderDisk(Disk):
    """The size on record lies beside the folder, in MiB, in a file named size."""

    def is_mounted_at(self, point: Path) -> bool:
        """Whether point links to this folder."""
        return point.is_symlink() and point.resolve() == self.path.resolve()

    async def mount(self, point: Path) -> None:
        """What lay at point before is set aside, as a mount would cover it."""
        cover(point, self.path)

    async def unmount(self, point: Path) -> None:
        """What the link covered is there again."""
        uncover(point)

    async def freeze(self, point: Path) -> None:
        """A folder cannot be made read-only to processes that may write: the jobs are stopped, that has to do."""

    async def thaw(self, point: Path) -> None:
        """Nothing was frozen."""

    async def check_room_for(self, source: Path) -> None:
        """Compares what source uses with the size on record, if there is one."""
        size = recorded_size(self.path)
        if size is None:
            return
        used = await asyncio.to_thread(used_bytes, source)
        if used > bytes_from_mib(size):
            raise Fault(f"{mib_from_bytes(used)} MiB are in use, the new disk holds {size} MiB: No space left on device")


def recorded_size(folder: Path) -> MiB | None:
    """The size of the disk whose data lie in folder, None if nothing is on record."""
    try:
        return MiB(int((folder.parent / "size").read_text(encoding="ascii")))
    except FileNotFoundError:
        return None


def cover(point: Path, folder: Path) -> None:
    """Sets aside what is at point, and links it to folder."""
    if point.exists():
        point.rename(_covered(point))
    point.symlink_to(folder)


def uncover(point: Path) -> None:
    """Removes the link at point, if there is one, and puts back what it covered."""
    if point.is_symlink():
        point.unlink()
    covered = _covered(point)
    if not point.exists() and covered.exists():
        covered.rename(point)
    point.mkdir(exist_ok=True)


def _covered(point: Path) -> Path:
    return point.with_name(f".{point.name}.covered")


def used_bytes(folder: Path) -> int:
    """What the files below folder take, holes and second names of a file not counted."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                status = os.lstat(os.path.join(parent, name))  # noqa: PTH118 - a walk over many files
            except FileNotFoundError:
                continue  # a job removed it meanwhile
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                total += status.st_blocks * 512
    return total
