"""Which fault is found by which tests of the suite: by these, and by no others."""

from collections.abc import Callable
from typing import Final, TypeVar

from tests.unit.cpi.testing.memory_cloud import MemoryCloud

Faulty = TypeVar("Faulty", bound=type[MemoryCloud])

FAULTS: Final[dict[type[MemoryCloud], frozenset[str]]] = {}


def found_by(*clauses: str) -> Callable[[Faulty], Faulty]:
    """A cloud with one fault, and the tests (without their "test_") that have to find it."""

    def note(faulty: Faulty) -> Faulty:
        FAULTS[faulty] = frozenset(clauses)
        return faulty

    return note
