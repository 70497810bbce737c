"""The disks that a VM is born with: root, ephemeral, instance stores."""

import string
from typing import Any, Final, NamedTuple

from cpi.contract import errors
from cpi.contract.units import MiB, gib_from_mib
from cpi_drivers.aws.api.facts import RootDisk
from cpi_drivers.aws.api.vm_types import VmType
from cpi_drivers.aws.disks.lifecycle import volume
from cpi_drivers.aws.properties import EphemeralDisk, VmProperties
from cpi_drivers.aws.settings import AwsSettings

EPHEMERAL: Final = "/dev/sdb"
"""Where the ephemeral disk is mapped, and what the agent is told, with NVMe too: NVMe devices are numbered anew at each start."""

_EPHEMERAL_SIZE: Final = MiB(10240)


class LaunchDisks(NamedTuple):
    """What RunInstances is told, and what the agent is told."""

    mappings: list[dict[str, Any]]
    ephemeral: str | None
    raw: list[str]


def launch_disks_of(properties: VmProperties, root: RootDisk, kind: VmType, settings: AwsSettings) -> LaunchDisks:
    """The disks of a VM of that kind. Raises CpiError for requests that exclude each other."""
    wanted = properties.ephemeral_disk
    _check(properties, kind)
    on_store = wanted.use_instance_storage
    volumes = [_root(properties, root, settings)]
    if not on_store and not wanted.use_root_disk:
        volumes.append(_ephemeral(wanted, kind, settings))
    stores = _stores(kind, len(volumes), first_is_ephemeral=on_store) if on_store or properties.raw_instance_storage else []
    mappings = volumes + [mapping for _, mapping in stores if mapping]
    if on_store:
        return LaunchDisks(mappings, stores[0][0], [])
    ephemeral = None if wanted.use_root_disk else EPHEMERAL
    return LaunchDisks(mappings, ephemeral, [path for path, _ in stores])


def _check(properties: VmProperties, kind: VmType) -> None:
    wanted = properties.ephemeral_disk
    if not wanted.use_instance_storage:
        return
    others = EphemeralDisk(use_instance_storage=True)
    if wanted != others:
        raise errors.CpiError("ephemeral_disk.use_instance_storage excludes every other key of ephemeral_disk")
    if properties.raw_instance_storage:
        raise errors.CpiError(
            "ephemeral_disk.use_instance_storage excludes raw_instance_storage: the agent would get one disk twice"
        )
    if not kind.stores:
        raise errors.CpiError(f"ephemeral_disk.use_instance_storage: {kind.name} has no instance store")


def _root(properties: VmProperties, root: RootDisk, settings: AwsSettings) -> dict[str, Any]:
    wanted = properties.root_disk
    keys = volume(wanted.type, wanted.iops, wanted.throughput, encrypted=settings.encrypted, kms_key=settings.kms_key_arn)
    size = gib_from_mib(MiB(wanted.size)) if wanted.size else root.size_gib
    if properties.ephemeral_disk.use_root_disk and not wanted.size:
        size = (size or 0) + gib_from_mib(MiB(properties.ephemeral_disk.size or _EPHEMERAL_SIZE))
    if size:
        keys["VolumeSize"] = max(size, root.size_gib or 0)
    return {"DeviceName": root.device, "Ebs": {**keys, "DeleteOnTermination": True}}


def _ephemeral(wanted: EphemeralDisk, kind: VmType, settings: AwsSettings) -> dict[str, Any]:
    encrypted = settings.encrypted if wanted.encrypted is None else wanted.encrypted
    keys = volume(
        wanted.type, wanted.iops, wanted.throughput, encrypted=encrypted, kms_key=wanted.kms_key_arn or settings.kms_key_arn
    )
    size = MiB(wanted.size) if wanted.size else kind.store_size or _EPHEMERAL_SIZE
    return {"DeviceName": EPHEMERAL, "Ebs": {**keys, "VolumeSize": gib_from_mib(size), "DeleteOnTermination": True}}


def _stores(kind: VmType, volumes: int, *, first_is_ephemeral: bool) -> list[tuple[str, dict[str, Any] | None]]:
    """Path in the guest and mapping of each instance store.

    NVMe ones have no mapping, and no name but a number or one with their serial: after the EBS volumes on Nitro, as a rule.
    """
    if kind.nvme_stores:
        first = volumes if kind.nvme else 0
        return [(f"/dev/nvme{first + index}n1", None) for index in range(kind.stores)]
    if first_is_ephemeral:
        return [(EPHEMERAL, {"DeviceName": EPHEMERAL, "VirtualName": "ephemeral0"})]
    paths = [f"/dev/xvdb{letter}" for letter in string.ascii_lowercase[: kind.stores]]
    return [(path, {"DeviceName": path, "VirtualName": f"ephemeral{index}"}) for index, path in enumerate(paths)]
