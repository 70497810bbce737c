"""One HTTPS request with a body of JSON, for whoever tells of alerts that way."""

import ssl
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import httpx

from cpi.contract import errors

_SECONDS: Final = 15.0
_TOO_MANY: Final = 429
_SERVERS_FAULT: Final = 500


def check_url(url: str, *, plain: bool) -> None:
    """Raises ValueError unless it is an https:// address, or http:// where that was asked for in writing."""
    address = urlsplit(url)
    if address.scheme not in ({"https", "http"} if plain else {"https"}) or not address.hostname:
        more = "" if plain or address.scheme != "http" else " (or say plain: true)"
        raise ValueError(f"url: expected https://HOST/PATH, got the scheme {address.scheme!r}{more}")
    if address.username or address.password:
        raise ValueError("url: it holds a password: give it as secret")


def post(url: str, body: bytes, headers: Mapping[str, str], ca: str | None = None) -> None:
    """Raises CloudError if a repeat may help, CpiError if not."""
    host = urlsplit(url).hostname
    try:
        with httpx.Client(verify=_tls(ca), timeout=_SECONDS, trust_env=False) as client:
            answer = client.post(url, content=body, headers={"Content-Type": "application/json", **headers})
    except httpx.HTTPError as error:
        raise errors.CloudError(f"cannot send the alert to {host}: {error}") from error
    if answer.status_code >= _SERVERS_FAULT or answer.status_code == _TOO_MANY:
        raise errors.CloudError(f"{host} answered HTTP {answer.status_code}")
    if not answer.is_success:
        raise errors.CpiError(f"{host} rejected the alert: HTTP {answer.status_code}")


def _tls(ca: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise errors.CpiError(f"the CA in {ca} cannot be read: {error}") from error
