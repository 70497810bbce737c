"""A mounted disk that the cloud has made larger: the guest sees it, its partition and its filesystem take what there is."""

from typing import Final

from cpi.agent.shell import Output
from cpi.contract import errors
from cpi.contract.units import MiB, bytes_from_mib, mib_from_bytes
from cpi.kit.retrying import repeated
from cpi.kit.waiting import Overdue, wait_until
from cpi.migration import growing_scripts as scripts
from cpi.migration.extent import TooShort, shortfall
from cpi.migration.guest import Guest

_SEEN_SECONDS: Final = 120.0
_ATTEMPTS: Final = 5
_NOT_YET: Final = "Permission denied to resize filesystem"
_UNSEEN: Final = (
    "what to do: reboot the VM, or detach the disk and attach it again, then resume the move (on OpenStack, Cinder must be able"
    " to notify Nova: see [nova] in cinder.conf)"
)


class _NotYet(errors.CloudError):
    """The kernel has not taken in the new size."""


def why_not_mounted(guest: Guest, size: MiB) -> str:
    """Why the store's disk cannot grow to this size while it is mounted; empty if it can."""
    try:
        return _asked(guest, scripts.FITNESS, str(bytes_from_mib(size))).stdout.decode(errors="replace").strip()
    except errors.Error as error:
        return f"the guest could not be asked: {error.message}"


def grow_in_guest(guest: Guest, size: MiB) -> None:
    """The store has the size when this returns; writing to it went on meanwhile. Raises CloudError saying what is left."""
    _wait_until_seen(guest, size)
    _asked(guest, scripts.PARTITION)
    repeated(lambda: _grow_filesystem(guest), on=_NotYet, attempts=_ATTEMPTS)
    extent = guest.extent(guest.store)
    reason = "" if extent is None else shortfall(extent, size)
    if reason:
        raise TooShort(f"the disk is larger, but not all of it can be used: {reason}")


def _wait_until_seen(guest: Guest, size: MiB) -> None:
    wanted, seen = bytes_from_mib(size), 0

    def look() -> bool:
        nonlocal seen
        said = _asked(guest, scripts.LOOK).stdout.split()
        seen = int(said[0]) if said else wanted  # a folder of the host is as large as its filesystem
        return seen >= wanted

    try:
        wait_until(look, "the guest does not see the new size", deadline_seconds=_SEEN_SECONDS)
    except Overdue as error:
        message = f"the cloud has grown the disk to {size} MiB, and the guest still sees {mib_from_bytes(seen)} MiB"
        raise errors.CloudError(f"{message}; {_UNSEEN}") from error


def _grow_filesystem(guest: Guest) -> None:
    try:
        _asked(guest, scripts.FILESYSTEM)
    except errors.CloudError as error:
        if _NOT_YET in error.message:
            raise _NotYet(error.message) from error
        raise


def _asked(guest: Guest, script: str, *words: str) -> Output:
    return guest.ask(script, guest.store, *words)
