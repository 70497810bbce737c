"""What processes share on this machine: ids that do not change, remembered for an hour, and one call at a time for one token."""

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from drivers.cloudstack.settings import CloudStackSettings

_KEPT_SECONDS: Final = 3600.0


def folder(settings: CloudStackSettings) -> Path:
    """The cache's, only for its owner."""
    base = os.environ.get("XDG_CACHE_HOME")
    path = Path(settings.cache_folder) if settings.cache_folder else (Path(base) if base else Path.home() / ".cache") / "multicpi"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def held(path: Path, token: str | None) -> Iterator[None]:
    """Held for the block, against all threads and processes of this machine; the kernel frees it from the dead."""
    if token is None:
        yield
        return
    slot = hashlib.sha256(token.encode()).hexdigest()[:3]  # a few files for ever, instead of one for each token
    with (path / f"cloudstack-call-{slot}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Remembered:
    """Answers by name, for one endpoint and user."""

    def __init__(self, path: Path, settings: CloudStackSettings) -> None:
        whose = hashlib.sha256(f"{settings.endpoint} {settings.api_key}".encode()).hexdigest()[:16]
        self._file = path / f"cloudstack-ids-{whose}.json"

    def get(self, name: str, ask: Callable[[], str]) -> str:
        """What was answered within the hour, or what ask answers now."""
        kept = self._read().get(name)
        if kept is not None and 0 <= time.time() - kept[0] < _KEPT_SECONDS:
            return kept[1]
        answer = ask()
        self._write({**self._read(), name: (time.time(), answer)})
        return answer

    def _read(self) -> dict[str, tuple[float, str]]:
        try:
            return {name: (float(at), str(answer)) for name, (at, answer) in json.loads(self._file.read_bytes()).items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def _write(self, kept: dict[str, tuple[float, str]]) -> None:
        with contextlib.suppress(OSError):  # without a cache it is asked again
            handle, name = tempfile.mkstemp(dir=self._file.parent)
            with os.fdopen(handle, "w") as file:
                json.dump(kept, file)
            Path(name).replace(self._file)
