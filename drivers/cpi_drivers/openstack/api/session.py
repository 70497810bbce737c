"""Tokens kept between processes: each CPI call is a process, and logging in costs more than most calls.

One file for each endpoint, user and scope. A token is used until two minutes before its end (keystoneauth's rule), or until it
is refused.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from cpi.contract import errors
from cpi.contract.model import CloudConfig
from cpi.kit import private_files
from cpi.kit.settings import with_session

_LOGIN: Final = frozenset(
    {
        "auth_url",
        "username",
        "api_key",
        "application_credential_id",
        "application_credential_secret",
        "tenant",
        "project",
        "project_id",
    }
    | {"domain", "user_domain_name", "project_domain_name"}
)


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


class NoCache:
    """Of a session that the caller brought: its token is the caller's, and is kept nowhere."""

    def read(self) -> str | None:
        """Nothing."""
        return None

    def write(self, state: str) -> None:
        """Is not kept."""

    def drop(self) -> None:
        """Nothing is there."""


def configured(config: CloudConfig) -> CloudConfig:
    """The configuration with an openstack.connection.Connection's login, and with its region where it names none."""
    theirs = config.session
    if theirs is None:
        return config
    block = config.properties
    values: dict[str, Any] = {"auth_url": getattr(login_of(theirs), "auth_url", None)}
    if isinstance(block, dict):
        if not block.get("region") and theirs.config.get_region_name():
            values["region"] = theirs.config.get_region_name()
        interface = theirs.config.get_interface()
        if not block.get("endpoint_type") and isinstance(interface, str):
            values["endpoint_type"] = interface
        authorities = theirs.session.verify
        if not block.get("connection_options") and isinstance(authorities, str):
            values["connection_options"] = {"ca_cert": authorities}
    return msgspec.structs.replace(config, properties=with_session(block, values, _LOGIN))


def login_of(theirs: Any) -> Any:
    """Its plugin of keystoneauth. Raises CpiError for one that does not log in to Keystone: there is no catalogue then."""
    plugin = theirs.session.auth
    if not hasattr(plugin, "auth_ref"):
        raise errors.CpiError(f"session: {type(plugin).__name__} of keystoneauth brings no catalogue; log in to Keystone v3")
    return plugin
