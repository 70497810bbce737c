"""Jobs that write as databases do. Each syncs a row, then acknowledges it in a ledger that lies on no disk of the VM.

    python -m tests.migration.writers write KIND SCALE LEDGER
    python -m tests.migration.writers read KIND SCALE FOLDER

What a kind has on its disk it can read again and prove whole by itself. Nothing but the standard library is used, and for
PostgreSQL its server and psycopg.
"""

import contextlib
import hashlib
import json
import mmap
import os
import sqlite3
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.migration.postgresql_writer import Postgresql
from tests.migration.writing import Writing, text_of

_PAUSE_SECONDS: Final = 0.004
_BLOCK: Final = 4096


def _block_of(number: int) -> bytes:
    head = f"{number} {text_of(number)}\n".encode()
    return head + hashlib.shake_256(head).digest(_BLOCK - len(head))


def _number_in(block: bytes) -> int | None:
    """The row that fills the block, None if it was never written. Raises ValueError if it is torn."""
    if not any(block):
        return None
    number = int(block.split(b" ", 1)[0])
    if block != _block_of(number):
        raise ValueError(f"the block of row {number} is torn")
    return number


def _write_synced(path: Path, data: bytes) -> None:
    """In the place of what is there, as a whole."""
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Sqlite(Writing):
    """In WAL mode, with a checkpoint every few rows."""

    def begin(self) -> None:
        """The table."""
        self._open = sqlite3.connect(self.folder / "db", isolation_level=None)
        self._open.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 20")
        self._open.execute("CREATE TABLE IF NOT EXISTS rows (number INTEGER PRIMARY KEY, text TEXT UNIQUE)")

    def write(self, number: int) -> None:
        """A row and the index over its text."""
        self._open.execute("INSERT OR REPLACE INTO rows VALUES (?, ?)", (number, text_of(number)))

    def rows(self) -> set[int]:
        """After SQLite has looked at every page."""
        with contextlib.closing(sqlite3.connect(self.folder / "db")) as found:
            answer = found.execute("PRAGMA integrity_check").fetchone()[0]
            if answer != "ok":
                raise ValueError(f"integrity_check: {answer}")
            return {number for number, text in found.execute("SELECT number, text FROM rows") if text == text_of(number)}


class Direct(Writing):
    """Blocks past the kernel's memory, at the end of a file."""

    def begin(self) -> None:
        """O_DIRECT wants memory at whole pages."""
        self._file = os.open(self.folder / "blocks", os.O_RDWR | os.O_CREAT | os.O_DIRECT | os.O_DSYNC, 0o600)
        self._page = mmap.mmap(-1, _BLOCK)

    def write(self, number: int) -> None:
        """At its place."""
        self._page[:] = _block_of(number)
        os.pwritev(self._file, [self._page], number * _BLOCK)

    def rows(self) -> set[int]:
        """Every block is zero or a row."""
        data = (self.folder / "blocks").read_bytes()
        found = (_number_in(data[begin : begin + _BLOCK]) for begin in range(0, len(data), _BLOCK))
        return {number for number in found if number is not None}


class Mapped(Direct):
    """A file that is mapped into memory: its time of change tells of the first write to a page only."""

    def begin(self) -> None:
        """The map is as large as the file can become."""
        size = 32768 * _BLOCK
        with (self.folder / "blocks").open("a+b") as file:
            file.truncate(size)
            self._map = mmap.mmap(file.fileno(), size)

    def write(self, number: int) -> None:
        """Into memory, then down to the disk."""
        self._map[number * _BLOCK : (number + 1) * _BLOCK] = _block_of(number)
        self._map.flush(number * _BLOCK, _BLOCK)


