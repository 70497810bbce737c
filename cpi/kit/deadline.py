"""One deadline for a whole call, however many things it touches: what it waits for one after the other shares it."""

import functools
import inspect
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, Protocol, TypeVar

from cpi.contract.cloud import Cloud

_UNTIMED: Final = frozenset({"connect", "close", "for_request", "info", "create_stemcell"})
_BEYOND: Final = frozenset({"grow_attached_disk", "change_attached_disk"})
_OF_CPI: Final = frozenset(name for name, what in vars(Cloud).items() if inspect.isfunction(what) and name[0] != "_")
_CALLS: Final = _OF_CPI - _UNTIMED | _BEYOND


class Deadline:
    """When a call has to have ended."""

    def __init__(self, seconds: float, setting: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self.setting = setting
        """What an operator changes to give calls more time."""
        self.clock = clock
        self._ends = clock() + seconds

    @property
    def left(self) -> float:
        """Seconds until then; 0 once it has passed."""
        return max(self._ends - self.clock(), 0.0)

    @property
    def has_passed(self) -> bool:
        """Whether nothing more may be waited for."""
        return self.left <= 0

    def end(self) -> None:
        """It is as if it had passed: what is left is too short for anything."""
        self._ends = self.clock()

    def anew(self) -> "Deadline":
        """One as long, from now on."""
        return Deadline(self.seconds, self.setting, self.clock)

    def __str__(self) -> str:
        return f"the call's {self.seconds:g} s ({self.setting}) are over"


_current: Final[ContextVar[Deadline | None]] = ContextVar("deadline of this call", default=None)


def current() -> Deadline | None:
    """That of the call that this thread is in."""
    return _current.get()


@contextmanager
def within(deadline: Deadline) -> Iterator[Deadline]:
    """Whatever is waited for or repeated in the block ends by then, or by an outer deadline that is sooner."""
    outer = _current.get()
    kept = _current.set(outer if outer is not None and outer.left <= deadline.left else deadline)
    try:
        yield deadline
    finally:
        _current.reset(kept)


@contextmanager
def time_to_undo() -> Iterator[None]:
    """What a call made is removed even if it is its deadline that made it fail: for that there is as much time again."""
    outer = _current.get()
    kept = _current.set(outer.anew() if outer is not None else None)
    try:
        yield
    finally:
        _current.reset(kept)


class Timed(Protocol):
    """A Cloud whose calls have a deadline."""

    def deadline(self, call: str) -> Deadline:
        """That of a call (`create_vm`, say) which begins now."""


C = TypeVar("C", bound=Timed)


def timed(kind: type[C]) -> type[C]:
    """A class of Cloud, each of whose calls has a deadline, but create_stemcell: an upload takes the time that it takes."""
    for name, method in list(vars(kind).items()):
        if name in _CALLS and inspect.isfunction(method):
            setattr(kind, name, _within_deadline(method))
    return kind


def _within_deadline(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(cloud: Timed, *arguments: Any, **more: Any) -> Any:
        with within(cloud.deadline(method.__name__)):
            return method(cloud, *arguments, **more)

    return call
