"""Signals during a durable move: the first asks it to stop, the second exits at once."""

import os
import signal
from types import FrameType
from typing import Final, NoReturn

from cpi.cli import screen

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
INTERRUPTED_STATUS: Final = 130


class Stopping:
    """Whether the command was asked to stop."""

    def __init__(self, hint: str) -> None:
        """hint is shown when it exits at once: what to do next."""
        self._hint = hint
        self.asked = False
        for number in _SIGNALS:
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            leave(self._hint)
        self.asked = True


def leave(message: str, status: int = INTERRUPTED_STATUS) -> NoReturn:
    """Exit at once, without waiting for the threads of a running move: another process takes it over."""
    try:
        screen.show_at_once(message)
    finally:
        os._exit(status)


def give_up(message: str) -> NoReturn:
    """Exit at once: the database does not answer and nothing is running here."""
    leave(message, screen.FAULT_STATUS)
