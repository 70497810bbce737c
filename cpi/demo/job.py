"""The job of the demonstration, run in the VM as a program of its own: keeps rows in SQLite on the persistent disk.

A client sends JSON lines over TCP on the VM's address and gets one line for each. A row is acknowledged only when SQLite
has synced it to the disk.
"""

import hashlib
import json
import os
import socketserver
import sqlite3
from pathlib import Path
from typing import Any

PORT = 7717
_CHUNK = 1 << 20


class Store:
    """The job's data on the persistent disk."""

    def __init__(self, folder: Path, old_data_bytes: int) -> None:
        self._folder = folder
        self._old_data = folder / "old-data"
        if not self._old_data.exists():
            _fill(self._old_data, old_data_bytes)

    def connect(self) -> sqlite3.Connection:
        """A connection that syncs every commit."""
        rows = sqlite3.connect(self._folder / "rows.sqlite", isolation_level=None, timeout=30)
        rows.execute("PRAGMA journal_mode = WAL")
        rows.execute("PRAGMA synchronous = FULL")
        rows.execute("CREATE TABLE IF NOT EXISTS rows (number INTEGER PRIMARY KEY, text TEXT NOT NULL)")
        return rows

    def answer(self, rows: sqlite3.Connection, request: dict[str, Any]) -> dict[str, Any]:
        """What the client is told."""
        match request["do"]:
            case "write":
                rows.execute("INSERT OR REPLACE INTO rows VALUES (?, ?)", (request["number"], request["text"]))
                return {"written": request["number"]}
            case "fill":
                return {"filled": _append(self._folder / "ballast", int(request["bytes"]))}
            case "read":
                return {"rows": rows.execute("SELECT number, text FROM rows").fetchall()}
            case "examine":
                return {"bytes": self._bytes(), "digest": _digest(self._old_data)}
        return {"fault": f"cannot {request['do']!r}"}

    def _bytes(self) -> int:
        return sum(file.stat().st_size for file in self._folder.iterdir() if file.is_file())


def _fill(path: Path, size: int) -> None:
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        for begin in range(0, size, _CHUNK):
            file.write(os.urandom(min(_CHUNK, size - begin)))
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)


def _append(path: Path, size: int) -> int:
    """Room that is taken when this returns, as by that many bytes; how much there is."""
    with path.open("ab") as file:
        os.posix_fallocate(file.fileno(), file.tell(), size)
        os.fsync(file.fileno())
        return os.fstat(file.fileno()).st_size


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Server(socketserver.ThreadingTCPServer):
    """Serves the store to any number of clients."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: tuple[str, int], store: Store) -> None:
        super().__init__(address, Conversation)
        self.store = store


class Conversation(socketserver.StreamRequestHandler):
    """One client, line by line."""

    def handle(self) -> None:
        """Until the client goes."""
        if not isinstance(self.server, Server):
            raise TypeError("a conversation belongs to the store's server")
        store, rows = self.server.store, self.server.store.connect()
        for line in self.rfile:
            try:
                answer = store.answer(rows, json.loads(line))
            except (OSError, sqlite3.Error) as error:
                answer = {"fault": str(error)}
            self.wfile.write(json.dumps(answer).encode() + b"\n")
        rows.close()


def main() -> None:
    """Serve until the agent stops the job."""
    store = Store(Path(os.environ["BOSH_STORE"]), int(os.environ["OLD_DATA_BYTES"]))
    store.connect().close()
    with Server((os.environ["BOSH_ADDRESS"], PORT), store) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
