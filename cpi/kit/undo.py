"""A method that makes several things as one transaction: whatever fails, what was made is removed, last first."""

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from cpi.kit import deadline
from cpi.kit.redaction import scrubbed

_log = logging.getLogger(__name__)
_this_thread = threading.local()


def under_way() -> bool:
    """Whether this thread is removing what was made: not a moment to interrupt it."""
    return getattr(_this_thread, "undoing", False)


class Undo:
    """Remembers how to remove what was made, and does so unless the block ends well.

        with Undo() as undo:
            disk = make_disk()
            undo.push(f"disk {disk}", lambda: remove(disk))
            ...

    A removal that fails is logged and never hides the error that caused it; `clean` tells whether all went.
    SIGTERM and KeyboardInterrupt undo as well.
    """

    def __init__(self) -> None:
        self._steps: list[tuple[str, Callable[[], object]]] = []
        self.clean = True

    def push(self, what: str, remove: Callable[[], object]) -> None:
        """Remember how to remove what was just made."""
        self._steps.append((what, remove))

    def roll_back(self) -> None:
        """Remove everything remembered, last first."""
        outer, _this_thread.undoing = under_way(), True
        try:
            with deadline.time_to_undo():
                while self._steps:
                    self._remove(*self._steps.pop())
        finally:
            _this_thread.undoing = outer

    def _remove(self, what: str, remove: Callable[[], object]) -> None:
        try:
            remove()
        except Exception as error:  # noqa: BLE001 - the error that led here must not be hidden
            self.clean = False
            _log.error("could not remove %s, it is left behind: %s", what, scrubbed(str(error)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None:
            self.roll_back()
