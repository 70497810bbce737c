"""Being told to stop in the middle of a call: the driver gets an exception and undoes what it made, and an answer follows."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Final

from cpi.kit import undo

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Interrupted(BaseException):
    """No Exception: a driver that catches everything must not swallow it."""


class Interruption:
    """Turns the first signal while armed into Interrupted, in the main thread.

    Every other signal is passed over: a second one must not break the undoing, one during an undo must not either, and
    one after the call must not lose its answer.
    """

    def __init__(self) -> None:
        self._armed = False

    def install(self) -> None:
        """Only the main thread may."""
        for number in SIGNALS:
            signal.signal(number, self._handle)

    @contextlib.contextmanager
    def armed(self) -> Iterator[None]:
        """While in the block."""
        self._armed = True
        try:
            yield
        finally:
            self._armed = False

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._armed and not undo.under_way():
            self._armed = False
            raise Interrupted(signal.Signals(number).name)
