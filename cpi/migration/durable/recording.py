"""Who carries out a move's parts when their answers are kept: done once, and told from the records ever after."""

import time
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from cpi.contract import errors
from cpi.contract.encoding import from_plain, to_plain
from cpi.durable.engine import NotKept
from cpi.kit.waiting import pause
from cpi.migration.durable import faults
from cpi.migration.performing import UNDO, Done, directly
from cpi.migration.report import Event

T = TypeVar("T")

_FIRST: Final = "plan"
_PAUSE_SECONDS: Final = 5.0


class Keep(Protocol):
    """What an engine offers: the answer of call, or, if this part was done already, the one that was kept."""

    def __call__(self, name: str, call: Callable[[], Any], /) -> Any:
        """Plain values in and out."""


class Recorder:
    """One move's parts, kept."""

    def __init__(
        self,
        keep: Keep,
        ready: Callable[[], object],
        is_cancelled: Callable[[], bool],
        was_cancelled: Callable[[], bool],
        on_event: Callable[[Event], None],
    ) -> None:
        """ready makes the cloud and the agent reachable, or raises cpi.Error. was_cancelled may be late, and takes no time."""
        self._keep = keep
        self._ready = ready
        self._is_cancelled = is_cancelled
        self._was_cancelled = was_cancelled
        self._on_event = on_event
        self._at_work = False
        self._cancellable: frozenset[str] = frozenset({_FIRST})
        self._lost: BaseException | None = None
        self._is_unwritten = False
        self.cancelled = False

    def perform(self, name: str, kind: type[T], call: Callable[[], T], /) -> Done[T]:
        """As directly, once. Raises what call raises, also when that was in another process."""
        if self._lost is not None:
            raise self._lost
        made: list[dict[str, Any]] = []

        def told() -> dict[str, Any]:
            made.append(self._told(name, kind, call))
            return made[-1]

        try:
            kept = self._keep(name, told)
        except NotKept:
            # the first time it stops the move; what is undone or finished then is done, though it cannot be written down
            known, self._is_unwritten = self._is_unwritten or name.startswith(UNDO), True
            if not made or not known:
                raise
            kept = made[-1]
        except Exception:
            raise
        except BaseException as lost:
            # The move is another process's by now, or this one ends: not a hand must be moved any more, not even to undo.
            self._lost = lost
            raise
        if "fault" in kept:
            error = faults.from_plain(kept["fault"])
            self.cancelled = self.cancelled or isinstance(error, faults.MoveCancelled)
            raise error
        if name == _FIRST:
            self._cancellable = _names_before_the_swap(kept["answer"]["course"])
        return Done(from_plain(kept["answer"], kind), kept["began"], kept["seconds"])

    def tell(self, event: Event) -> None:
        """Pass an event on. A part at work that tells of its progress is stopped by a wish to cancel."""
        self._on_event(event)
        if self._at_work:
            self._stop_if(event.step, self._was_cancelled)

    def _told(self, name: str, kind: type[T], call: Callable[[], T]) -> dict[str, Any]:
        began = time.time()
        self._at_work = True
        try:
            self._make_ready(name)
            self._stop_if(name, self._is_cancelled)
            done = directly(name, kind, call)
        except errors.Error as error:
            return {"fault": faults.to_plain(error), "began": began, "seconds": time.time() - began}
        finally:
            self._at_work = False
        return {"answer": to_plain(done.answer), "began": done.began, "seconds": done.seconds}

    def _make_ready(self, name: str) -> None:
        """A move that has begun waits for its cloud and its configuration: it can neither go on nor undo without them."""
        while True:
            try:
                self._ready()
            except errors.VMNotFound:
                if name == _FIRST:
                    raise
                return  # it will not come back: the part, or its undoing, has to say so
            except errors.Error:
                if name == _FIRST:
                    raise
                pause(_PAUSE_SECONDS)
            else:
                return

    def _stop_if(self, name: str, cancelled: Callable[[], bool]) -> None:
        if name in self._cancellable and cancelled():
            raise faults.MoveCancelled("it was cancelled")


def _names_before_the_swap(course: dict[str, Any]) -> frozenset[str]:
    fallback = course.get("fallback") or {}
    return frozenset([*course.get("before", ()), *fallback.get("before", ())])
