"""Whether what a process has loaded is still what lies on the disk."""

import os
import sys
from typing import Final

_WITH_PACKAGES: Final = ("site-packages", "dist-packages")
_GONE: Final = (0, 0, 0)


class Freshness:
    """The files of all loaded modules, the folders that packages are installed in, and the configuration, as they were."""

    def __init__(self, config: str) -> None:
        files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
        folders = {path for path in sys.path if path.endswith(_WITH_PACKAGES)}
        self._seen = {path: _facts(path) for path in (config, *filter(None, files), *folders)}

    def is_lost(self) -> bool:
        """Whether any was written, replaced or deleted since."""
        return any(_facts(path) != seen for path, seen in self._seen.items())


def _facts(path: str) -> tuple[int, int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116 - a thousand for each call: pathlib takes twice as long
    except OSError:
        return _GONE
    return found.st_mtime_ns, found.st_ino, found.st_size
