"""The SDK's session, and what STS gave for a role, kept between processes: each CPI call is a process, and would assume it anew.

One file for each role, caller and endpoint. The SDK's descriptions of services are read once in a process: reading them is the
longest part of making a connection.
"""

import datetime as dt
import functools
from collections.abc import Callable, Sequence
from typing import Any, Final

import botocore.credentials
import botocore.exceptions
import botocore.loaders
import botocore.session
import msgspec

from cpi.contract.model import CloudConfig
from cpi.kit import private_files
from cpi.kit.redaction import remember
from cpi.kit.settings import with_session
from cpi_drivers.aws.api import connection, errors
from cpi_drivers.aws.settings import AwsSettings, region_in

# The SDK renews credentials a quarter of an hour before their end.
LEAST_SECONDS_LEFT: Final = 16 * 60
_KEYS: Final = ("access_key", "secret_key", "token", "expiry_time")
_LOGIN: Final = frozenset({"access_key_id", "secret_access_key", "session_token"})


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


def configured(config: CloudConfig) -> CloudConfig:
    """The configuration, with what a boto3.Session brings: no keys are needed; region and proxies only where it names none."""
    theirs = config.session
    if theirs is None:
        return config
    block = config.properties
    values: dict[str, Any] = {"credentials_source": "env_or_profile"}
    if isinstance(block, dict):
        if theirs.region_name and not (block.get("region") or region_in(block.get("ec2_endpoint"))):
            values["region"] = theirs.region_name
        options = theirs._session.get_default_client_config()  # noqa: SLF001 - the SDK has no other way
        proxies = {f"{scheme}_proxy": url for scheme, url in (getattr(options, "proxies", None) or {}).items()}
        if proxies and not block.get("env"):
            values["env"] = proxies
    return msgspec.structs.replace(config, properties=with_session(block, values, _LOGIN))


def session_like(theirs: Any) -> Any:
    """A session of our own with the profile and the credentials of a boto3.Session, which stays as it is."""
    session = new_session()
    if theirs._session.profile:  # noqa: SLF001 - profile_name says "default" also where none was chosen
        session.set_config_variable("profile", theirs._session.profile)  # noqa: SLF001 - as above
    session.register_component("credential_provider", botocore.credentials.CredentialResolver([_CallersProvider(theirs)]))
    return session


class _CallersProvider:
    """A credential provider of the SDK: those of the session that a caller brought."""

    METHOD = "session"
    CANONICAL_NAME = None

    def __init__(self, theirs: Any) -> None:
        self._theirs = theirs

    def load(self) -> Any:
        """None without any: the SDK says so."""
        found = self._theirs.get_credentials()
        return _CallersCredentials(found) if found is not None else None


class _CallersCredentials:
    """The caller's credentials, asked for each request, so that those that renew themselves are current. No log shows them."""

    def __init__(self, theirs: Any) -> None:
        self._theirs = theirs
        self._hidden: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._theirs, name)

    def get_frozen_credentials(self) -> Any:
        """The keys of now."""
        keys = self._theirs.get_frozen_credentials()
        if keys != self._hidden:
            remember(text for text in (keys.secret_key, keys.token) if text)
            self._hidden = keys
        return keys


class AssumedRole:
    """A credential provider of the SDK: what STS gives for a role, kept for the next process, renewed before it ends."""

    METHOD = "assume-role"
    CANONICAL_NAME = None

    def __init__(self, settings: AwsSettings, caller: Any, new_sts: Callable[[], Any]) -> None:
        self._settings = settings
        self._caller = caller
        self._new_sts = new_sts

    def load(self) -> Any:
        """Credentials that are asked for when they are first used."""
        return botocore.credentials.DeferredRefreshableCredentials(refresh_using=self._fetch, method=self.METHOD)

    def forget(self) -> None:
        """What is kept was refused."""
        self._kept().drop()

    def _fetch(self) -> dict[str, str]:
        kept = self._kept()
        found = kept.read()
        if found is None:
            found = self._assumed()
            kept.write(found)
        return found

    def _assumed(self) -> dict[str, str]:
        try:
            given = self._new_sts().assume_role(RoleArn=self._settings.role_arn, RoleSessionName="multicpi")["Credentials"]
        except botocore.exceptions.ClientError as error:
            fault = error.response.get("Error", {})
            raise errors.refusal("AssumeRole", fault.get("Code", ""), fault.get("Message", "")) from error
        return {
            "access_key": given["AccessKeyId"],
            "secret_key": given["SecretAccessKey"],
            "token": given["SessionToken"],
            "expiry_time": given["Expiration"].isoformat(),
        }

    def _kept(self) -> KeptCredentials:
        own, caller = self._settings, self._caller.get_credentials()
        keys = caller.get_frozen_credentials() if caller else None
        who = [keys.access_key, keys.secret_key] if keys else []
        return KeptCredentials([own.role_arn or "", own.sts_endpoint or own.signing_region, *who])


def load_descriptions(region: str) -> None:
    """Read those of the services that calls use, for all connections of this process and of the processes that it forks."""
    session = new_session()
    session.set_credentials("none", "none")  # without any, instance metadata would be asked
    for name in connection.ENDPOINTS:
        session.create_client(name, region_name=region).close()


@functools.cache
def _descriptions() -> Any:
    return botocore.loaders.create_loader(connection.SHORT_MODELS)
