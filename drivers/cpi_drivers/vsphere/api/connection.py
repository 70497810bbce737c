"""Where a vCenter or an NSX manager is, and by what right its certificate is trusted."""

import hashlib
import http.client
import ssl
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from cpi.contract import errors
from cpi.kit.proxies import Proxies

_PORTS: Final = {"https": 443, "http": 80}


class Address(NamedTuple):
    """A server's."""

    host: str
    port: int
    secure: bool

    @property
    def url(self) -> str:
        """As people write it."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{name}:{self.port}"


def address(host: str, setting: str) -> Address:
    """What is written in a setting. Raises CpiError, which names it, for what is none."""
    text = host if "://" in host else f"https://{host}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise errors.CpiError(f"{setting}: {host!r} is no address: {error}") from error
    if parts.scheme not in _PORTS or not parts.hostname:
        raise errors.CpiError(f"{setting}: expected a name, an address or a URL, got {host!r}")
    return Address(parts.hostname, port or _PORTS[parts.scheme], parts.scheme == "https")


def trust(ca_cert: str | None, setting: str, *, verify: bool) -> ssl.SSLContext:
    """Also in the certificates of a setting. Raises CpiError, which names it, for what cannot be read."""
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca_cert:
        try:
            context.load_verify_locations(cadata=ca_cert)
        except (ssl.SSLError, ValueError) as error:
            raise errors.CpiError(f"{setting}: is no certificate in PEM: {error}") from error
    return context


class _Pinned(http.client.HTTPSConnection):
    """To a server whose certificate has a thumbprint that the vCenter tells: it is the issuer that vouches for its hosts."""

    def __init__(self, first: tuple[str, int], timeout: float, thumbprint: str) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        super().__init__(*first, timeout=timeout, context=context)
        self._thumbprint = thumbprint

    def connect(self) -> None:
        super().connect()
        shown = self.sock.getpeercert(binary_form=True) or b""
        if hashlib.sha1(shown, usedforsecurity=False).hexdigest() != self._thumbprint.replace(":", "").lower():
            self.close()
            raise ssl.SSLCertVerificationError(f"the thumbprint of its certificate is not the vCenter's {self._thumbprint}")


def connection(
    where: Address, context: ssl.SSLContext, timeout: float, thumbprint: str | None = None
) -> http.client.HTTPConnection:
    """For files, which go by HTTP. With a thumbprint the server's certificate must have that one."""
    by = proxy_to(where)
    first = by or (where.host, where.port)
    made: http.client.HTTPConnection
    if where.secure and thumbprint:
        made = _Pinned(first, timeout, thumbprint)
    elif where.secure:
        made = http.client.HTTPSConnection(*first, timeout=timeout, context=context)
    else:
        made = http.client.HTTPConnection(*first, timeout=timeout)
    if by is not None:
        made.set_tunnel(where.host, where.port)
    return made


def proxy_to(where: Address) -> tuple[str, int] | None:
    """The proxy on the way, as http_proxy, https_proxy and no_proxy say. Raises CpiError if it wants a login."""
    named = Proxies.of_environment().for_url(where.url)
    if named is None:
        return None
    if named.user or named.password:
        raise errors.CpiError(f"the proxy {named.place} to {where.url}: a proxy with a login is not supported here")
    return named.host, named.port
