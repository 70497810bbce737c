"""Tokens kept between processes: each CPI call is a process, and logging in costs more than most calls.

One file for each endpoint, user and scope, named by a hash of them and of the secret, readable by its owner alone. A token is
used until two minutes before its end (keystoneauth's rule), or until it is refused.
"""

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Mapping
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


class TokenCache:
    """The file of one set of credentials. What can not be read or written is as if it were not there."""

    def __init__(self, folder: Path, credentials: Mapping[str, str | None]) -> None:
        digest = hashlib.sha256(json.dumps(credentials, sort_keys=True).encode()).hexdigest()
        self._path = folder / f"openstack-token-{digest[:32]}.json"

    def read(self) -> str | None:
        """What was kept."""
        try:
            if self._path.stat().st_uid != os.getuid() or self._path.stat().st_mode & 0o077:
                _log.warning("%s can be read by others and is not used", self._path)
                return None
            kept: Any = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return None
        return json.dumps(kept) if isinstance(kept, dict) and kept.get("auth_token") else None

    def write(self, state: str) -> None:
        """Keep it, whole or not at all."""
        try:
            number, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}")
            with open(number, "w") as file:  # noqa: PTH123 - a file descriptor
                file.write(state)
            Path(name).replace(self._path)
        except OSError as error:
            _log.info("the token is not kept: %s", error)

    def drop(self) -> None:
        """Forget it."""
        self._path.unlink(missing_ok=True)
