"""Whether all of a new disk can be used: a label of the old kind ends at 2 TiB, and a filesystem may be made too small."""

from typing import Final

from cpi.contract import errors
from cpi.contract.units import MiB, bytes_from_mib, mib_from_bytes
from cpi.migration.guest import Extent, Guest

MBR_LABEL: Final = "the disk has an MBR label, which ends at 2 TiB"
_MBR_ENDS: Final = 2 << 40
# Labels keep their place and clouds round. A filesystem keeps room for its inodes and its log: of a small disk, much.
_OF_A_DISK: Final = 0.95
_OF_A_PARTITION: Final = 0.75
_SMALL: Final = 1 << 30


class TooShort(errors.CloudError):
    """Not all of a disk can be used; the message has the figures."""


def check_extent(guest: Guest, folder: str, size: MiB) -> tuple[str, ...]:
    """A note if the disk that is mounted there is far larger than what was ordered. Raises TooShort if it is far less."""
    extent = guest.extent(folder)
    if extent is None:
        return ()
    reason = shortfall(extent, size)
    if reason:
        raise TooShort(f"not all of the new disk can be used: {reason}")
    if extent.disk * _OF_A_DISK <= bytes_from_mib(size):
        return ()
    why = "the cloud rounds up, or created this disk for an earlier attempt of the same move"
    return (f"{size} MiB were requested, but the new disk has {mib_from_bytes(extent.disk)} MiB: {why}",)


def shortfall(extent: Extent, size: MiB) -> str:
    """Where the size is lost, with the figures and what to do; empty if it is not."""
    if extent.disk < bytes_from_mib(size) * _OF_A_DISK:
        return f"{size} MiB were requested, but the guest sees a disk of {mib_from_bytes(extent.disk)} MiB"
    if extent.partition < extent.disk * _OF_A_DISK:
        return (
            f"the disk has {mib_from_bytes(extent.disk)} MiB, its partition {mib_from_bytes(extent.partition)} MiB{_why(extent)}"
        )
    if extent.partition >= _SMALL and extent.filesystem < extent.partition * _OF_A_PARTITION:
        return (
            f"the device has {mib_from_bytes(extent.partition)} MiB, its filesystem {mib_from_bytes(extent.filesystem)} MiB;"
            " what to do: the agent of this stemcell has to make and grow filesystems of this size"
        )
    return ""


def _why(extent: Extent) -> str:
    if extent.partition > _MBR_ENDS or extent.disk <= _MBR_ENDS:
        return ""
    return ": an MBR label ends at 2 TiB; what to do: the agent of this stemcell has to label disks with GPT"
