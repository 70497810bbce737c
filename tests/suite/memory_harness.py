"""The harness of the cloud in memory."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import DiskHint, Network, Networks
from cpi.testing import Harness, Stemcell
from tests.suite.memory_cloud import IMAGE, Memory, MemoryCloud

PASSWORD = "memory-password-77"  # noqa: S105 - it opens nothing


class MemoryGuest:
    """A way into a VM in memory."""

    def __init__(self, memory: Memory, vm_cid: VmCid) -> None:
        self._memory = memory
        self._vm_cid = vm_cid

    def boot(self) -> None:
        """It is there at once."""
        assert self._vm_cid in self._memory.vms

    def mount(self, disk_cid: DiskCid, hint: DiskHint) -> None:
        """By the unit in the hint, as a guest sees it."""
        unit = hint.path.rpartition("/")[2]
        attached = [cid for cid, disk in self._memory.disks.items() if disk.vm_cid == self._vm_cid and str(disk.unit) == unit]
        assert attached == [disk_cid], f"{hint} finds {attached}, not {disk_cid}"
        self._memory.vms[self._vm_cid].mounted = disk_cid

    def unmount(self, disk_cid: DiskCid) -> None:
        """Nothing is mounted then."""
        self._memory.vms[self._vm_cid].mounted = None

    def write(self, number: int) -> None:
        """On the disk that is mounted."""
        self._memory.disks[self._mounted()].number = number

    def check(self, number: int) -> None:
        """On the disk that is mounted."""
        assert self._memory.disks[self._mounted()].number == number

    def close(self) -> None:
        """Nothing is open."""

    def _mounted(self) -> DiskCid:
        mounted = self._memory.vms[self._vm_cid].mounted
        assert mounted is not None
        return mounted


def memory_harness(cloud_class: type[MemoryCloud], folder: Path) -> Harness:
    """For a cloud in a memory of its own."""
    memory, numbers = Memory(), itertools.count(1)
    image = folder / "image"
    image.write_bytes(IMAGE)

    def networks() -> Networks:
        return {"private": Network(ip=f"10.0.0.{next(numbers)}", netmask="255.255.255.0", gateway="10.0.0.254")}

    return Harness(
        config=_config(password=PASSWORD),
        unreachable=_config(reachable=False),
        connect=cloud_class.connector(memory),
        stemcell=Stemcell(image=str(image)),
        networks=networks,
        guest=lambda _, vm_cid: MemoryGuest(memory, vm_cid),
        disk_size_of=lambda disk_cid: memory.disks[disk_cid].size,
        tags_of=lambda cid: memory.tags.get(cid, {}),
        census=memory.census,
    )


def _config(**block: Any) -> Mapping[str, Any]:
    return {"cloud": {"plugin": "memory", "properties": {"memory": block}}}
