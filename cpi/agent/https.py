"""The agent over HTTPS: POST /agent with the user and password of its mbus URL, its certificate checked against its CA."""

import contextlib
import json
import ssl
import uuid
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

import httpx

from cpi.agent.errors import AgentTimeout, AgentUnreachable
from cpi.agent.protocol import Agent, Deadlines
from cpi.contract import errors

_DEFAULT_PORT: Final = 6868
_CONNECT_SECONDS: Final = 10.0
_HEADERS: Final = {"Content-Type": "application/json"}


def from_settings(settings: Mapping[str, Any], deadlines: Deadlines | None = None) -> Agent:
    """The agent that was given these settings, as cloud.agent_settings(vm_cid) tells them.

    The first URL of env.bosh.mbus wins over the root's mbus, as in the agent. Raises CpiError if they name no HTTPS address.
    """
    bus = settings.get("env", {}).get("bosh", {}).get("mbus", {})
    url = next(iter(bus.get("urls") or ()), None) or settings.get("mbus")
    if not url:
        raise errors.CpiError("the agent's settings hold no mbus URL, neither in env.bosh.mbus.urls nor as mbus")
    return Agent(HttpsTransport(url, bus.get("cert", {}).get("ca")), deadlines)


class HttpsTransport:
    """One agent's address, and how to be let in there. Any number of threads may use it."""

    def __init__(self, mbus_url: str, ca_certificate: str | None) -> None:
        """ca_certificate is PEM; without one the system's authorities are asked. Raises CpiError for what is no such URL."""
        address = _address(mbus_url)
        self._reply_to = f"director.{uuid.uuid4()}"
        self._where = f"https://{_host(address)}:{address.port or _DEFAULT_PORT}"
        self._client = httpx.Client(
            base_url=self._where,
            auth=httpx.BasicAuth(unquote(address.username or ""), unquote(address.password or "")),
            verify=_tls(ca_certificate),
            trust_env=False,
        )

    def __repr__(self) -> str:
        return f"HttpsTransport({self._where!r})"

    def exchange(self, request: Mapping[str, Any], deadline_seconds: float) -> Mapping[str, Any]:
        """The agent's answer to one request. Raises AgentTimeout, AgentUnreachable."""
        method = request.get("method")
        # httpx's own JSON takes no lone surrogates, which stand for bytes that are no text
        body = json.dumps({**request, "reply_to": self._reply_to})
        timeout = httpx.Timeout(deadline_seconds, connect=min(_CONNECT_SECONDS, deadline_seconds))
        try:
            response = self._client.post("/agent", content=body, headers=_HEADERS, timeout=timeout)
        except httpx.ConnectTimeout as error:
            raise AgentUnreachable(f"{method}: no connection to the agent at {self._where} in time") from error
        except httpx.TimeoutException as error:
            raise AgentTimeout(f"{method}: the agent at {self._where} did not answer within {deadline_seconds:g} s") from error
        except httpx.TransportError as error:
            raise AgentUnreachable(f"{method}: the agent at {self._where} cannot be reached: {error}") from error
        return self._document(method, response)

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    def _document(self, method: object, response: httpx.Response) -> Mapping[str, Any]:
        if response.status_code == httpx.codes.UNAUTHORIZED:
            raise AgentUnreachable(f"{method}: the agent at {self._where} refuses the user and password of its mbus URL")
        with contextlib.suppress(ValueError):
            document = response.json()
            if response.status_code == httpx.codes.OK and isinstance(document, Mapping):
                return document
        raise AgentUnreachable(
            f"{method}: {self._where} is not an agent: HTTP {response.status_code}, {len(response.content)} bytes"
        )


def _address(mbus_url: str) -> SplitResult:
    with contextlib.suppress(ValueError):
        address = urlsplit(mbus_url)
        if address.scheme == "https" and address.hostname and address.port != 0:
            return address
    scheme = mbus_url.partition("://")[0] if "://" in mbus_url else "none"
    raise errors.CpiError(f"the agent's mbus URL must be https://USER:PASSWORD@HOST:PORT, its scheme is {scheme!r}")


def _host(address: SplitResult) -> str:
    host = address.hostname or ""
    return f"[{host}]" if ":" in host else host


def _tls(ca_certificate: str | None) -> ssl.SSLContext:
    if ca_certificate is None:
        return ssl.create_default_context()
    try:
        return ssl.create_default_context(cadata=ca_certificate)
    except (ssl.SSLError, ValueError) as error:
        raise errors.CpiError("env.bosh.mbus.cert.ca in the agent's settings is no PEM certificate") from error
