"""Answers that do not change, remembered for an hour: each CPI call is a process, and would ask for them anew."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cpi.kit import private_files

_KEPT_SECONDS: Final = 3600.0


class Remembered:
    """Answers by name, in one file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def get(self, name: str, ask: Callable[[], str]) -> str:
        """What was answered within the hour, or what ask answers now."""
        kept = self._read().get(name)
        if kept is not None and 0 <= time.time() - kept[0] < _KEPT_SECONDS:
            return kept[1]
        answer = ask()
        private_files.keep(self._file, {**self._read(), name: (time.time(), answer)})
        return answer

    def _read(self) -> dict[str, tuple[float, str]]:
        try:
            return {name: (float(at), str(answer)) for name, (at, answer) in private_files.read(self._file).items()}
        except (ValueError, TypeError, AttributeError):
            return {}
