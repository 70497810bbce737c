"""The API itself: the only file that imports the SDK."""

import functools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import botocore
import botocore.config
import botocore.credentials
import botocore.exceptions
import botocore.httpsession
import botocore.parsers
import botocore.session
import botocore.utils

from cpi.contract import errors as contract_errors
from cpi.kit.recent import once_known
from cpi_drivers.aws.api import connection, errors
from cpi_drivers.aws.api.operations import OPERATIONS, Repeat
from cpi_drivers.aws.api.session import AssumedRole, new_session, session_like
from cpi_drivers.aws.api.visibility import Visibility
from cpi_drivers.aws.settings import AwsSettings

_log = logging.getLogger(__name__)

# At its lowest level the SDK logs every request whole: user data hold passwords and keys.
logging.getLogger("botocore").setLevel(logging.INFO)

Answer = dict[str, Any]

CONNECT_SECONDS: Final = 10
READ_SECONDS: Final = 60
METADATA_SECONDS: Final = 2
METADATA_ATTEMPTS: Final = 4
THROTTLED_SECONDS: Final = 600.0
_CONNECTIONS: Final = 100
_WITHOUT_END: Final = 1_000_000

_NOT_SENT = (botocore.exceptions.EndpointConnectionError, botocore.exceptions.ConnectTimeoutError)
_NO_ANSWER = (
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.IncompleteReadError,
    botocore.exceptions.ResponseStreamingError,
)
_NO_CREDENTIALS = (
    botocore.exceptions.NoCredentialsError,
    botocore.exceptions.PartialCredentialsError,
    botocore.exceptions.CredentialRetrievalError,
    botocore.exceptions.MetadataRetrievalError,
    botocore.exceptions.ConfigNotFound,
    botocore.exceptions.ProfileNotFound,
    botocore.exceptions.TokenRetrievalError,
)


