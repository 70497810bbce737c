"""Tokens kept between processes: each CPI call is a process, and logging in costs more than most calls.

One file for each endpoint, user and scope. A token is used until two minutes before its end (keystoneauth's rule), or until it
is refused.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from cpi.kit import private_files


class TokenCache:
    """The file of one set of credentials. What cannot be read or written is as if it were not there."""

    def __init__(self, folder: Path, credentials: Mapping[str, str | None]) -> None:
        self._path = private_files.named(folder, "openstack-token", json.dumps(credentials, sort_keys=True))

    def read(self) -> str | None:
        """What was kept."""
        kept = private_files.read(self._path)
        return json.dumps(kept) if isinstance(kept, dict) and kept.get("auth_token") else None

    def write(self, state: str) -> None:
        """Keep it."""
        private_files.keep(self._path, json.loads(state))

    def drop(self) -> None:
        """Forget it."""
        private_files.forget(self._path)
