"""What is known of EC2's VM types: a table shipped with the driver, and EC2's own answer for the rest."""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from cpi.contract import errors
from cpi.contract.model import CloudProperties, VmResources
from cpi.contract.units import MiB

TABLE: Final = Path(__file__).parent / "vm_types.json"

# Ordinary families: the others are priced for what a VM's resources do not ask for.
_FAMILIES: Final = ("m", "t", "c", "r", "x")
_RAM_OF_A_CPU: Final = 2048  # about what a vCPU costs, in MiB of memory


class VmType(NamedTuple):
    """One VM type."""

    name: str
    cpus: int
    ram: int
    """MiB"""

    nvme: bool
    """Disks appear as NVMe devices."""

    stores: int
    """How many instance stores there are."""

    store_gb: int
    """Size of each, in GB."""

    nvme_stores: bool
    intel: bool
    """x86_64"""

    ordinary: bool
    """Of the current generation, virtual, without accelerators."""

    @property
    def store_size(self) -> MiB | None:
        """Size of the first instance store."""
        return MiB(self.store_gb * 1000**3 // 1024**2) if self.stores else None


def shipped(name: str) -> VmType | None:
    """What the table says."""
    row = table().get(name)
    return VmType(name, *row) if row else None


@functools.cache
def table() -> Mapping[str, Any]:
    """The shipped table."""
    document: dict[str, Any] = json.loads(TABLE.read_text(encoding="utf-8"))
    found: dict[str, Any] = document["types"]
    return found


def from_answer(item: Mapping[str, Any]) -> VmType:
    """From an entry of DescribeInstanceTypes."""
    store = item.get("InstanceStorageInfo", {})
    disks = store.get("Disks", [])
    special = any(
        item.get(key) for key in ("GpuInfo", "FpgaInfo", "InferenceAcceleratorInfo", "NeuronInfo", "MediaAcceleratorInfo")
    )
    return VmType(
        name=item["InstanceType"],
        cpus=item.get("VCpuInfo", {}).get("DefaultVCpus", 0),
        ram=item.get("MemoryInfo", {}).get("SizeInMiB", 0),
        nvme=item.get("EbsInfo", {}).get("NvmeSupport") == "required",
        stores=sum(disk.get("Count", 1) for disk in disks),
        store_gb=disks[0].get("SizeInGB", 0) if disks else 0,
        nvme_stores=store.get("NvmeSupport") in ("required", "supported"),
        intel="x86_64" in item.get("ProcessorInfo", {}).get("SupportedArchitectures", ["x86_64"]),
        ordinary=bool(item.get("CurrentGeneration")) and not item.get("BareMetal") and not special,
    )


def guessed(name: str) -> VmType:
    """A type that nobody knows is new, and new ones have NVMe disks."""
    return VmType(name, 0, 0, nvme=True, stores=0, store_gb=0, nvme_stores=True, intel=True, ordinary=False)


def smallest(types: Mapping[str, VmType], wanted: VmResources) -> CloudProperties:
    """cloud_properties of the smallest type that fits. Raises NotSupported if none does."""
    fitting = [kind for kind in types.values() if _fits(kind, wanted)]
    if not fitting:
        raise errors.NotSupported(
            f"no EC2 instance type has {wanted.cpu} CPUs and {wanted.ram} MiB of memory ({len(types)} were looked at)"
        )
    best = min(fitting, key=_rank)
    return {"instance_type": best.name, "ephemeral_disk": {"size": int(wanted.ephemeral_disk_size)}}


def _fits(kind: VmType, wanted: VmResources) -> bool:
    return kind.ordinary and kind.intel and kind.name[0] in _FAMILIES and kind.cpus >= wanted.cpu and kind.ram >= wanted.ram


def _rank(kind: VmType) -> tuple[int, int, int, int, str]:
    family = kind.name.partition(".")[0]
    plain = len(family)  # m5 before m5dn
    return (kind.ram + kind.cpus * _RAM_OF_A_CPU, kind.stores, plain, _FAMILIES.index(family[0]), kind.name)
