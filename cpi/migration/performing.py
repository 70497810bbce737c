"""The seam between a move and who carries it out: every part that touches the world goes through one call.

In the plain form a part is simply done. An engine may keep what each part answered, and answer from its records when the
same move is gone through again; so the parts are named, their answers are plain values, and between them nothing is asked.
"""

import time
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

import msgspec

T = TypeVar("T")

UNDO: Final = "undo "
"""What the name of a part begins with that undoes another one."""


class Done(msgspec.Struct, Generic[T], frozen=True):
    """What a part of a move answered, and when."""

    answer: T
    began: float
    """Seconds since 1970."""

    seconds: float


class Perform(Protocol):
    """Carries out a part of a move."""

    def __call__(self, name: str, kind: type[T], call: Callable[[], T], /) -> Done[T]:
        """The answer of call, which is a kind. Raises what call raises."""


def directly(_name: str, _kind: type[T], call: Callable[[], T], /) -> Done[T]:
    """Here and now."""
    began, clock = time.time(), time.monotonic()
    answer = call()
    return Done(answer, began, time.monotonic() - clock)
