"""What a persistent disk is to this agent; a device and a folder do it in their own ways."""

import abc
from pathlib import Path


class Disk(abc.ABC):
    """One attached disk. A mount point is store or store_migration_target of the VM's root."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @abc.abstractmethod
    def is_mounted_at(self, point: Path) -> bool:
        """Whether this very disk is what lies at point."""

    @abc.abstractmethod
    async def mount(self, point: Path) -> None:
        """Puts the disk at point, with a filesystem as large as the disk. Raises Fault."""

    @abc.abstractmethod
    async def unmount(self, point: Path) -> None:
        """Takes the disk from point, everything written to it. Raises Fault if it stays busy."""

    @abc.abstractmethod
    async def freeze(self, point: Path) -> None:
        """Lets nobody write to it, where the system can. Raises Fault if somebody still does."""

    @abc.abstractmethod
    async def thaw(self, point: Path) -> None:
        """Lets it be written to again."""

    @abc.abstractmethod
    async def check_room_for(self, source: Path) -> None:
        """Raises Fault if what is under source can be seen not to fit; a device finds out while copying."""
