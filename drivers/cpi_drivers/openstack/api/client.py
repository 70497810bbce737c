"""The one room that imports the SDK: a login that many processes share, and calls that are repeated where they may be.

Calls go through keystoneauth, the layer under openstacksdk: a process that imports all of openstacksdk starts in twice the
time, and every CPI call is a process. What is for people (`cpi doctor`) asks through openstacksdk itself.
"""

import logging
import re
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, Protocol
from urllib.parse import parse_qs, quote, urlsplit

import requests
from keystoneauth1 import exceptions, session
from keystoneauth1.identity import v3
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from cpi.contract import errors
from cpi.kit import private_files
from cpi.kit.failures import AnswerLost, Passing
from cpi.kit.proxies import Proxies
from cpi.kit.redaction import remember, scrubbed
from cpi.kit.retrying import repeated
from cpi.kit.waiting import refuse_late
from cpi_drivers.openstack.api import connection
from cpi_drivers.openstack.api.answers import BROKEN, NOT_DONE, REDIRECTS, Asked, document, redirect, request_id
from cpi_drivers.openstack.api.errors import refusal
from cpi_drivers.openstack.api.session import NoCache, TokenCache, login_of
from cpi_drivers.openstack.settings import OpenStackSettings

Service = Literal["compute", "volume", "network", "image", "load-balancer"]

# The names a catalogue may have for a service, and the version whose paths are used.
_SERVICES: Final[Mapping[str, tuple[tuple[str, ...], str]]] = {
    "compute": (("compute",), "/v2.1"),
    "volume": (("volumev3", "block-storage", "block-store", "volume"), "/v3"),
    "network": (("network",), "/v2.0"),
    "image": (("image",), "/v2"),
    "load-balancer": (("load-balancer", "loadbalancer"), "/v2.0"),
}
_MICROVERSION_NAMES: Final = {"compute": "compute", "volume": "volume"}
_VERSIONED: Final = re.compile(r"/v\d+(\.\d+)?(/|$)")
_FIRST_PAUSE_SECONDS: Final = 0.2
_CID: Final = re.compile(r"[A-Za-z0-9_.-]+")
_SPOILT: Final = (ValueError, KeyError, TypeError, AttributeError, AssertionError)  # what keystoneauth raises for no token at all

_log = logging.getLogger(__name__)


def segment(cid: str) -> str:
    """A CID as a part of a path. Raises Missing for what no service could have given: nothing of that name exists."""
    if not _CID.fullmatch(cid) or set(cid) == {"."}:
        raise refusal(f"{cid!r}", 404, "is no id of OpenStack")
    return quote(cid)


