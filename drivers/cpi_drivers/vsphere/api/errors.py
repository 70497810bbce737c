"""What vSphere's faults mean in the director's ten words."""

import socket
import ssl
from typing import Any, Final

from pyVmomi import vmodl

from cpi.contract import errors
from cpi.kit import failures
from cpi.kit.redaction import scrubbed

SDK_FAULTS: Final[type[BaseException]] = vmodl.MethodFault

_HOW_TO_TRUST: Final = (
    "connection_options.ca_cert must hold the certificate of its issuer, or the word `insecure`: then any certificate is taken, "
    "as the official CPI does without a ca_cert"
)
_LONGEST_QUOTE: Final = 500
_NO_ROOM: Final = frozenset({"NoDiskSpace", "InsufficientStorageSpace", "DatastoreNotWritableOnHost"})


class Refused(failures.Refused):
    """The vCenter answered that it will not do it, or that it could not."""

    def __init__(self, asked: str, fault: str, said: str, about: str = "") -> None:
        super().__init__(f"{asked} was refused: {fault}: {said}".rstrip(": "))
        self.fault = fault
        self.said = said
        self.about = about
        """The name of what it is about, where the fault tells one."""

    @property
    def is_no_room(self) -> bool:
        """Whether a datastore is full."""
        return self.fault in _NO_ROOM


class AnswerLost(failures.AnswerLost):
    """A call went out and no answer came, or one that tells nothing: it may have been done."""


class Unreached(failures.Unreached):
    """No connection: nothing was done."""


class Throttled(Unreached, failures.Throttled):
    """Too many calls, or a service that is not up yet: nothing was done."""


THROTTLED: Final = frozenset({429, 503})
"""The statuses that say so."""


def name_of(fault: Any) -> str:
    """`FileNotFound` of a fault's type."""
    return type(fault).__name__.rpartition(".")[2]


def refusal(asked: str, fault: Any) -> Refused:
    """The error for a SOAP fault, or for the fault of a task."""
    return Refused(asked, name_of(fault), _said(fault), str(getattr(fault, "name", None) or ""))


def unanswered(asked: str, error: Exception, where: str) -> errors.CloudError:
    """No answer from where, by which error. Nothing was done if there was no connection, or if a proxy in between said so."""
    told = str(error) or type(error).__name__
    if told[:3].isdecimal() and int(told[:3]) in THROTTLED:
        return Throttled(f"{asked}: {where} has no time now: {told}")
    if isinstance(error, ssl.SSLCertVerificationError):
        return Unreached(f"{asked}: {where} cannot be reached: its certificate is not trusted: {error.args[-1]}. {_HOW_TO_TRUST}")
    if isinstance(error, ConnectionRefusedError | socket.gaierror):
        return Unreached(f"{asked}: {where} cannot be reached: {told}")
    return AnswerLost(f"{asked}: no answer from {where}: {told}")


def _missing(fault: Any) -> str | None:
    """Of NoPermission: the privilege, and what it is missing on."""
    privilege, thing = getattr(fault, "privilegeId", None), getattr(fault, "object", None)
    if not privilege:
        return None
    on = f" on {name_of(thing)} {thing._moId}" if thing is not None else ""  # noqa: SLF001 - an id has no public name in the SDK
    return f"the privilege {privilege}{on} is missing"


def _said(fault: Any) -> str:
    details = [getattr(message, "message", None) for message in getattr(fault, "faultMessage", None) or ()]
    parts = [
        getattr(fault, "localizedMessage", None) or getattr(fault, "msg", None),
        getattr(fault, "file", None),
        _missing(fault),
        *details,
    ]
    told = dict.fromkeys(str(part).strip() for part in parts if part)
    return scrubbed("; ".join(text for text in told if text))[:_LONGEST_QUOTE]
