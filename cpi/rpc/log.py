"""The log of a call: each line once, live on stderr with the request's id, or in the answer's `log`.

A director and its command line write both to one log: a line that stderr took does not come again in `log`.
"""

import contextlib
import logging
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from cpi.kit import redaction

_STDERR: Final = 2
_LONGEST_LINE: Final = 8_192
_HEAD_CHARACTERS: Final = 65_536
_TAIL_CHARACTERS: Final = 196_608
_CONTROL_CHARACTERS: Final = {code: f"\\x{code:02x}" for code in range(32) if chr(code) != "\t"}


class CallLog(logging.Handler):
    """The log of one call: scrubbed of the call's secrets, valid UTF-8. What is below live_level stays off stderr."""

    def __init__(self, request_id: str = "", live_level: int = logging.DEBUG) -> None:
        super().__init__(logging.DEBUG)
        self._live_level = live_level
        self.request_id = request_id
        self._lines = _Bounded()

    def hide(self, *documents: object) -> None:
        """From now on no secret of the documents shows."""
        for document in documents:
            redaction.remember(redaction.secrets_in(document))

    def scrub(self, text: str) -> str:
        """Text as people may read it."""
        return redaction.scrubbed(text).encode("utf-8", "replace").decode()

    def text(self) -> str:
        """What stderr has not got, its middle left out where it was too much."""
        return self._lines.text()

    def emit(self, record: logging.LogRecord) -> None:
        """Each line of it on its own, so that every line carries the request's id."""
        head = f"{_stamp(record.created)} {record.levelname} [req_id {self.request_id or '-'}] {record.name}:"
        for line in self.scrub(_message(record)).splitlines() or [""]:
            written = f"{self.scrub(head)} {line}".translate(_CONTROL_CHARACTERS)[:_LONGEST_LINE] + "\n"
            if record.levelno < self._live_level or not _is_written(written):
                self._lines.add(written)

    @contextlib.contextmanager
    def capturing(self) -> Iterator[None]:
        """Everything logged at INFO and above, by whomever, comes here until the block ends."""
        root = logging.getLogger()
        level = root.level
        root.addHandler(self)
        root.setLevel(logging.INFO)
        logging.captureWarnings(capture=True)
        try:
            yield
        finally:
            logging.captureWarnings(capture=False)
            root.removeHandler(self)
            root.setLevel(level)


def _is_written(line: str) -> bool:
    """Whether stderr took the whole line."""
    left = line.encode()
    with contextlib.suppress(OSError):  # closed, or full
        while left:
            left = left[os.write(_STDERR, left) :]
    return not left


def be_chatty(packages: Iterable[str]) -> None:
    """DEBUG too for these packages; not for SDKs, which would show whole requests."""
    for package in packages:
        logging.getLogger(package).setLevel(logging.DEBUG)


class _Bounded:
    """The first lines and the last."""

    def __init__(self) -> None:
        self._head: list[str] = []
        self._tail: deque[str] = deque()
        self._room = _HEAD_CHARACTERS
        self._tail_size = 0
        self._left_out = 0

    def add(self, line: str) -> None:
        if not self._tail and len(line) <= self._room:
            self._head.append(line)
            self._room -= len(line)
            return
        self._tail.append(line)
        self._tail_size += len(line)
        while self._tail_size > _TAIL_CHARACTERS:
            self._tail_size -= len(self._tail.popleft())
            self._left_out += 1

    def text(self) -> str:
        gap = [f"… {self._left_out} lines left out …\n"] if self._left_out else []
        return "".join([*self._head, *gap, *self._tail])


def _message(record: logging.LogRecord) -> str:
    try:
        message = record.getMessage()
    except (TypeError, ValueError, KeyError):  # a log call with the wrong arguments must not end the call it tells of
        message = str(record.msg)
    if record.exc_info:
        message += "\n" + logging.Formatter().formatException(record.exc_info)
    return message


def _stamp(seconds: float) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int(seconds % 1 * 1000):03}Z"
