"""Machine types: custom ones by cpu and memory, and how many local SSDs a type needs."""

import re
from typing import Final

from cpi.contract import errors
from cpi.contract.model import CloudProperties, VmResources
from cpi.contract.units import MiB, gib_from_mib
from cpi_drivers.google.properties import VmProperties

_RAM_STEP: Final = 256
_LEAST_RAM_OF_A_CPU: Final = 922  # 0.9 GB, of n1
_MOST_RAM_OF_A_CPU: Final = 6656  # 6.5 GB
_MOST_CPUS: Final = 96
_SYSTEM_GIB: Final = 5
_LEAST_ROOT_GIB: Final = 10
_LARGEST_ROOT_GIB: Final = 65536

# The least number of local SSDs for so many CPUs at most, by series; others take one.
_LOCAL_SSDS: Final = {
    "n2": ((10, 1), (20, 2), (40, 4), (80, 8), (128, 16)),
    "n2d": ((16, 1), (48, 2), (80, 4), (224, 8)),
    "c2": ((8, 1), (16, 2), (30, 4), (60, 8)),
    "c2d": ((16, 1), (32, 2), (56, 4), (112, 8)),
}
_LOCAL_SSDS_OF: Final = {
    "a2-highgpu-2g": 2,
    "a2-highgpu-4g": 4,
    "a2-highgpu-8g": 8,
    "a2-megagpu-16g": 8,
    "g2-standard-24": 2,
    "g2-standard-48": 4,
    "g2-standard-96": 8,
    "m3-ultramem-32": 4,
    "m3-megamem-64": 4,
    "m3-ultramem-64": 4,
    "m3-megamem-128": 8,
    "m3-ultramem-128": 8,
}
_NO_LOCAL_SSD: Final = frozenset({"e2", "f1", "g1", "n4", "t2a", "t2d"})
_ONLY_LSSD: Final = frozenset({"c3", "c3d", "c4", "c4a", "c4d", "c4n", "h4d"})
_ALWAYS_LOCAL_SSD: Final = frozenset({"z3", "z4d", "z4m", "a3", "a4", "a4x", "a5x"})
_SCSI_DISKS: Final = frozenset({"n1", "n2", "n2d", "c2", "c2d", "a2", "g2"})


def names(properties: VmProperties) -> tuple[str, ...]:
    """The types to try, in order. Raises CpiError that says what is missing."""
    if properties.machine_type and (properties.cpu or properties.ram):
        raise errors.CpiError("cloud_properties.machine_type: excludes cpu and ram")
    one = (properties.machine_type,) if properties.machine_type else ()
    if not one and not properties.machine_types:
        if not (properties.cpu and properties.ram):
            raise errors.CpiError("cloud_properties.machine_type: is missing; or give cpu and ram, or machine_types")
        one = (custom(properties.machine_series, properties.cpu, properties.ram),)
    return tuple(dict.fromkeys((*one, *properties.machine_types)))


def custom(series: str, cpu: int, ram: int) -> str:
    """n1 has no prefix."""
    return f"{'' if series == 'n1' else f'{series}-'}custom-{cpu}-{ram}"


def local_ssds(machine_type: str) -> int:
    """How many local SSDs a VM of that type has to be given at least; none, where the type brings them. Raises CpiError."""
    series = _series(machine_type)
    if series in _ALWAYS_LOCAL_SSD or machine_type.endswith("-lssd") or machine_type.startswith("a2-ultragpu-"):
        return 0
    if series in _NO_LOCAL_SSD or series in _ONLY_LSSD:
        instead = f"name one that ends with -lssd: {machine_type}-lssd" if series in _ONLY_LSSD else "name one of another series"
        raise errors.CpiError(f"cloud_properties.ephemeral_disk_type: {machine_type} has no local SSD; {instead}")
    found = re.search(r"-(\d+)", machine_type)
    cpus = int(found[1]) if found else 1
    by_cpus = next((count for most, count in _LOCAL_SSDS.get(series, ()) if cpus <= most), 1)
    return _LOCAL_SSDS_OF.get(machine_type, by_cpus)


def local_ssd_device(machine_type: str) -> str:
    """Where the guest sees the first: newer series have their other disks on NVMe as well."""
    return "/dev/nvme0n1" if _series(machine_type) in _SCSI_DISKS else "/dev/disk/by-id/google-local-nvme-ssd-0"


def _series(machine_type: str) -> str:
    """`n1` for a custom type without a prefix."""
    first = machine_type.partition("-")[0]
    return "n1" if first == "custom" else first


def smallest(wanted: VmResources) -> CloudProperties:
    """cloud_properties of the smallest custom n1 that fits. Raises NotSupported if none does.

    The ephemeral disk is a part of the root disk here.
    """
    ram = max(wanted.ram, _LEAST_RAM_OF_A_CPU * _even(wanted.cpu))
    ram = -(-ram // _RAM_STEP) * _RAM_STEP
    cpus = _even(max(wanted.cpu, -(-ram // _MOST_RAM_OF_A_CPU)))
    ram = max(ram, -(-_LEAST_RAM_OF_A_CPU * cpus // _RAM_STEP) * _RAM_STEP)
    root = max(gib_from_mib(MiB(wanted.ephemeral_disk_size)) + _SYSTEM_GIB, _LEAST_ROOT_GIB)
    if cpus > _MOST_CPUS or root > _LARGEST_ROOT_GIB:
        raise errors.NotSupported(
            f"no n1 has {wanted.cpu} CPUs, {wanted.ram} MiB of memory and {wanted.ephemeral_disk_size} MiB of disk:"
            f" name a machine_type of a larger series"
        )
    return {"cpu": cpus, "ram": ram, "root_disk_size_gb": root}


def _even(cpus: int) -> int:
    """One, or an even number."""
    return max(cpus, 1) if cpus <= 1 else cpus + cpus % 2
