"""The ten errors a BOSH director knows, and no eleventh.

    Error                      never raised itself: catch it to catch them all
    ├── CpiError               the CPI or its configuration is at fault
    │   ├── NotImplemented     this CPI has no such method
    │   └── NotSupported       the method exists, but this request cannot be met
    └── CloudError             the cloud refused or failed
        ├── VMNotFound
        ├── NetworkNotFound
        ├── NoDiskSpace        ┐
        ├── DiskNotAttached    │ these carry ok_to_retry;
        ├── DiskNotFound       │ the director acts on it for
        └── VMCreationFailed   ┘ VMCreationFailed only

A driver may subclass any of the ten: the name on the wire is inherited, so no other name can leak.
The director's reaction decides which one is safe where; docs/errors.md has the table.
"""

from collections.abc import Callable
from typing import ClassVar, Final

WIRE_PREFIX: Final = "Bosh::Clouds::"

_cleaning: list[Callable[[str], str]] = []


def clean_messages_with(scrub: Callable[[str], str]) -> None:
    """Pass the message of every error through scrub from now on: cpi.kit.redaction calls this once it knows a secret."""
    _cleaning[:] = [scrub]


class Error(Exception):
    """Base class of all errors that CPI methods raise. Abstract: raise one of the ten."""

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
    """Carries ok_to_retry, which the director knows for four of the ten."""

    def __init__(self, message: str, *, ok_to_retry: bool = False) -> None:
        super().__init__(message)
        self.ok_to_retry = ok_to_retry


class CpiError(Error):
    """The request or the configuration is wrong; the cloud was not at fault. Fatal."""

    wire_name = f"{WIRE_PREFIX}CpiError"


class NotImplemented(CpiError):  # noqa: A001 - the director's own name; used as errors.NotImplemented
    """The CPI has no such method. The director ignores this error for metadata and snapshots."""

    wire_name = f"{WIRE_PREFIX}NotImplemented"


class NotSupported(CpiError):
    """The method exists, but this request cannot be met: after resize_disk and update_disk the director copies instead."""

    wire_name = f"{WIRE_PREFIX}NotSupported"


class CloudError(Error):
    """The cloud refused or failed. Fatal."""

    wire_name = f"{WIRE_PREFIX}CloudError"


class VMNotFound(CloudError):
    """No VM has this CID."""

    wire_name = f"{WIRE_PREFIX}VMNotFound"


class NetworkNotFound(CloudError):
    """No network has this CID."""

    wire_name = f"{WIRE_PREFIX}NetworkNotFound"


class NoDiskSpace(CloudError, _Retriable):
    """The cloud has no space for the disk."""

    wire_name = f"{WIRE_PREFIX}NoDiskSpace"


class DiskNotAttached(CloudError, _Retriable):
    """The disk is not attached to this VM."""

    wire_name = f"{WIRE_PREFIX}DiskNotAttached"


class DiskNotFound(CloudError, _Retriable):
    """No disk has this CID."""

    wire_name = f"{WIRE_PREFIX}DiskNotFound"


class VMCreationFailed(CloudError, _Retriable):
    """create_vm failed; ok_to_retry is true only if everything created was removed and a retry may succeed."""

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