class Client:
    """Calls by name, repeated where that is safe; answers as plain documents, faults as errors of the contract."""

    def __init__(self, settings: AwsSettings, callers: Any = None) -> None:
        """With a boto3.Session of the caller's, or None."""
        self._settings, self._callers = settings, callers
        self._lock = threading.Lock()
        self._services: dict[str, Any] = {}
        self._ca_bundle = connection.ca_bundle(settings)
        self._session: Any = None
        self._role: AssumedRole | None = None
        self._visibility = Visibility()
        self._identify()

    def call(self, operation: str, **parameters: Any) -> Answer:
        """One call. Raises the contract's errors; throttling and passing faults only once they last.

        What was made within the last minute is waited for where EC2 does not know it yet.
        """
        seen = self._visibility

        def early(result: Answer | contract_errors.CloudError) -> float:
            if not isinstance(result, errors.Refused):
                return seen.seconds_left_of_nothing(operation, parameters, result) if isinstance(result, dict) else 0.0
            left = seen.seconds_left(operation, parameters, result)
            result.not_yet = bool(left)
            return left

        answer: Answer = once_known(lambda: self._called(operation, parameters), early, operation)
        seen.note(operation, parameters, answer)
        return answer

    def _called(self, operation: str, parameters: dict[str, Any]) -> Answer:
        attempt = functools.partial(self._attempt, operation, parameters)
        try:
            return attempt()
        except (errors.Throttled, errors.Unreached, errors.AnswerLost) as first:
            passing = (errors.Unreached, errors.AnswerLost) if _may_repeat(operation, parameters) else (errors.Unreached,)
            if not isinstance(first, (errors.Throttled, *passing)):
                raise
            return self._repeated(attempt, first, passing)

    def pages(self, operation: str, **parameters: Any) -> Iterator[Answer]:
        """The same call for every page of its answer."""
        token: str | None = None
        while True:
            answer = self.call(operation, **parameters, **({"NextToken": token} if token else {}))
            yield answer
            token = answer.get("NextToken")
            if not token:
                return

    def call_once(self, operation: str, **parameters: Any) -> Answer:
        """One call, never repeated: a dry run, say, whose refusal is its answer."""
        return self._attempt(operation, parameters)

    def saw_changed(self, cid: str) -> None:
        """The thing was seen in a new state: other calls may not know it yet."""
        self._visibility.changed(cid)

    def close(self) -> None:
        """Let go of connections."""
        with self._lock:
            for service in self._services.values():
                service.close()
            self._services.clear()

    # ------------------------------------------------------------------ one attempt, and more

    def _attempt(self, operation: str, parameters: dict[str, Any]) -> Answer:
        """One attempt; a second one with new credentials where those that were given for a while are refused."""
        service = self._service(OPERATIONS[operation].service)
        try:
            return self._sent(service, operation, parameters)
        except errors.CredentialsRefused as refusal:
            if not self._renewed(service, refusal):
                raise
        return self._sent(self._service(OPERATIONS[operation].service), operation, parameters)

    def _renewed(self, service: Any, refusal: errors.Refused) -> bool:
        """Whether there are other credentials now. Those of a thread that came first serve the others."""
        if not self._role and self._settings.credentials_source == "static":
            return False
        with self._lock:
            if service in self._services.values():
                _log.warning("asking for new credentials: %s", refusal.message)
                if self._role:
                    self._role.forget()
                self._services.clear()
                self._identify()
        return True

    def _sent(self, service: Any, operation: str, parameters: dict[str, Any]) -> Answer:
        began = time.monotonic()
        try:
            answer: Answer = getattr(service, botocore.xform_name(operation))(**parameters)
        except botocore.exceptions.ClientError as error:
            fault = error.response.get("Error", {})
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
            if encoded := errors.encoded_message(fault.get("Message", "")):
                _log.warning("%s is denied; `aws sts decode-authorization-message` tells why: %s", operation, encoded)
            raise errors.refusal(operation, fault.get("Code", ""), fault.get("Message", ""), status) from error
        except botocore.exceptions.ProxyConnectionError as error:
            raise errors.stopped_by_proxy(operation, error) from error
        except _NOT_SENT as error:
            raise errors.unreached(operation, error) from error
        except _NO_ANSWER as error:
            raise errors.answer_lost(operation, error) from error
        except botocore.parsers.ResponseParserError as error:
            raise errors.answer_lost(operation, f"not the API's form ({_short(error)})") from error
        except _NO_CREDENTIALS as error:
            raise contract_errors.CpiError(f"no usable AWS credentials: {error}") from error
        except botocore.exceptions.BotoCoreError as error:
            raise contract_errors.CpiError(f"AWS {operation} cannot be called: {error}") from error
        _log.debug("%s took %.3f s", operation, time.monotonic() - began)
        return answer

    def _repeated(self, attempt: Callable[[], Answer], first: errors.Refused, on: tuple[type[errors.Refused], ...]) -> Answer:
        from cpi.kit.retrying import repeated  # imported late: most calls succeed at once

        failed, unclear = [first], isinstance(first, errors.AnswerLost)
        _log.info("repeating: %s", first.message)

        def again() -> Answer:
            nonlocal unclear
            if failed:
                raise failed.pop()
            try:
                return attempt()
            except errors.Refused as error:
                error.after_lost_answer = unclear
                unclear = unclear or isinstance(error, errors.AnswerLost)
                raise

        def patiently() -> Answer:
            return repeated(again, on=on, attempts=1 + self._settings.max_retries)

        return repeated(patiently, on=errors.Throttled, attempts=_WITHOUT_END, deadline_seconds=THROTTLED_SECONDS)

    # ------------------------------------------------------------------ the SDK

    def _identify(self) -> None:
        """Give the session its credentials: the caller's, fixed ones, or what the SDK finds; and a role on top of any."""
        own = self._settings
        self._session = new_session() if self._callers is None else session_like(self._callers)
        if self._callers is None and own.credentials_source == "env_or_profile":
            _ask_instance_metadata_patiently(self._session)
        if own.access_key_id and own.secret_access_key:
            token = own.session_token.reveal() if own.session_token else None
            self._session.set_credentials(own.access_key_id, own.secret_access_key.reveal(), token)
        if own.role_arn:
            self._role = AssumedRole(own, self._session, functools.partial(self._new_service, "sts", self._session))
            self._session = new_session()
            self._session.register_component("credential_provider", botocore.credentials.CredentialResolver([self._role]))

    def _service(self, name: str) -> Any:
        found = self._services.get(name)
        if found is not None:
            return found
        with self._lock:
            if name not in self._services:
                self._services[name] = self._new_service(name, self._session)
            return self._services[name]

    def _new_service(self, name: str, session: Any) -> Any:
        endpoint = connection.url_of(getattr(self._settings, connection.ENDPOINTS[name]))
        try:
            return session.create_client(
                name,
                region_name=self._settings.signing_region,
                endpoint_url=endpoint,
                config=self._config(endpoint or self._usual_endpoint(session, name)),
                verify=self._ca_bundle,
            )
        except _NO_CREDENTIALS as error:
            raise contract_errors.CpiError(f"no usable AWS credentials: {error}") from error
        except (botocore.exceptions.BotoCoreError, ValueError) as error:
            raise contract_errors.CpiError(f"no client for AWS {name}: {error}") from error

    def _usual_endpoint(self, session: Any, name: str) -> str:
        """The host that is really called, of whatever partition, as no_proxy may name it."""
        own = self._settings
        resolver = session._get_internal_component("endpoint_resolver")  # noqa: SLF001 - the SDK has no other way
        partition = session.get_partition_for_region(own.signing_region)
        found = (
            resolver.construct_endpoint(
                connection.PREFIXES.get(name, name), own.signing_region, partition, use_dualstack_endpoint=own.dualstack
            )
            or {}
        )
        return f"https://{found.get('hostname') or f'{name}.{own.signing_region}.amazonaws.com'}"

    def _config(self, url: str) -> Any:
        return botocore.config.Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            max_pool_connections=_CONNECTIONS,
            # Repeats are ours: the SDK's stop at a quota that many threads soon use up, and its rate limiter forgets slowly.
            retries={"mode": "standard", "total_max_attempts": 1},
            use_dualstack_endpoint=self._settings.dualstack or None,
            proxies=connection.proxies(self._settings, url),
            tcp_keepalive=True,
        )


