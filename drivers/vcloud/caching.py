"""Addresses that do not change, remembered for an hour: each CPI call is a process, and would ask for them anew."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cpi.kit import private_files
from drivers.vcloud.settings import VcloudSettings

_KEPT_SECONDS: Final = 3600.0


class Remembered:
    """Answers by name, for one organisation at one address."""

    def __init__(self, folder: Path, settings: VcloudSettings) -> None:
        self._file = private_files.named(folder, "vcloud-ids", settings.root, settings.entities.organization, settings.user)

    def get(self, name: str, ask: Callable[[], str]) -> str:
        """What was answered within the hour, or what ask answers now."""
        kept = self._read().get(name)
        if kept is not None and 0 <= time.time() - kept[0] < _KEPT_SECONDS:
            return kept[1]
        answer = ask()
        private_files.keep(self._file, {**self._read(), name: (time.time(), answer)})
        return answer

    def _read(self) -> dict[str, tuple[float, str]]:
        kept = private_files.read(self._file)
        return kept if isinstance(kept, dict) else {}
