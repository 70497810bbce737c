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

from cpi.contract import errors

_log = logging.getLogger(__name__)


def folder(wished: str | None) -> Path:
    """Where this user's caches lie; made if it is missing, closed to others."""
    root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 - it never fails
    path = Path(wished) if wished else Path(root) / "multicpi"
    if not _usable(path):
        path = Path(tempfile.gettempdir()) / f"multicpi-{os.getuid()}"
        if not _usable(path) or path.stat().st_uid != os.getuid():
            raise errors.CpiError(f"no folder for tokens: {path} belongs to somebody else; name one in cache_folder")
    return path


def _usable(path: Path) -> bool:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(path, os.W_OK | os.X_OK)


def write_whole(path: Path, text: str) -> None:
    """A file that only its owner can read, whole or not at all, whoever else writes it at the same time."""
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}")
    try:
        with open(number, "w") as file:  # noqa: PTH123 - a file descriptor
            file.write(text)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


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
            write_whole(self._path, state)
        except OSError as error:
            _log.info("the token is not kept: %s", error)

    def drop(self) -> None:
        """Forget it."""
        self._path.unlink(missing_ok=True)
