"""Whether what a process has loaded is still what lies on the disk."""

import os
import sys
import time
from typing import Final

_WITH_PACKAGES: Final = ("site-packages", "dist-packages")
_GONE: Final = (0, 0, 0)
_CLOCK_TICK_NS: Final = 50_000_000
"""Times of files are coarser than the clock, by less than this."""


class Freshness:
    """The files of all loaded modules, the folders that packages are installed in, and the configuration, as they were."""

    def __init__(self, config: str) -> None:
        self._seen = {config: _facts(config)}  # it was not loaded: each call reads it
        self._is_doubtful = False
        self.take_in(_start_of_process_ns())

    def take_in(self, since_ns: int) -> None:
        """Look at what was loaded since then, and keep what was seen before.

        A file that was written since then may have been loaded before or after: it counts as changed.
        """
        files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
        folders = {path for path in sys.path if path.endswith(_WITH_PACKAGES)}
        for path in filter(None, files | folders):
            if path not in self._seen:
                self._seen[path] = _facts(path)
                self._is_doubtful |= self._seen[path][0] > since_ns - _CLOCK_TICK_NS

    def is_lost(self) -> bool:
        """Whether any was written, replaced or deleted since."""
        return self._is_doubtful or any(_facts(path) != seen for path, seen in self._seen.items())


def _facts(path: str) -> tuple[int, int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116 - a thousand for each call: pathlib takes twice as long
    except OSError:
        return _GONE
    return found.st_mtime_ns, found.st_ino, found.st_size


def _start_of_process_ns() -> int:
    with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - as above
        ticks = int(file.read().rpartition(")")[2].split()[19])
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return time.time_ns() - int(age * 1e9)
