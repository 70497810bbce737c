"""How long a wait usually takes: each CPI call is a process, and what earlier ones waited for tells when it is worth looking.

A disk that was never ready before 3 s is not asked for ten times in the first two.
"""

import re
from pathlib import Path
from typing import Final

from cpi.kit import private_files

_KEPT: Final = 5
_MOST_KINDS: Final = 200
_SHORT_SECONDS: Final = 1.0
_LONGEST_FIRST_PAUSE_SECONDS: Final = 10.0
_A_NAME: Final = re.compile(r"\S*\d\S*")


class Usual:
    """The last waits of each kind, of one driver. What cannot be read or written is not known."""

    def __init__(self, driver: str, cache_folder: str | None = None) -> None:
        """cache_folder as in the driver's settings."""
        self._driver, self._cache_folder = driver, cache_folder

    def pause(self, what: str, waited: float) -> float | None:
        """Seconds until the next look, by the shortest of the last waits of this kind; None: none is known, or all were short.

        The first pause ends a little before that, and is 10 s at most; then looks are close together for a while.
        """
        known = self._read().get(_kind(what), [])
        shortest = min(known, default=0.0)
        if shortest < _SHORT_SECONDS or waited >= 2 * shortest:
            return None
        first = min(0.8 * shortest, _LONGEST_FIRST_PAUSE_SECONDS)
        if waited < 0.99 * first:
            return first - waited
        return min(max(0.1 * shortest, 0.1), 0.5)

    def note(self, what: str, waited: float) -> None:
        """Of a wait that has ended well, the seconds after which the last look was still in vain."""
        known, kind = self._read(), _kind(what)
        last = [*known.pop(kind, []), round(waited, 2)][-_KEPT:]
        file = self._file()
        if file is not None:
            private_files.keep(file, dict([*known.items(), (kind, last)][-_MOST_KINDS:]))

    def _file(self) -> Path | None:
        folder = private_files.optional_folder(self._cache_folder)
        return folder and folder / "usual" / f"{self._driver}.json"

    def _read(self) -> dict[str, list[float]]:
        file = self._file()
        try:
            found = private_files.read(file) if file is not None else {}
            return {str(kind): [float(one) for one in last] for kind, last in found.items()}
        except (ValueError, TypeError, AttributeError):
            return {}


def _kind(what: str) -> str:
    """What is waited for, without the names in it: they have digits."""
    return _A_NAME.sub("…", what)
