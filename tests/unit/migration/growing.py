"""A cloud in memory that grows disks in use, and a guest that says what a test lets it say."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from cpi.agent.shell import OnOutput, Output
from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.units import MiB
from cpi.migration import growing_scripts, scripts
from tests.unit.migration.world import MemoryCloud, World

Said = str | Callable[[], str]


class GrowingCloud(MemoryCloud):
    """With the power."""

    def __init__(self, world: World, grow: Callable[[MiB], object] = lambda _: None) -> None:
        super().__init__(world)
        self._grow = grow
        self.grown: list[MiB] = []

    def grow_attached_disk(self, vm_cid: VmCid, disk_cid: DiskCid, size: MiB) -> None:
        """As in GrowsAttachedDisks."""
        disk = self._disk(disk_cid)
        if self.world.refuses:
            raise errors.NotSupported("the cooling period ends at noon")
        if size > disk.size:
            self.grown.append(size)
            self._grow(size)
            disk.size = size


class TalkingGuest:
    """A shell that runs nothing: it answers each of the scripts."""

    root = ""

    def __init__(self, world: World, **said: Said) -> None:
        figures = self._figures
        self._world = world
        self.asked: list[str] = []
        self.said: dict[str, Said] = {
            "fitness": "\nrsync  version 3.2.7  protocol version 31\n",
            "room": "ext 1000 10 1000000 1000\n",
            "extent": lambda: " ".join([figures()] * 3),
            "look": figures,
            **said,
        }

    def run(
        self, command: Sequence[str], *, deadline_seconds: float, stdin: bytes = b"", on_output: OnOutput | None = None
    ) -> Output:
        """The answer that the test has for it; a text that begins with ! is a complaint."""
        name = next((name for name, script in _SCRIPTS.items() if command[2].endswith(script)), "")
        self.asked.append(name)
        said = self.said.get(name, "")
        text = said if isinstance(said, str) else said()
        return Output(1, b"", text[1:].encode()) if text.startswith("!") else Output(0, text.encode(), b"")

    def _figures(self) -> str:
        return str(self._world.disks[self._world.store or DiskCid("")].size << 20)


_SCRIPTS: Final[Mapping[str, str]] = {
    "fitness": scripts.FITNESS,
    "room": scripts.ROOM,
    "extent": scripts.EXTENT,
    "health": scripts.HEALTH,
    "growth": growing_scripts.FITNESS,
    "look": growing_scripts.LOOK,
    "partition": growing_scripts.PARTITION,
    "filesystem": growing_scripts.FILESYSTEM,
}
