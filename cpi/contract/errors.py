"""The ten errors a BOSH director knows, and no eleventh.

    Error                      never raised itself: catch it to catch them all
    ├── CpiError               the CPI or its configuration is at fault
    │   ├── NotImplemented     this CPI has no such method
    │   └── NotSupported       the method exists, this wish can not be met
    └── CloudError             the cloud refused or failed
        ├── VMNotFound
        ├── NetworkNotFound
        ├── NoDiskSpace        ┐
        ├── DiskNotAttached    │ these carry ok_to_retry;
        ├── DiskNotFound       │ the director acts on it for
        └── VMCreationFailed   ┘ VMCreationFailed alone

A driver may subclass any of the ten: the name on the wire is inherited, so no other name can leak.
Which one is safe where is decided by the director's reaction; docs/errors.md has the table.
"""

from collections.abc import Callable
from typing import ClassVar, Final

WIRE_PREFIX: Final = "Bosh::Clouds::"

_cleaning: list[Callable[[str], str]] = []


def clean_messages_with(scrub: Callable[[str], str]) -> None:
    """From now on the message of every error goes through scrub: cpi.kit.redaction asks for it once it knows a secret."""
    _cleaning[:] = [scrub]


class Error(Exception):
    """Whatever a CPI method raises on purpose. Abstract: raise one of the ten."""

    wire_name: ClassVar[str] = ""

    def __init__(self, message: str) -> None:
        if not self.wire_name:
            raise TypeError(f"{type(self).__name__} is abstract: raise one of the director's ten errors")
        for clean in _cleaning:
            message = clean(message)
        super().__init__(message)
        self.message = message
        self.ok_to_retry = False


class _Retriable(Error):
    """Keeps ok_to_retry, as the director does for four of the ten."""

    def __init__(self, message: str, *, ok_to_retry: bool = False) -> None:
        super().__init__(message)
        self.ok_to_retry = ok_to_retry


class CpiError(Error):
    """The request or the configuration is wrong; the cloud was not at fault. Fatal."""

    wire_name = f"{WIRE_PREFIX}CpiError"


class NotImplemented(CpiError):  # noqa: A001 - the director's own name; used as errors.NotImplemented
    """The CPI has no such method. Ignored by the director for metadata and snapshots."""

    wire_name = f"{WIRE_PREFIX}NotImplemented"


class NotSupported(CpiError):
    """The method exists and this wish can not be met: for resize_disk and update_disk the director copies instead."""

    wire_name = f"{WIRE_PREFIX}NotSupported"


class CloudError(Error):
    """The cloud refused or failed. Fatal."""

    wire_name = f"{WIRE_PREFIX}CloudError"


class VMNotFound(CloudError):
    """No VM of that CID exists."""

    wire_name = f"{WIRE_PREFIX}VMNotFound"


class NetworkNotFound(CloudError):
    """No network of that CID exists."""

    wire_name = f"{WIRE_PREFIX}NetworkNotFound"


class NoDiskSpace(CloudError, _Retriable):
    """The cloud has no room for the disk."""

    wire_name = f"{WIRE_PREFIX}NoDiskSpace"


class DiskNotAttached(CloudError, _Retriable):
    """The disk is not attached to that VM."""

    wire_name = f"{WIRE_PREFIX}DiskNotAttached"


class DiskNotFound(CloudError, _Retriable):
    """No disk of that CID exists."""

    wire_name = f"{WIRE_PREFIX}DiskNotFound"


class VMCreationFailed(CloudError, _Retriable):
    """create_vm failed; ok_to_retry is true only if everything made was removed and a repeat may succeed."""

    wire_name = f"{WIRE_PREFIX}VMCreationFailed"


TEN: Final[tuple[type[Error], ...]] = (
    CpiError,
    NotImplemented,
    NotSupported,
    CloudError,
    VMNotFound,
    NetworkNotFound,
    NoDiskSpace,
    DiskNotAttached,
    DiskNotFound,
    VMCreationFailed,
)

BY_WIRE_NAME: Final[dict[str, type[Error]]] = {error.wire_name: error for error in TEN}
