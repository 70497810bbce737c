"""The log of a container: what it says, appended; moved aside when it has grown large."""

import os
from pathlib import Path
from typing import Final

from cpi_drivers.local.agent.log_files import LOG_LIMIT_BYTES

_TAIL_BYTES: Final = 8192


class ContainerLog:
    """Appended to by the one process that keeps the container; its own streams follow, with the engine's words."""

    def __init__(self, path: Path, limit: int = LOG_LIMIT_BYTES, streams: tuple[int, ...] = (1, 2)) -> None:
        self._path = path
        self._limit = limit
        self._streams = streams
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)

    def write(self, words: bytes) -> None:
        """Appends; a line that would go beyond the limit begins a new file, and the one before the last is dropped."""
        size = os.fstat(self._file).st_size
        if size and size + len(words) > self._limit:
            self._begin_anew()
        rest = memoryview(words)
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def note(self, words: str) -> None:
        """A line of the agent's own."""
        self.write(f"[agent] {words}\n".encode(errors="replace"))

    def close(self) -> None:
        """Lets go of the file."""
        os.close(self._file)

    def _begin_anew(self) -> None:
        self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        fresh = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        for stream in (self._file, *self._streams):
            os.dup2(fresh, stream)
        os.close(fresh)


def last_lines(path: Path, count: int = 10) -> list[str]:
    """The end of a log; none if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return []
