"""Clients of the two databases, and one that only looks if a service answers. Each speaks as little of a protocol as it needs."""

import re
import socket
import struct
from collections.abc import Iterator
from typing import Final

from cpi.contract import errors
from cpi.demo.client import Writer

_ANSWER_SECONDS: Final = 10.0
_LINE_BYTES: Final = 1 << 16
_ROW: Final = re.compile(r"row:(\d+)")


class RedisWriter(Writer):
    """Rows as keys; Redis answers once its log is on the disk (appendfsync always)."""

    def write_row(self, connection: socket.socket, number: int, text: str) -> None:
        """Returns when the row is acknowledged. Raises OSError or ValueError if it is not."""
        connection.sendall(_command("SET", f"row:{number}", text))
        answer = _line(connection)
        if answer != b"+OK":
            raise ValueError(f"Redis answered {answer!r}")

    def read(self) -> dict[int, str]:
        """All rows. Raises CloudError if they cannot be read."""
        try:
            with socket.create_connection((self.address, self._port), timeout=_ANSWER_SECONDS) as connection:
                return {number: _text(connection, number) for number in range(1, self.acknowledged + 1)}
        except (OSError, ValueError) as error:
            raise errors.CloudError(f"the rows of Redis cannot be read: {error}") from error


class Pinger(Writer):
    """Looks if a Redis answers; it writes nothing."""

    def write_row(self, connection: socket.socket, number: int, text: str) -> None:
        """Returns when it answers."""
        del number, text
        connection.sendall(_command("PING"))
        answer = _line(connection)
        if answer != b"+PONG":
            raise ValueError(f"Redis answered {answer!r}")


class PostgresWriter(Writer):
    """Rows of a table; PostgreSQL answers once its log is on the disk."""

    def greet(self, connection: socket.socket) -> None:
        """Lets itself in, and has the table."""
        words = b"user\0demo\0database\0postgres\0\0"
        connection.sendall(struct.pack("!ii", 8 + len(words), 196608) + words)
        list(_messages(connection))
        _query(connection, "CREATE TABLE IF NOT EXISTS rows (number integer PRIMARY KEY, text text NOT NULL)")

    def write_row(self, connection: socket.socket, number: int, text: str) -> None:
        """Returns when the row is acknowledged. Raises OSError or ValueError if it is not."""
        # a row whose acknowledgement was lost may be there
        told = f"VALUES ({number}, '{text}') ON CONFLICT (number) DO NOTHING"
        _query(connection, f"INSERT INTO rows {told}")

    def read(self) -> dict[int, str]:
        """All rows. Raises CloudError if they cannot be read."""
        try:
            with socket.create_connection((self.address, self._port), timeout=_ANSWER_SECONDS) as connection:
                self.greet(connection)
                rows = _query(connection, "SELECT number, text FROM rows")
        except (OSError, ValueError) as error:
            raise errors.CloudError(f"the rows of PostgreSQL cannot be read: {error}") from error
        return {int(number): text for number, text in rows}


def _command(*words: str) -> bytes:
    encoded = [word.encode() for word in words]
    return b"".join([b"*%d\r\n" % len(encoded), *(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)])


def _line(connection: socket.socket) -> bytes:
    """One answer's line; there is one for each request, so nothing of the next can be in it."""
    line = b""
    while not line.endswith(b"\r\n"):
        piece = connection.recv(1)
        if not piece or len(line) > _LINE_BYTES:
            raise ConnectionResetError("the connection ended before the answer")
        line += piece
    return line[:-2]


def _text(connection: socket.socket, number: int) -> str:
    connection.sendall(_command("GET", f"row:{number}"))
    head = _line(connection)
    return "" if head == b"$-1" else _line(connection).decode()


def _query(connection: socket.socket, statement: str) -> list[list[str]]:
    """The rows of the answer. Raises ValueError for what the database refuses."""
    words = statement.encode() + b"\0"
    connection.sendall(b"Q" + struct.pack("!i", 4 + len(words)) + words)
    return [_columns(body) for kind, body in _messages(connection) if kind == b"D"]


def _messages(connection: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    """Until the database is ready for the next query."""
    fault = b""
    kind = b""
    while kind != b"Z":
        head = _exactly(connection, 5)
        kind, size = head[:1], struct.unpack("!i", head[1:])[0]
        body = _exactly(connection, size - 4)
        if kind == b"E":
            fault = body
            if b"FATAL" in body:
                break
        yield kind, body
    if fault:
        raise ValueError(fault.replace(b"\0", b" ").decode(errors="replace"))


def _exactly(connection: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        piece = connection.recv(count - len(found))
        if not piece:
            raise ConnectionResetError("the connection ended before the answer")
        found += piece
    return found


def _columns(body: bytes) -> list[str]:
    (count,) = struct.unpack("!h", body[:2])
    columns, place = [], 2
    for _ in range(count):
        (size,) = struct.unpack("!i", body[place : place + 4])
        columns.append(body[place + 4 : place + 4 + max(size, 0)].decode())
        place += 4 + max(size, 0)
    return columns
