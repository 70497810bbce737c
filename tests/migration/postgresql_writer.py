"""PostgreSQL as a job: a real server on the persistent disk."""

import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Final

import psycopg

from tests.migration.writing import Writing, text_of


class Postgresql(Writing):
    """A server of its own with checksums on every page; each row is a transaction, and a page is written anew all the time."""

    _START_SECONDS: Final = 60
    _ROWS_THAT_CHANGE: Final = 50
    _INDEXES: Final = 3

    def begin(self) -> None:
        """The cluster, its server and the table."""
        if not (self.folder / "made").exists():
            shutil.rmtree(self._data, ignore_errors=True)
            shutil.chown(self.folder, "nobody")
            known = ("-U", "rows", "-A", "trust", "-E", "UTF8", "--locale", "C", "--wal-segsize", "1")
            self._run("initdb", "-D", str(self._data), "--data-checksums", *known)
            (self.folder / "made").touch()
        self._start()
        self._open.execute("CREATE TABLE IF NOT EXISTS rows (number bigint PRIMARY KEY, text text NOT NULL UNIQUE)")
        self._open.execute("CREATE TABLE IF NOT EXISTS busy (place bigint PRIMARY KEY, number bigint NOT NULL)")

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def write(self, number: int) -> None:
        """A row with both its indexes, and an older one that changes; a checkpoint every few rows."""
        changing = "INSERT INTO busy VALUES (%s, %s) ON CONFLICT (place) DO UPDATE SET number = excluded.number"
        with self._open.transaction():
            self._open.execute("INSERT INTO rows VALUES (%s, %s) ON CONFLICT (number) DO NOTHING", (number, text_of(number)))
            self._open.execute(changing, (number % self._ROWS_THAT_CHANGE, number))
        if number % 40 == 0:
            self._open.execute("CHECKPOINT")

    def rows(self) -> set[int]:
        """After the server has compared its indexes with its tables; when it is stopped, every checksum is looked at."""
        self._start()
        try:
            rows = self._checked()
        except psycopg.Error as error:
            raise ValueError(str(error)) from error
        finally:
            self.end()
        self._run("pg_checksums", "--check", "-D", str(self._data))
        return rows

    def _checked(self) -> set[int]:
        self._open.execute("CREATE EXTENSION IF NOT EXISTS amcheck")
        indexes = "SELECT bt_index_check(indexrelid, true) FROM pg_index WHERE indrelid IN ('rows'::regclass, 'busy'::regclass)"
        tables = "SELECT msg FROM verify_heapam('rows') UNION ALL SELECT msg FROM verify_heapam('busy')"
        checked, torn = len(self._open.execute(indexes).fetchall()), self._open.execute(tables).fetchall()
        if checked != self._INDEXES or torn:
            raise ValueError(f"amcheck: {checked} indexes, {torn}")
        return {number for number, text in self._open.execute("SELECT number, text FROM rows") if text == text_of(number)}

    def _start(self) -> None:
        options = ("listen_addresses=", "unix_socket_directories=.", "max_wal_size=8MB", "min_wal_size=2MB")
        words = [word for option in (*options, "shared_buffers=4MB", "max_connections=10") for word in ("-c", option)]
        with (self.folder / "server.log").open("ab") as log:
            command = [*self._as_nobody(), self._program("postgres"), "-D", str(self._data), *words]
            self._server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._open = self._connected()

    def end(self) -> None:
        """The server is stopped, and has written everything down."""
        self._open.close()
        self._server.send_signal(signal.SIGINT)
        self._server.wait(self._START_SECONDS)

    def _connected(self) -> psycopg.Connection[tuple[Any, ...]]:
        end, pause = time.monotonic() + self._START_SECONDS, threading.Event()
        folder = os.open(self._data, os.O_RDONLY | os.O_DIRECTORY)  # the whole path may be too long for a socket
        try:
            while True:
                try:
                    return psycopg.connect(host=f"/proc/self/fd/{folder}", user="rows", dbname="postgres", autocommit=True)
                except psycopg.OperationalError as error:
                    if self._server.poll() is not None or time.monotonic() > end:
                        raise ValueError(f"PostgreSQL does not start: {(self.folder / 'server.log').read_text()}") from error
                pause.wait(0.05)
        finally:
            os.close(folder)

    def _run(self, name: str, *words: str) -> None:
        done = subprocess.run([*self._as_nobody(), self._program(name), *words], capture_output=True, check=False, text=True)
        if done.returncode:
            raise ValueError(f"{name}: {done.stdout} {done.stderr}")

    @staticmethod
    def _as_nobody() -> list[str]:
        # the folders above are root's alone; the server goes down with whoever started it
        through = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *through, "--pdeathsig=INT", "--"]

    @staticmethod
    def _program(name: str) -> str:
        found = Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
        return str(max(found, key=lambda path: int(path.parts[4]), default=name))
