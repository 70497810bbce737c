"""Passes alerts on to every responder: off the monitor's way, and again if one fails."""

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from cpi.contract import errors
from cpi.kit.redaction import scrubbed
from cpi.kit.retrying import repeated
from cpi.resurrection.alert import SEVERITIES, Alert
from cpi.resurrection.responders.finding import LEAST, responder_of
from cpi.resurrection.responders.responder import Responder

_ATTEMPTS: Final = 5
_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 30.0
_LAST_WORDS_SECONDS: Final = 30.0
_KEPT: Final = 1000

OnFault = Callable[[str], None]
"""Told which responder could not tell what."""


class _Line:
    """One responder and the thread that calls it."""

    def __init__(self, name: str, responder: Responder, least: str, on_fault: OnFault) -> None:
        self._name = name
        self._responder = responder
        self._least = SEVERITIES.index(least)
        self._on_fault = on_fault
        self._waiting: queue.Queue[Alert | None] = queue.Queue(_KEPT)
        self._thread = threading.Thread(target=self._run, name=f"responder {name}", daemon=True)
        self._thread.start()

    def tell(self, alert: Alert) -> None:
        if not alert.kind.ends and SEVERITIES.index(alert.kind.severity) < self._least:
            return
        try:
            self._waiting.put_nowait(alert)
        except queue.Full:
            self._on_fault(f"{self._name}: too many queued alerts; this one is lost: {alert.message}")

    def close(self) -> None:
        self._waiting.put(None)
        self._thread.join(_LAST_WORDS_SECONDS)
        self._responder.close()

    def _run(self) -> None:
        while (alert := self._waiting.get()) is not None:
            try:
                repeated(
                    lambda alert=alert: self._responder.respond(alert),  # type: ignore[misc]  # a default binds it
                    on=errors.CloudError,
                    attempts=_ATTEMPTS,
                    first_pause_seconds=_FIRST_PAUSE_SECONDS,
                    longest_pause_seconds=_LONGEST_PAUSE_SECONDS,
                )
            except errors.Error as error:
                self._on_fault(f"{self._name}: {error.message}; undelivered alert: {alert.message}")


class Switchboard:
    """All responders of a file."""

    def __init__(self, documents: Sequence[Mapping[str, Any]], on_fault: OnFault) -> None:
        """Raises CpiError for what is no responder."""
        named = [(f"responders[{number}]", document) for number, document in enumerate(documents, 1)]
        made = [(f"{where} ({document['type']})", responder_of(document, where), document) for where, document in named]
        self._lines = [
            _Line(name, responder, str(document.get(LEAST, SEVERITIES[0])), on_fault) for name, responder, document in made
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for line in self._lines:
            line.close()

    def tell(self, alert: Alert) -> None:
        """Tell all of them, without what this process knows to be secret; returns at once."""
        alert = msgspec.structs.replace(alert, message=scrubbed(alert.message))
        for line in self._lines:
            line.tell(alert)
