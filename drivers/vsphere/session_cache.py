"""Sessions kept between processes: each CPI call is a process, and logging in costs more than most calls.

One file for each vCenter and user, named by a hash of them and of the password, readable by its owner alone. A session is used
until the vCenter refuses it.
"""

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)


def folder(wished: str | None) -> Path:
    """Where this user's caches lie; made if it is missing, closed to others."""
    root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 - it never fails
    path = Path(wished) if wished else Path(root) / "multicpi"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        path = Path(tempfile.gettempdir()) / f"multicpi-{os.getuid()}"
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


class SessionCache:
    """The file of one vCenter and user. What can not be read or written is as if it were not there."""

    def __init__(self, folder: Path, credentials: Sequence[str]) -> None:
        digest = hashlib.sha256(json.dumps(credentials).encode()).hexdigest()
        self._path = folder / f"vsphere-session-{digest[:32]}.json"

    def read(self) -> Mapping[str, Any] | None:
        """What was kept."""
        try:
            if self._path.stat().st_uid != os.getuid() or self._path.stat().st_mode & 0o077:
                _log.warning("%s can be read by others and is not used", self._path)
                return None
            kept: Any = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return kept if isinstance(kept, dict) and {"cookie", "version", "content"} <= kept.keys() else None

    def write(self, state: Mapping[str, Any]) -> None:
        """Keep it, whole or not at all."""
        try:
            number, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}")
            with open(number, "w", encoding="utf-8") as file:  # noqa: PTH123 - a file descriptor
                json.dump(state, file)
            Path(name).replace(self._path)
        except OSError as error:
            _log.info("the session is not kept: %s", error)

    def drop(self, state: Mapping[str, Any]) -> None:
        """Forget it, unless another process has logged in since."""
        kept = self.read()
        if kept is not None and kept["cookie"] == state["cookie"]:
            self._path.unlink(missing_ok=True)
