"""The SDK's session, and what STS gave for a role, kept between processes: each CPI call is a process, and would assume it anew.

One file for each role, caller and endpoint. The SDK's descriptions of services are read once in a process: reading them is the
longest part of making a connection.
"""

import datetime as dt
import functools
from collections.abc import Sequence
from typing import Any, Final

import botocore.loaders
import botocore.session

from cpi.kit import private_files
from cpi.kit.redaction import remember
from cpi_drivers.aws.api import connection

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


def new_session() -> Any:
    """A session of the SDK without credentials, with the descriptions that this process has read."""
    session = botocore.session.Session()
    session.register_component("data_loader", _descriptions())
    return session


def load_descriptions(region: str) -> None:
    """Read those of the services that calls use, for all connections of this process and of the processes that it forks."""
    session = new_session()
    session.set_credentials("none", "none")  # without any, instance metadata would be asked
    for name in connection.ENDPOINTS:
        session.create_client(name, region_name=region).close()


@functools.cache
def _descriptions() -> Any:
    return botocore.loaders.create_loader(connection.SHORT_MODELS)
