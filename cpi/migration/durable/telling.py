"""What a running move tells to those who look at it from elsewhere, and what they tell it: off the move's own way."""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from cpi.contract.encoding import to_plain
from cpi.kit.redaction import scrubbed
from cpi.migration.report import Event

_BETWEEN_SECONDS: Final = 0.3
_KEPT_EVENTS: Final = 40


class Teller:
    """A thread that writes the newest events of each move down, and asks whether the move is cancelled."""

    def __init__(self, write: Callable[[str, Mapping[str, Any]], object], is_cancelled: Callable[[str], bool | None]) -> None:
        self._write = write
        self._ask = is_cancelled
        self._guard = threading.Lock()
        self._recent: dict[str, deque[dict[str, Any]]] = {}
        self._changed: set[str] = set()
        self._numbers: dict[str, int] = {}
        self._cancelled: set[str] = set()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="move teller", daemon=True)
        self._thread.start()

    def begin(self, move_id: str) -> None:
        """A move is under way here."""
        with self._guard:
            self._recent[move_id] = deque(maxlen=_KEPT_EVENTS)
            self._numbers[move_id] = 0

    def tell(self, move_id: str, event: Event) -> None:
        """Something happened; returns at once."""
        with self._guard:
            self._numbers[move_id] += 1
            plain = {**to_plain(event), "message": scrubbed(event.message), "serial": self._numbers[move_id]}
            recent = self._recent[move_id]
            if recent and recent[-1]["kind"] == plain["kind"] == "progress":
                recent.pop()
            recent.append(plain)
            self._changed.add(move_id)

    def is_cancelled(self, move_id: str) -> bool:
        """Whether somebody wished so; asked of the database now and then, so that it can be asked here at any time."""
        return move_id in self._cancelled

    def end(self, move_id: str) -> None:
        """The move is over; its last events are written.

        By a thread of its own: what the thread of a work asks the engine is kept as a step of it, also that it failed.
        """
        writer = threading.Thread(target=self._flush, args=(move_id,), name="last words")
        writer.start()
        writer.join()
        with self._guard:
            self._recent.pop(move_id, None)
            self._changed.discard(move_id)

    def close(self) -> None:
        """Stop telling."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ending.wait(_BETWEEN_SECONDS):
            with self._guard:
                moves = list(self._recent)
            for move_id in moves:
                self._flush(move_id)
                if self._ask(move_id):
                    self._cancelled.add(move_id)

    def _flush(self, move_id: str) -> None:
        with self._guard:
            if move_id not in self._changed:
                return
            self._changed.discard(move_id)
            recent = list(self._recent.get(move_id, ()))
        self._write(move_id, {"events": recent})
