"""Being told to stop while a durable move goes on: the first signal asks, the second leaves everything as it is."""

import os
import signal
from types import FrameType
from typing import Final, NoReturn

from cpi.cli import screen

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
INTERRUPTED_STATUS: Final = 130


class Stopping:
    """Whether the command was told to stop."""

    def __init__(self, hint: str) -> None:
        """hint is shown when it leaves at once: what has to be done then."""
        self._hint = hint
        self.asked = False
        for number in _SIGNALS:
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            leave(self._hint)
        self.asked = True


def leave(message: str, status: int = INTERRUPTED_STATUS) -> NoReturn:
    """End at once: the threads of a move under way are not waited for, another process takes it up."""
    try:
        screen.show_at_once(message)
    finally:
        os._exit(status)


def give_up(message: str) -> NoReturn:
    """End at once, for the database does not answer and nothing is under way here."""
    leave(message, screen.FAULT_STATUS)
