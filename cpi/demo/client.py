"""The client of the job: writes one row after another and keeps a ledger of its own of what was acknowledged."""

import hashlib
import itertools
import json
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any

from cpi.contract import errors
from cpi.demo.job import PORT
from cpi.kit.waiting import wait_until

_ANSWER_SECONDS = 10.0
_PATIENCE_SECONDS = 60.0
_BETWEEN_ROWS_SECONDS = 0.002
_BETWEEN_TRIES_SECONDS = 0.02


def asked(address: str, request: Mapping[str, Any]) -> Any:
    """What the job at address answers to one request. Raises CloudError if it does not."""
    try:
        with socket.create_connection((address, PORT), timeout=_ANSWER_SECONDS) as connection:
            return _exchange(connection, request)
    except OSError as error:
        raise errors.CloudError(f"the job at {address}:{PORT} does not answer: {error}") from error


def _exchange(connection: socket.socket, request: Mapping[str, Any]) -> Any:
    with connection.makefile("rwb") as lines:
        lines.write(json.dumps(request).encode() + b"\n")
        lines.flush()
        answer = lines.readline()
    if not answer.endswith(b"\n"):
        raise ConnectionResetError("the connection ended before the answer")
    return json.loads(answer)


class Writer:
    """Writes rows from a thread until it is stopped; while the job is away, tries again and again."""

    def __init__(self, address: str, port: int = PORT) -> None:
        self.address = address
        self.connections = 0
        """How often the job let it in."""

        self._port = port
        self._salt = secrets.token_hex(8)
        self._acknowledged = 0
        self._times: list[float] = []
        self.faults: list[str] = []
        """What the job answered in the place of an acknowledgement."""

        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._write, name="demo writer", daemon=True)

    @property
    def acknowledged(self) -> int:
        """How many rows the job has acknowledged: those numbered from 1 to this."""
        return self._acknowledged

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def text_of(self, number: int) -> str:
        """What row number holds: it can be told from the number, and from no other demonstration's."""
        return hashlib.sha256(f"{self._salt} {number}".encode()).hexdigest()

    def lost(self, rows: Mapping[int, str]) -> int:
        """How many acknowledged rows are not among rows, or not as they were written."""
        return sum(rows.get(number) != self.text_of(number) for number in range(1, self._acknowledged + 1))

    def wait_for_more(self, count: int = 1) -> None:
        """Until so many more rows are acknowledged. Raises CloudError if they are not."""
        goal = self._acknowledged + count
        wait_until(lambda: self._acknowledged >= goal, "rows are acknowledged", deadline_seconds=_PATIENCE_SECONDS)

    def wait_for_another(self, connections: int) -> None:
        """Until it was let in more often than so many times. Raises CloudError if it is not."""
        wait_until(lambda: self.connections > connections, "the job lets its client in again", deadline_seconds=_PATIENCE_SECONDS)

    def longest_silence(self, since: float) -> float:
        """The longest time from one acknowledged row to the next since then, in seconds."""
        times = [moment for moment in self._times if moment >= since]
        before = [moment for moment in self._times if moment < since][-1:]
        moments = before + times
        return max((later - earlier for earlier, later in itertools.pairwise(moments)), default=0.0)

    def silences(self, least_seconds: float) -> list[tuple[float, float]]:
        """From when to when no row was acknowledged for so long, as the monotonic clock has it."""
        return [(earlier, later) for earlier, later in itertools.pairwise(self._times) if later - earlier >= least_seconds]

    def _write(self) -> None:
        while not self._stopping.is_set():
            try:
                with socket.create_connection((self.address, self._port), timeout=_ANSWER_SECONDS) as connection:
                    self._write_over(connection)
            except (OSError, ValueError):
                self._stopping.wait(_BETWEEN_TRIES_SECONDS)

    def write_row(self, connection: socket.socket, number: int, text: str) -> None:
        """Returns when the row is acknowledged. Raises OSError or ValueError if it is not."""
        answer = _exchange(connection, {"do": "write", "number": number, "text": text})
        if answer.get("written") != number:
            self.faults.append(str(answer.get("fault") or answer))
            raise ValueError(f"the job answered {answer!r}")

    def greet(self, connection: socket.socket) -> None:
        """What a new connection begins with."""

    def _write_over(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.greet(connection)
        self.connections += 1
        while not self._stopping.is_set():
            number = self._acknowledged + 1
            self.write_row(connection, number, self.text_of(number))
            self._times.append(time.monotonic())
            self._acknowledged = number
            self._stopping.wait(_BETWEEN_ROWS_SECONDS)
