"""What STS gave for a role, kept between processes: each CPI call is a process, and would assume the role anew.

One file for each role, caller and endpoint, named by a hash of them and of the caller's secret, readable by its owner alone.
"""

import datetime as dt
import hashlib
import json
import logging
import os
from collections.abc import Iterable
from typing import Final

from drivers.aws import cache

_log = logging.getLogger(__name__)

# The SDK renews credentials a quarter of an hour before their end.
LEAST_SECONDS_LEFT: Final = 16 * 60
_KEYS: Final = ("access_key", "secret_key", "token", "expiry_time")


class KeptCredentials:
    """The file of one role and caller. What can not be read or written is as if it were not there."""

    def __init__(self, whose: Iterable[str]) -> None:
        digest = hashlib.sha256(json.dumps(list(whose)).encode()).hexdigest()
        self._path = cache.folder() / f"role-{digest[:32]}.json"

    def read(self) -> dict[str, str] | None:
        """What was kept, if it is good for a while."""
        try:
            facts = self._path.stat()
            if facts.st_uid != os.getuid() or facts.st_mode & 0o077:
                _log.warning("%s can be read by others and is not used", self._path)
                return None
            kept = json.loads(self._path.read_text(encoding="utf-8"))
            left = dt.datetime.fromisoformat(kept["expiry_time"]) - dt.datetime.now(dt.UTC)
            if left.total_seconds() < LEAST_SECONDS_LEFT:
                return None
            return {key: str(kept[key]) for key in _KEYS}
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def write(self, credentials: dict[str, str]) -> None:
        """Keep them."""
        cache.keep(self._path, credentials)

    def drop(self) -> None:
        """Forget them: they were refused."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            _log.info("the role's credentials are not forgotten: %s", error)
