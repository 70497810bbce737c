"""Being told to stop in the middle of a call: the driver gets an exception and undoes what it made, and an answer follows."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Final

from cpi.kit import undo

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_BETWEEN: Final = frozenset({undo.__name__, __name__, "cpi.rpc.binding", "cpi.rpc.dispatcher"})


class Interrupted(BaseException):
    """No Exception: a driver that catches everything must not swallow it."""


class Interruption:
    """Turns the first signal while armed into Interrupted, in the main thread.

    Every other signal is passed over: a second one must not break the undoing, one during an undo must not either, and
    one after the call must not lose its answer. So is one that comes between the driver and Undo or the dispatcher, where
    something may have been made that is not yet in anybody's hands.
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

    def _handle(self, number: int, frame: FrameType | None) -> None:
        between = frame is not None and frame.f_globals.get("__name__") in _BETWEEN
        if self._armed and not between and not undo.under_way():
            self._armed = False
            raise Interrupted(signal.Signals(number).name)
