"""How often a call is repeated: some times what failed by chance, for minutes what there is no time for now."""

from collections.abc import Callable
from typing import Final, TypeVar

from cpi.contract import errors
from cpi.kit.retrying import repeated
from cpi_drivers.vsphere.api.errors import Throttled

T = TypeVar("T")

SECONDS: Final = 600.0
"""A service that is started again, and a VM that is migrated, take less."""

_ATTEMPTS: Final = 4
_WITHOUT_END: Final = 1_000_000


def patiently(
    attempt: Callable[[], T],
    on: tuple[type[errors.Error], ...],
    at_least: Callable[[BaseException], float] = lambda _: 0.0,
) -> T:
    """Its answer, after four attempts that raise on at most; those that are throttled do not count."""
    return at_length(lambda: repeated(attempt, on=on, unless=Throttled, attempts=_ATTEMPTS), Throttled, at_least)


def briefly(attempt: Callable[[], T], on: tuple[type[errors.Error], ...]) -> T:
    """Its answer, after four attempts that raise on at most."""
    return repeated(attempt, on=on, attempts=_ATTEMPTS)


def at_length(attempt: Callable[[], T], on: type[errors.Error], at_least: Callable[[BaseException], float] = lambda _: 0.0) -> T:
    """Its answer, however many attempts raise on before."""
    return repeated(attempt, on=on, attempts=_WITHOUT_END, deadline_seconds=SECONDS, at_least=at_least)
