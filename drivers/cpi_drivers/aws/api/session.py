"""What STS gave for a role, kept between processes: each CPI call is a process, and would assume the role anew.

One file for each role, caller and endpoint.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Final

from cpi.kit import private_files
from cpi.kit.redaction import remember

# The SDK renews credentials a quarter of an hour before their end.
LEAST_SECONDS_LEFT: Final = 16 * 60
_KEYS: Final = ("access_key", "secret_key", "token", "expiry_time")


class KeptCredentials:
    """The file of one role and caller. What cannot be read or written is as if it were not there."""

    def __init__(self, whose: Sequence[str]) -> None:
        self._path = private_files.named(private_files.folder() / "aws", "role", *whose)

    def read(self) -> dict[str, str] | None:
        """What was kept, if it is good for a while."""
        kept = private_files.read(self._path)
        try:
            left = dt.datetime.fromisoformat(kept["expiry_time"]) - dt.datetime.now(dt.UTC)
            found = {key: str(kept[key]) for key in _KEYS}
        except (ValueError, TypeError, KeyError):
            return None
        remember((found["secret_key"], found["token"]))
        return found if left.total_seconds() >= LEAST_SECONDS_LEFT else None

    def write(self, credentials: dict[str, str]) -> None:
        """Keep them."""
        remember((credentials["secret_key"], credentials["token"]))
        private_files.keep(self._path, credentials)

    def drop(self) -> None:
        """Forget them: they were refused."""
        private_files.forget(self._path)
