"""What CloudStack's error codes mean in the director's ten words."""

import re
from typing import Final

from cpi.contract import errors
from cpi.kit import failures
from cpi.kit.redaction import scrubbed

UNAUTHORIZED: Final = 401
THROTTLED: Final = 429
PARAMETER: Final = 431
CAPACITY: Final = 533
_LONGEST_QUOTE: Final = 500
_MISSING: Final = re.compile(
    r"entity does not exist|unable to (find|aquire|acquire)\b|does ?n.t exist|does not exist", re.IGNORECASE
)
_ADDRESS: Final = re.compile(r"\bIP address\b", re.IGNORECASE)
_AFTER: Final = re.compile(r"after\s+(\d+)\s*ms", re.IGNORECASE)


class Refused(failures.Refused):
    """The cloud answered that it will not do it, or its job failed."""

    def __init__(self, asked: str, code: int, said: str) -> None:
        self.said = scrubbed(" ".join(said.split()))[:_LONGEST_QUOTE]
        super().__init__(f"{asked} was refused: {code} {self.said}".rstrip())
        self.code = code


class Missing(Refused, failures.Missing):
    """431: an id that nothing has."""


class NoCapacity(Refused, failures.NoCapacity):
    """533: the cloud has none at the moment, an address or a host, say."""


class AddressTaken(Refused, failures.AddressTaken):
    """533 for an address that was asked for: a repeat would ask for the same."""


class NotLetIn(errors.CpiError):
    """401: the keys are not taken; or a server that has just been started says so, once."""


class QuotaReached(Refused, failures.QuotaReached):
    """535, 532: the account's limit; a repeat does not help before somebody raises it or makes room."""


class Unknown(Refused):
    """432: this version of CloudStack, or this account, has no such command."""


class Failed(Refused):
    """530, 534: the cloud tried and failed."""


_KINDS: Final[dict[int, type[Refused]]] = {
    432: Unknown,
    530: Failed,
    532: QuotaReached,
    533: NoCapacity,
    534: Failed,
    535: QuotaReached,
}


def refusal(asked: str, code: int, said: str) -> errors.Error:
    """The error for an errorcode and its text, of an answer or of a job."""
    if code == UNAUTHORIZED:
        return NotLetIn(f"{asked}: the endpoint does not take api_key and secret_access_key: {scrubbed(said)}")
    if code == THROTTLED:
        return failures.Passing(f"{asked}: {code} {said}", after_seconds=_milliseconds(said) / 1000)
    if code == PARAMETER and _MISSING.search(said):
        return Missing(asked, code, said)
    if code == CAPACITY and _ADDRESS.search(said):
        return AddressTaken(asked, code, said)
    return _KINDS.get(code, Refused)(asked, code, said)


def _milliseconds(said: str) -> int:
    found = _AFTER.search(said)
    return int(found[1]) if found else 0