def _may_repeat(operation: str, parameters: dict[str, Any]) -> bool:
    repeat = OPERATIONS[operation].repeat
    return repeat is Repeat.HARMLESS or (repeat is Repeat.ASKED_BY_KEY and "ClientToken" in parameters)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


class _MetadataSilent(Exception):
    """The instance metadata service gave no credentials; what it said instead."""


class _MetadataFetcher(botocore.utils.InstanceMetadataFetcher):  # type: ignore[misc]  # the SDK has no types
    """The SDK's, which goes by no proxy, and tells what was answered."""

    def __init__(self, like: Any) -> None:
        agent, config = like._user_agent, like._config  # noqa: SLF001 - the SDK has no other way
        super().__init__(timeout=METADATA_SECONDS, base_url=like.get_base_url(), user_agent=agent, config=config)
        self.usable = not self._disabled
        self._session = botocore.httpsession.URLLib3Session(timeout=METADATA_SECONDS, proxies={})
        self._told = "none"
        self._send, self._session.send = self._session.send, self._noting

    def _noting(self, request: Any) -> Any:
        answer = self._send(request)
        self._told = f"HTTP {answer.status_code}"
        return answer

    def credentials(self) -> Any:
        """Asked several times: the service is busy or late now and then."""
        from cpi.kit.retrying import repeated  # imported late: most processes have credentials of their own

        def once() -> Any:
            found = self.retrieve_iam_role_credentials()
            if not found:
                raise _MetadataSilent(self._told)
            return found

        try:
            return repeated(once, on=_MetadataSilent, attempts=METADATA_ATTEMPTS, longest_pause_seconds=2.0)
        except _MetadataSilent as error:
            raise contract_errors.CpiError(errors.no_instance_profile(self.get_base_url(), error)) from error


class _InstanceProfile:
    """A credential provider of the SDK: the last one to be asked."""

    METHOD = "iam-role"
    CANONICAL_NAME = "Ec2InstanceMetadata"

    def __init__(self, like: Any) -> None:
        self._fetcher = _MetadataFetcher(like)

    def load(self) -> Any:
        """None where the environment turns the service off."""
        if not self._fetcher.usable:
            return None
        asked = self._fetcher.credentials
        return botocore.credentials.RefreshableCredentials.create_from_metadata(asked(), method=self.METHOD, refresh_using=asked)


def _ask_instance_metadata_patiently(session: Any) -> None:
    providers = session.get_component("credential_provider").providers
    for index, one in enumerate(providers):
        if one.METHOD == _InstanceProfile.METHOD:
            providers[index] = _InstanceProfile(one._role_fetcher)  # noqa: SLF001 - the SDK has no other way
