"""Machine types: custom ones by cpu and memory, and how many local SSDs a type needs."""

import re
from typing import Final

from cpi.contract import errors
from cpi.contract.model import CloudProperties, VmResources
from cpi.contract.units import MiB, gib_from_mib
from drivers.google.properties import VmProperties

_RAM_STEP: Final = 256
_LEAST_RAM_OF_A_CPU: Final = 922  # 0.9 GB, of n1
_MOST_RAM_OF_A_CPU: Final = 6656  # 6.5 GB
_MOST_CPUS: Final = 96
_SYSTEM_GIB: Final = 5
_LEAST_ROOT_GIB: Final = 10
_LARGEST_ROOT_GIB: Final = 65536

# How many local SSDs go with how many CPUs at most, by series; others take one.
_LOCAL_SSDS: Final = {
    "n2": ((10, 1), (20, 2), (40, 4), (80, 8), (128, 16)),
    "n2d": ((16, 1), (48, 2), (80, 4), (224, 8)),
}


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
    """How many local SSDs a VM of that type has to have at least."""
    found = re.match(r"(?P<series>[a-z0-9]+)-(?:custom|[a-z]+)-(?P<cpus>\d+)", machine_type)
    if not found:
        return 1
    cpus = int(found["cpus"])
    return next((count for most, count in _LOCAL_SSDS.get(found["series"], ()) if cpus <= most), 1)


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
