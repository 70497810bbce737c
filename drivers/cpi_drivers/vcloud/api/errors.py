"""What Cloud Director's error codes and texts mean in the director's ten words."""

import re
from typing import Final

from cpi.kit import failures
from cpi.kit.redaction import scrubbed

BUSY: Final = "BUSY_ENTITY"
_LONGEST_QUOTE: Final = 500
_MISSING: Final = frozenset({"ACCESS_TO_RESOURCE_IS_FORBIDDEN", "RESOURCE_NOT_FOUND", "NOT_FOUND"})
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_ADDRESS: Final = re.compile(r"\bIP(/MAC)? address", re.IGNORECASE)
_EXHAUSTED: Final = re.compile(
    r"(no|insufficient) (more )?(free |available )?IP addresses|IP (address )?pool|exhausted", re.IGNORECASE
)
_QUOTA: Final = re.compile(r"quota|exceeds? .*(limit|allocat|capacity)|limit .*(reached|exceeded)", re.IGNORECASE)
_SPACE: Final = re.compile(
    r"(insufficient|not enough|no|out of) .*(storage|space|capacity|resource|memory|cpu|datastore)|unable to find .*datastore",
    re.IGNORECASE,
)


class Refused(failures.Refused):
    """The cloud answered that it will not do it, or its task failed."""

    def __init__(self, asked: str, code: int | str, minor: str, said: str) -> None:
        self.said = scrubbed(" ".join(said.split()))[:_LONGEST_QUOTE]
        super().__init__(f"{asked} was refused: {' '.join(part for part in (str(code), minor, self.said) if part)}")
        self.minor = minor


class Missing(Refused, failures.Missing):
    """There is nothing of this id, or nothing that this user may see: the cloud does not tell them apart."""


class Busy(Refused):
    """Another task works on the same entity; nothing was done."""


class NameTaken(Refused):
    """Something of this name is there already."""


class NoCapacity(Refused, failures.NoCapacity):
    """The cloud has no room at the moment, or no address left."""


class AddressTaken(Refused, failures.AddressTaken):
    """The address that was asked for; a repeat would ask for the same."""


class QuotaReached(Refused, failures.QuotaReached):
    """A limit of the organisation, the vDC or a storage profile; a repeat does not help before somebody raises it."""


class Failed(Refused):
    """The cloud tried and failed."""


def refusal(asked: str, code: int, minor: str, said: str) -> Refused:
    """The error for what an Error element says, of an answer or of a task."""
    return _kind(code, minor, said)(asked, code, minor, said)


def _kind(code: int, minor: str, said: str) -> type[Refused]:
    if minor == BUSY:
        return Busy
    if minor == "DUPLICATE_NAME":
        return NameTaken
    if minor in _MISSING or code in {_FORBIDDEN, _NOT_FOUND}:
        return Missing
    for pattern, kind in (
        (_EXHAUSTED, NoCapacity),
        (_ADDRESS, AddressTaken),
        (_QUOTA, QuotaReached),
        (_SPACE, NoCapacity),
    ):
        if pattern.search(said):
            return kind
    return Failed if code >= 500 else Refused  # noqa: PLR2004 - HTTP's faults of servers