class Client:
    """One set of credentials. Any number of threads may call it."""

    def __init__(self, settings: OpenStackSettings, callers: Any = None) -> None:
        """With an openstack.connection.Connection of the caller's, or None."""
        self._settings, self._callers = settings, callers
        self._options = connection.read(settings.connection_options)
        self._folder = private_files.folder(settings.cache_folder)
        self._secrets = frozenset(
            secret.reveal() for secret in (settings.api_key, settings.application_credential_secret) if secret is not None
        )
        if callers is None:
            self._cache: TokenCache | NoCache = TokenCache(self._folder, _credentials(settings))
            self._auth = _login(settings)
            self._kept = self._take_up(self._cache.read())
        else:
            self._cache, self._auth, self._kept = NoCache(), login_of(callers), None
        self._session = self._connected()
        self._local = threading.local()

    @property
    def folder(self) -> Path:
        """Where caches and locks lie."""
        return self._folder

    def close(self) -> None:
        """Let go of connections."""
        self._session.session.close()

    def during(self, operation: str) -> None:
        """Say which operation this thread's calls are made for: retry_config is by operation."""
        self._local.operation = operation

    # ------------------------------------------------------------------ calls

    def get(self, service: Service, path: str, query: Mapping[str, Any] | None = None, *, microversion: str | None = None) -> Any:
        """What is there."""
        return self.call(service, "GET", path, query=query, microversion=microversion)

    def post(self, service: Service, path: str, body: Any, *, microversion: str | None = None, idempotent: bool = False) -> Any:
        """Make, or act; idempotent: the same call once more changes nothing, so it may be repeated when no answer came."""
        return self.call(service, "POST", path, body=body, microversion=microversion, idempotent=idempotent)

    def put(self, service: Service, path: str, body: Any) -> Any:
        """Set."""
        return self.call(service, "PUT", path, body=body)

    def delete(self, service: Service, path: str) -> None:
        """Remove."""
        self.call(service, "DELETE", path)

    def pages(
        self, service: Service, path: str, key: str, query: Mapping[str, Any] | None = None, *, microversion: str | None = None
    ) -> Iterator[Any]:
        """Everything in a list, page by page, as each service links to the next."""
        wanted: Mapping[str, Any] | None = query
        while True:
            page = self.get(service, path, wanted, microversion=microversion)
            yield from page[key]
            following = [link["href"] for link in page.get(f"{key}_links", ()) if link.get("rel") == "next"]
            if not following:
                return
            wanted = parse_qs(urlsplit(following[0]).query)

    def call(
        self,
        service: Service,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        microversion: str | None = None,
        headers: Mapping[str, str] | None = None,
        idempotent: bool = False,
    ) -> Any:
        """The answer's document, None if it has none.

        Raises Refused (Missing, Conflicting) for what the service will not do; AnswerLost if it may have been done; CpiError for
        credentials and catalogue; CloudError for what went on failing.
        """
        asked = f"{method} {service}{path}"
        refuse_late(asked)
        rule = self._settings.repeating(getattr(self._local, "operation", "default"))
        sent = {**_microversion(service, microversion), **(headers or {})}
        return repeated(
            lambda: self._once(service, path, Asked(method, asked, service, idempotent), json=body, params=query, headers=sent),
            on=Passing,
            attempts=rule.max_attempts,
            first_pause_seconds=min(_FIRST_PAUSE_SECONDS, rule.sleep_duration),
            longest_pause_seconds=rule.sleep_duration,
            at_least=lambda error: min(getattr(error, "after_seconds", 0.0), self._settings.state_timeout),
        )

    def upload(self, path: str, file: "BinaryFile") -> None:
        """A file's bytes to the image service, streamed, once."""
        headers = {"Content-Type": "application/octet-stream"}
        try:
            self._once("image", path, Asked("PUT", f"PUT image{path}", "image"), data=file, headers=headers)
        except Passing as error:
            raise AnswerLost(error.message) from error

    def _once(self, service: Service, path: str, asked: "Asked", **request: Any) -> Any:
        began = time.monotonic()
        try:
            url = self._base(service) + path
            answer = self._session.request(url, asked.method, raise_exc=False, log=False, connect_retries=0, **request)
        except exceptions.ClientException as error:
            raise self._unanswered(error, asked) from error
        finally:
            self._keep_token()
        _log.debug("%s: %s in %.2f s, %s", asked.text, answer.status_code, time.monotonic() - began, request_id(answer))
        return document(answer, asked)

    def _unanswered(self, error: exceptions.ClientException, asked: "Asked") -> errors.Error:
        text = scrubbed(str(error), self._secrets)
        if isinstance(error, exceptions.SSLError):
            advice = "connection_options.ca_cert must hold the issuer, and the port must speak TLS"
            return errors.CloudError(f"{asked.text}: TLS fails: {text}; {advice}")
        if isinstance(error, exceptions.HttpError | exceptions.InvalidResponse | exceptions.AuthorizationFailure):
            return self._failed_login(error, text)
        if isinstance(error, exceptions.ConnectionError):
            if self._auth.auth_ref is None:
                return Passing(f"Keystone cannot be reached at {self._settings.keystone_url} (auth_url): {text}")
            if asked.may_be_repeated or _never_sent(error):
                return Passing(f"{asked.text}: {text}")
            return AnswerLost(f"{asked.text}: no answer came, it may have been done: {text}")
        return errors.CloudError(f"{asked.text}: {text}")

    def _failed_login(self, error: exceptions.ClientException, text: str) -> errors.Error:
        url, status = self._settings.keystone_url, getattr(error, "http_status", None)
        answer = getattr(error, "response", None)
        if answer is not None and answer.status_code in REDIRECTS:
            return errors.CpiError(f"Keystone at {url}: {redirect(answer)}; see auth_url")
        if isinstance(error, exceptions.Unauthorized):
            advice = "see username, api_key, project and domain, or the application credential"
            if self._callers is not None:
                advice = "see the session that was given to cpi.connect"
            return errors.CpiError(f"Keystone at {url} does not take the credentials: {text}; {advice}")
        if status is not None and (status >= BROKEN or status in NOT_DONE):
            return Passing(f"Keystone at {url}: {text}")
        return errors.CpiError(f"no Keystone v3 answers at {url}: {text}; see auth_url")

    # ------------------------------------------------------------------ session, token, catalogue

    def sdk(self) -> Any:
        """openstacksdk's connection on the same session and token."""
        from openstack.connection import Connection

        self._base("compute")
        return Connection(session=self._session, region_name=self._settings.region)

    def services(self) -> frozenset[str]:
        """The types of service that the catalogue has for this region and endpoint_type."""
        interface = self._settings.endpoint_type.removesuffix("URL")
        try:
            catalogue = self._auth.get_access(self._session).service_catalog
            found = catalogue.get_endpoints(interface=interface, region_name=self._settings.region)
            return frozenset(kind for kind, endpoints in found.items() if endpoints)
        except exceptions.ClientException as error:
            raise self._unanswered(error, Asked("GET", "logging in", "identity")) from error
        finally:
            self._keep_token()

    def _base(self, service: Service) -> str:
        names, version = _SERVICES[service]
        catalogue = self._auth.get_access(self._session).service_catalog
        interface = self._settings.endpoint_type.removesuffix("URL")
        for name in names:
            urls = catalogue.get_urls(service_type=name, interface=interface, region_name=self._settings.region)
            if urls:
                url = str(urls[0]).rstrip("/")
                return url if _VERSIONED.search(url.partition("://")[2]) else url + version
        there = catalogue.get_endpoints()
        regions = sorted({str(one["region"]) for endpoints in there.values() for one in endpoints if one.get("region")})
        raise errors.CpiError(
            f"the catalogue has no {interface} endpoint of {names[0]} in region {self._settings.region or '(any)'}; "
            f"it has: {', '.join(sorted(there)) or 'nothing'}; in the regions: {', '.join(regions) or 'none'}"
        )

    @property
    def project_id(self) -> str | None:
        """The project of the token."""
        self._base("compute")
        return str(self._auth.auth_ref.project_id) if self._auth.auth_ref is not None else None

    def _take_up(self, state: str | None) -> Any:
        """What was kept of a login; what cannot be understood is as if it were not there."""
        try:
            self._auth.set_auth_state(state)
            if self._auth.auth_ref is not None:
                self._auth.auth_ref.will_expire_soon()
                self._auth.auth_ref.service_catalog.get_endpoints()
        except _SPOILT as error:
            _log.warning("the token that was kept is not used: %s", type(error).__name__)
            self._auth.invalidate()
        self._hide_token()
        return self._auth.auth_ref

    def _hide_token(self) -> None:
        if self._auth.auth_ref is not None:
            remember((str(self._auth.auth_ref.auth_token),))

    def _keep_token(self) -> None:
        if self._auth.auth_ref is self._kept:
            return
        self._kept = self._auth.auth_ref
        self._hide_token()
        state = self._auth.get_auth_state()
        if state is None:
            self._cache.drop()
        else:
            self._cache.write(state)

    def _connected(self) -> session.Session:
        options = self._options
        http = requests.Session()
        http.trust_env = False
        for scheme in ("http://", "https://"):
            http.mount(scheme, _Patient((options.connect_timeout, options.read_timeout), options.proxy))
        return session.Session(auth=self._auth, session=http, verify=self._trusted(), user_agent="multicpi", redirect=False)

    def _trusted(self) -> bool | str:
        options = self._options
        if not options.ssl_verify_peer:
            return False
        if not options.is_pem:
            named = options.ca_cert or options.ssl_ca_file
            if named and not Path(named).exists():
                raise errors.CpiError(f"connection_options: there is no file {named} with certificates to trust")
            return named or True
        return private_files.certificates(self._folder, options.ca_cert or "")


