"""Logging in, and sessions kept between processes: each CPI call is a process, and a login costs more than most calls."""

import base64
import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple, Protocol
from urllib.parse import quote, urlencode

import msgspec

from cpi.contract import errors
from cpi.contract.encoding import from_plain
from cpi.kit import private_files
from cpi.kit.redaction import remember
from cpi_drivers.vcloud.api import documents
from cpi_drivers.vcloud.settings import VcloudSettings

BEARER_SINCE: Final = 33.0
_NEWEST_KNOWN: Final = 39.1
_NOT_ACCEPTABLE: Final = 406
_PROVIDER: Final = "system"


class Reply(NamedTuple):
    """An answer of HTTP."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Asks(Protocol):
    """One exchange, repeated where that is safe."""

    def __call__(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        """The answer, of whatever status."""


class Session(msgspec.Struct, frozen=True):
    """A login."""

    header: str
    value: str
    version: str
    began: float

    @property
    def headers(self) -> dict[str, str]:
        """What every call is made with."""
        return {self.header: self.value, "Accept": f"application/*+xml;version={self.version}"}


class Sessions:
    """The one of these credentials at this address. Any number of threads may ask."""

    def __init__(self, settings: VcloudSettings, folder: Path, ask: Asks) -> None:
        self._settings = settings
        self._ask = ask
        self._lock = threading.Lock()
        self._session: Session | None = None
        secrets = [secret.reveal() if secret else None for secret in (settings.password, settings.api_token)]
        whose = [settings.root, settings.user, settings.entities.organization, settings.api_version, *secrets]
        self._file = private_files.named(folder, "vcloud-session", *whose)

    def current(self) -> Session:
        """As kept, or a new one."""
        with self._lock:
            self._session = self._fresh(self._session) or self._fresh(self._kept()) or self._new()
            remember((self._session.value.removeprefix("Bearer "),))
            return self._session

    def refused(self, session: Session) -> None:
        """It is over; another process may have logged in since."""
        with self._lock:
            if self._session == session:
                self._session = None
            if self._kept() == session:
                private_files.forget(self._file)

    def _fresh(self, session: Session | None) -> Session | None:
        longest = self._settings.patience.cookie_timeout
        if session is None or (longest is not None and not 0 <= time.time() - session.began < longest):
            return None
        return session

    def _kept(self) -> Session | None:
        try:
            return from_plain(private_files.read(self._file), Session)
        except msgspec.ValidationError:
            return None

    def _new(self) -> Session:
        version = self._settings.api_version or self._offered()
        began = time.time()
        if float(version) < BEARER_SINCE:
            header, value = "x-vcloud-authorization", self._by_password("/api/sessions", f"application/*+xml;version={version}")
        else:
            header, value = "Authorization", f"Bearer {self._bearer(version)}"
        session = Session(header, value, version, began)
        private_files.keep(self._file, msgspec.to_builtins(session))
        return session

    def _offered(self) -> str:
        numbers = self._versions()
        known = [number for number in numbers if number <= _NEWEST_KNOWN]
        return numbers[max(known)] if known else numbers[min(numbers)]

    def _versions(self) -> dict[float, str]:
        reply = self._ask("GET", "/api/versions", {"Accept": "application/*+xml"})
        try:
            root = documents.read(reply.body)
            offered = [documents.text(info, "Version") for info in documents.every(root, "VersionInfo")]
        except documents.Unreadable:
            offered = []
        numbers = {float(version): version for version in offered if _is_number(version)}
        if reply.status >= 300 or not numbers:  # noqa: PLR2004 - what is not a success
            raise errors.CpiError(
                f"{self._settings.url} is no Cloud Director: {reply.status} to GET /api/versions; is url right?"
            )
        return numbers

    def _bearer(self, version: str) -> str:
        accept = f"application/json;version={version}"
        if self._settings.api_token is not None:
            return self._by_token(self._settings.api_token.reveal(), accept)
        provider = "/provider" if self._settings.login[1].lower() == _PROVIDER else ""
        return self._by_password(f"/cloudapi/1.0.0/sessions{provider}", accept)

    def _by_password(self, path: str, accept: str) -> str:
        name, organization = self._settings.login
        if self._settings.password is None:
            raise errors.CpiError(f"{self._settings.url} knows no API tokens: its API is older; set user and password")
        secret = f"{name}@{organization}:{self._settings.password.reveal()}"
        basic = base64.b64encode(secret.encode()).decode()
        reply = self._let_in(f"{name}@{organization}", path, {"Authorization": f"Basic {basic}", "Accept": accept})
        for header in ("x-vmware-vcloud-access-token", "x-vcloud-authorization"):
            if reply.headers.get(header):
                return reply.headers[header]
        raise errors.CloudError(f"{self._settings.url} let {name}@{organization} in and gave no token")

    def _by_token(self, token: str, accept: str) -> str:
        organization = self._settings.login[1]
        place = "provider" if organization.lower() == _PROVIDER else f"tenant/{quote(organization, safe='')}"
        form = urlencode({"grant_type": "refresh_token", "refresh_token": token}).encode()
        headers = {"Accept": accept, "Content-Type": "application/x-www-form-urlencoded"}
        reply = self._let_in("api_token", f"/oauth/{place}/token", headers, form)
        try:
            return str(json.loads(reply.body)["access_token"])
        except (ValueError, KeyError, TypeError) as error:
            raise errors.CloudError(f"{self._settings.url} took the api_token and gave no access token") from error

    def _let_in(self, who: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        reply = self._ask("POST", path, headers, body)
        if reply.status == _NOT_ACCEPTABLE:
            offered = ", ".join(version for _, version in sorted(self._versions().items()))
            asked = headers["Accept"].rpartition("version=")[2]
            raise errors.CpiError(
                f"{self._settings.url} does not speak version {asked} of the API (see api_version); it offers: {offered}"
            )
        if reply.status >= 300:  # noqa: PLR2004 - what is not a success
            raise errors.CpiError(
                f"{self._settings.url} does not let {who} into the organisation {self._settings.login[1]!r}: {reply.status}"
            )
        return reply


def _is_number(version: str) -> bool:
    return version.replace(".", "", 1).isdigit()
