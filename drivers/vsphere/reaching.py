"""Where a vCenter is, and by what right its certificate is trusted."""

import http.client
import ssl
from typing import NamedTuple
from urllib.parse import urlsplit

from cpi.contract import errors
from drivers.vsphere.settings import VCenter


class Address(NamedTuple):
    """A vCenter's."""

    host: str
    port: int
    secure: bool

    @property
    def url(self) -> str:
        """As people write it."""
        return f"{'https' if self.secure else 'http'}://{self.host}:{self.port}"


def address(settings: VCenter) -> Address:
    """Raises CpiError for what is none."""
    text = settings.host if "://" in settings.host else f"https://{settings.host}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise errors.CpiError(f"host: {settings.host!r} is no address: {error}") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise errors.CpiError(f"host: expected a name, an address or a URL, got {settings.host!r}")
    secure = parts.scheme == "https"
    return Address(parts.hostname, port or (443 if secure else 80), secure)


def trust(settings: VCenter) -> ssl.SSLContext:
    """Raises CpiError for a certificate that can not be read."""
    options = settings.connection_options
    context = ssl.create_default_context()
    if not options.ssl_verify_peer:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif options.ca_cert:
        try:
            context.load_verify_locations(cadata=options.ca_cert)
        except (ssl.SSLError, ValueError) as error:
            raise errors.CpiError(f"connection_options.ca_cert: is no certificate in PEM: {error}") from error
    return context


def connection(where: Address, context: ssl.SSLContext, timeout: float) -> http.client.HTTPConnection:
    """For files, which go by HTTP."""
    if where.secure:
        return http.client.HTTPSConnection(where.host, where.port, timeout=timeout, context=context)
    return http.client.HTTPConnection(where.host, where.port, timeout=timeout)