class Lsm(Writing):
    """A log, tables that are merged all the time, and a file that says which count: renames and deletes without end."""

    _ROWS_IN_LOG: Final = 20
    _MOST_TABLES: Final = 4

    def begin(self) -> None:
        """Go on with what the manifest says; anything else that lies there was cut off, and goes."""
        if not (self.folder / "MANIFEST").exists():
            self._became([], 1)
        told = json.loads((self.folder / "MANIFEST").read_text())
        self._tables: list[list[str]] = told["tables"]
        self._serial = int(told["serial"])
        counted = {"MANIFEST", told["log"], *(name for name, _ in self._tables)}
        for path in self.folder.iterdir():
            if path.name not in counted:
                path.unlink()
        self._memory = dict.fromkeys(self._logged(self.folder / told["log"], torn_end=True))
        self._flush()

    def _became(self, tables: list[list[str]], serial: int) -> None:
        told = {"tables": tables, "serial": serial, "log": f"{serial}.log"}
        (self.folder / f"{serial}.log").touch()
        _write_synced(self.folder / "MANIFEST", json.dumps(told).encode())

    def write(self, number: int) -> None:
        """To the log; when that is full, to a table; when these are many, to one."""
        with (self.folder / f"{self._serial}.log").open("ab") as log:
            log.write(f"{number} {text_of(number)}\n".encode())
            log.flush()
            os.fdatasync(log.fileno())
        self._memory[number] = None
        if len(self._memory) >= self._ROWS_IN_LOG:
            self._flush()

    def _flush(self) -> None:
        old = self.folder / f"{self._serial}.log"
        tables = [*self._tables, self._table(set(self._memory))] if self._memory else self._tables
        if len(tables) > self._MOST_TABLES:
            merged = {number for name, digest in tables for number in self._read(name, digest)}
            for name, _ in tables[:-1]:
                (self.folder / name).rename(self.folder / f"{name}.old")
                (self.folder / f"{name}.old").rename(self.folder / name)
            tables = [self._table(merged)]
        gone = [name for name, _ in self._tables if name not in {kept for kept, _ in tables}]
        self._serial += 1
        self._became(tables, self._serial)
        self._tables, self._memory = tables, {}
        for name in (*gone, old.name):
            (self.folder / name).unlink(missing_ok=True)

    def _table(self, rows: set[int]) -> list[str]:
        data = "".join(f"{number} {text_of(number)}\n" for number in sorted(rows)).encode()
        self._serial += 1
        name = f"{self._serial}.table"
        _write_synced(self.folder / name, data)
        return [name, hashlib.sha256(data).hexdigest()]

    def _read(self, name: str, digest: str) -> set[int]:
        data = (self.folder / name).read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            raise ValueError(f"{name} is not what the manifest says")
        return {int(line.split()[0]) for line in data.splitlines()}

    def _logged(self, path: Path, *, torn_end: bool) -> Iterator[int]:
        for line in path.read_bytes().splitlines(keepends=True):
            number = int(line.split()[0])
            if line != f"{number} {text_of(number)}\n".encode():
                if torn_end:
                    return
                raise ValueError(f"the log is torn at row {number}")
            yield number

    def rows(self) -> set[int]:
        """Of all tables of the manifest, and of the log."""
        told = json.loads((self.folder / "MANIFEST").read_text())
        found = {number for name, digest in told["tables"] for number in self._read(name, digest)}
        return found | set(self._logged(self.folder / told["log"], torn_end=False))


class SmallFiles(Writing):
    """Thousands of small files; each row is one more, and an older one gets another name or goes."""

    def begin(self) -> None:
        """What is there before the first row; whoever is begun again does not make it again."""
        done = self.folder / "filled"
        if done.exists():
            return
        for number in range(self.scale):
            path = self._old(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text_of(number))
        (self.folder / "rows").mkdir()
        os.sync()
        done.touch()

    def _old(self, number: int) -> Path:
        return self.folder / f"{number // 1000}" / f"{number % 1000 // 100}" / f"{number}"

    def write(self, number: int) -> None:
        """A row's file; the one before it is renamed."""
        _write_synced(self.folder / "rows" / f"{number}.new", text_of(number).encode())
        before = self.folder / "rows" / f"{number - 1}.new"
        if before.exists():
            before.rename(before.with_suffix(""))

    def rows(self) -> set[int]:
        """With all that was there before."""
        for number in range(self.scale):
            if self._old(number).read_text() != text_of(number):
                raise ValueError(f"{self._old(number)} is not what it was")
        files = [path for path in (self.folder / "rows").iterdir() if path.suffix != ".part"]
        return {int(path.stem) for path in files if path.read_text() == text_of(int(path.stem))}


