"""Which fault is found by which tests of the suite: by these, and by no others."""

from collections.abc import Callable
from typing import Final, TypeVar

Faulty = TypeVar("Faulty", bound=type)

FAULTS: Final[dict[type, frozenset[str]]] = {}


def found_by(*clauses: str) -> Callable[[Faulty], Faulty]:
    """A cloud or an executable with one fault, and the tests (without their "test_") that have to find it."""

    def note(faulty: Faulty) -> Faulty:
        FAULTS[faulty] = frozenset(clauses)
        return faulty

    return note