class BinaryFile(Protocol):
    """What can be sent."""

    def __len__(self) -> int:
        """How many bytes it has."""

    def read(self, size: int = -1, /) -> bytes:
        """The next of them."""


class _Patient(session.TCPKeepAliveAdapter):
    """keystoneauth's adapter, with timeouts, and a proxy: the configuration's or the environment's."""

    def __init__(self, timeout: tuple[float, float], proxy: str | None) -> None:
        self._timeout = timeout
        self._proxy = proxy
        self._environment = Proxies.of_environment()
        super().__init__(pool_connections=20, pool_maxsize=50)

    def send(self, request: Any, **how: Any) -> Any:  # type: ignore[override]  # requests spells out each argument
        """With our timeout in place of none."""
        named = self._environment.for_url(request.url)
        proxy = self._proxy or (named.url if named else None)
        proxies = {"http": proxy, "https": proxy} if proxy else {}
        return super().send(request, **{**how, "timeout": self._timeout, "proxies": proxies})


def _credentials(settings: OpenStackSettings) -> dict[str, str | None]:
    secret = settings.application_credential_secret or settings.api_key
    names = ("keystone_url", "username", "application_credential_id", "tenant", "project", "project_id")
    domains = ("domain", "user_domain_name", "project_domain_name")
    return {**{name: getattr(settings, name) for name in (*names, *domains)}, "secret": secret.reveal() if secret else None}


def _login(settings: OpenStackSettings) -> Any:
    if settings.application_credential_id and settings.application_credential_secret:
        return v3.ApplicationCredential(
            settings.keystone_url,
            settings.application_credential_secret.reveal(),
            application_credential_id=settings.application_credential_id,
        )
    project = None if settings.project_id else settings.project or settings.tenant
    return v3.Password(
        settings.keystone_url,
        username=settings.username,
        password=settings.api_key.reveal() if settings.api_key else "",
        user_domain_name=settings.user_domain_name or settings.domain,
        project_id=settings.project_id,
        project_name=project,
        project_domain_name=(settings.project_domain_name or settings.domain or settings.user_domain_name) if project else None,
    )


def _microversion(service: Service, microversion: str | None) -> dict[str, str]:
    if microversion is None:
        return {}
    header = {"OpenStack-API-Version": f"{_MICROVERSION_NAMES[service]} {microversion}"}
    return {**header, "X-OpenStack-Nova-API-Version": microversion} if service == "compute" else header


def _never_sent(error: BaseException) -> bool:
    """Whether the connection was never made: keystoneauth keeps what requests said as the context."""
    cause = error.__context__
    reason = getattr(cause.args[0], "reason", None) if cause is not None and cause.args else None
    return isinstance(reason, NewConnectionError | ConnectTimeoutError)