class Large(Writing):
    """One file of 5 GiB, most of it holes unless the scale says how many MiB of it are data; blocks change all over it."""

    _BLOCKS: Final = (5 << 30) // _BLOCK
    _STRIDE: Final = 786433  # prime, so that rows fall everywhere and none on another

    def begin(self) -> None:
        """The data that never changes lies at the end, where no row comes."""
        path = self.folder / "large"
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        if os.fstat(self._file).st_size < self._size:
            for mega in range(self.scale):
                os.pwrite(self._file, self._mega(mega), (5 << 30) + (mega << 20))
            os.fsync(self._file)
            os.truncate(self._file, self._size)

    @property
    def _size(self) -> int:
        return (5 << 30) + (self.scale << 20)

    @staticmethod
    def _mega(number: int) -> bytes:
        return hashlib.shake_128(f"mega {number}".encode()).digest(1 << 20)

    def _place(self, number: int) -> int:
        return number * self._STRIDE % self._BLOCKS * _BLOCK

    def write(self, number: int) -> None:
        """Somewhere."""
        os.pwrite(self._file, _block_of(number), self._place(number))
        os.fdatasync(self._file)

    def rows(self) -> set[int]:
        """By the blocks that are no holes."""
        found = set()
        with (self.folder / "large").open("rb") as file:
            for begin in _data_blocks(file.fileno(), 5 << 30):
                number = _number_in(os.pread(file.fileno(), _BLOCK, begin))
                if number is not None:
                    found.add(number)
            for mega in range(self.scale):
                if os.pread(file.fileno(), 1 << 20, (5 << 30) + (mega << 20)) != self._mega(mega):
                    raise ValueError(f"the MiB number {mega} of what never changes has changed")
        return found


def _data_blocks(file: int, until: int) -> Iterator[int]:
    at = 0
    while at < until:
        try:
            at = os.lseek(file, at, os.SEEK_DATA)
        except OSError:
            return
        end = min(os.lseek(file, at, os.SEEK_HOLE), until)
        yield from range(at // _BLOCK * _BLOCK, end, _BLOCK)
        at = end


KINDS: Final[dict[str, tuple[type[Writing], int]]] = {
    "sqlite": (Sqlite, 0),
    "direct": (Direct, 0),
    "mapped": (Mapped, 0),
    "lsm": (Lsm, 0),
    "small": (SmallFiles, 2000),
    "large": (Large, 8),
    "postgresql": (Postgresql, 0),
}
"""Each with its scale in `make test`."""


def acknowledged(ledger: Path) -> int:
    """The last row that was acknowledged; those before it were as well."""
    lines = ledger.read_bytes().split(b"\n")[:-1] if ledger.exists() else []
    return int(lines[-1]) if lines else 0


def _write(kind: str, scale: str, ledger: str) -> None:
    """Until the agent stops the job."""
    folder = Path(os.environ["BOSH_STORE"]) / kind
    folder.mkdir(exist_ok=True)
    writing = KINDS[kind][0](folder, int(scale))
    writing.begin()
    number, pause = acknowledged(Path(ledger)), threading.Event()
    with Path(ledger).open("a", buffering=1) as book:
        while not pause.wait(_PAUSE_SECONDS):
            number += 1
            writing.write(number)
            book.write(f"{number}\n")


def _read(kind: str, scale: str, folder: str) -> None:
    json.dump(sorted(KINDS[kind][0](Path(folder), int(scale)).rows()), sys.stdout)


if __name__ == "__main__":
    {"write": _write, "read": _read}[sys.argv[1]](*sys.argv[2:])
