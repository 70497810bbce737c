"""Connections to Google: with the credentials, by the proxy that fits the host."""

import threading
from typing import Any

import google_auth_httplib2
import httplib2

from cpi.kit.redaction import remember
from cpi_drivers.google.api import connection
from cpi_drivers.google.settings import GoogleSettings


class Line:
    """An HTTP connection that carries the credentials.

    The SDK's own would ask Google for the account's regional boundary besides, in a thread, once in every short process.
    """

    def __init__(self, connection: Any, credentials: Any, lock: threading.Lock, agent: str) -> None:
        self._http, self._credentials, self._lock, self._agent = connection, credentials, lock, agent
        self._request = google_auth_httplib2.Request(connection)
        self._hidden: str | None = None

    def request(self, uri: str, method: str = "GET", body: Any = None, headers: Any = None, **further: Any) -> Any:
        """As httplib2's."""
        with self._lock:
            if not self._credentials.valid:
                self._credentials.refresh(self._request)
            if self._credentials.token is not self._hidden:
                self._hidden = self._credentials.token
                remember(token for token in (self._hidden, _source_token(self._credentials)) if token)
        given = dict(headers or {})
        given["user-agent"] = f"{self._agent} {given.get('user-agent', '')}".strip()
        self._credentials.apply(given)
        return self._http.request(uri, method, body=body, headers=given, **further)

    def close(self) -> None:
        """Let go of the sockets."""
        self._http.close()


def _source_token(credentials: Any) -> str | None:
    """Of those that another service account is impersonated with."""
    source = getattr(credentials, "_source_credentials", None)
    return getattr(source, "token", None)


class Proxy(httplib2.ProxyInfo):  # type: ignore[misc]  # the SDK has no types
    """The proxy for a scheme, which httplib2 asks whether it is for a host."""

    def __init__(self, settings: GoogleSettings, scheme: str) -> None:
        self._settings, self._scheme = settings, scheme
        super().__init__(httplib2.socks.PROXY_TYPE_HTTP, "", 0)

    def applies_to(self, hostname: str) -> bool:
        """Whether a call of this host goes by a proxy."""
        host = f"[{hostname}]" if ":" in hostname else hostname
        found = connection.proxy_for(self._settings, f"{self._scheme}://{host}")
        if found is not None:
            self.proxy_host, self.proxy_port, self.proxy_user, self.proxy_pass = (
                found.host,
                found.port,
                found.user,
                found.password,
            )
        return found is not None
