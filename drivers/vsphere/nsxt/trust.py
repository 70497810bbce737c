"""Where an NSX manager is, whose certificate it must have, and the certificate that tells who asks."""

import ssl
import tempfile
from typing import Final
from urllib.parse import urlsplit

from cpi.contract import errors
from drivers.vsphere.nsxt.settings import Nsxt

_PORTS: Final = {"https": 443, "http": 80}


def url(settings: Nsxt) -> str:
    """`https://nsx.example:443`. Raises CpiError for what is no address."""
    text = settings.host if "://" in settings.host else f"https://{settings.host}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise errors.CpiError(f"nsxt.host: {settings.host!r} is no address: {error}") from error
    if parts.scheme not in _PORTS or not parts.hostname:
        raise errors.CpiError(f"nsxt.host: expected a name, an address or a URL, got {settings.host!r}")
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{name}:{port or _PORTS[parts.scheme]}"


def context(settings: Nsxt) -> ssl.SSLContext:
    """Raises CpiError for certificates and keys that can not be read."""
    made = ssl.create_default_context()
    if not settings.ssl_verify_peer:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    elif settings.ca_cert:
        try:
            made.load_verify_locations(cadata=settings.ca_cert)
        except (ssl.SSLError, ValueError) as error:
            raise errors.CpiError(f"nsxt.ca_cert: is no certificate in PEM: {error}") from error
    if settings.auth_certificate is not None and settings.auth_private_key is not None:
        _show(made, settings.auth_certificate, settings.auth_private_key.reveal())
    return made


def _show(made: ssl.SSLContext, certificate: str, key: str) -> None:
    # OpenSSL's binding reads them from a file only: a private one, that is gone at once.
    with tempfile.NamedTemporaryFile("w", encoding="ascii", errors="replace") as file:
        file.write(f"{certificate.strip()}\n{key.strip()}\n")
        file.flush()
        try:
            made.load_cert_chain(file.name, password=lambda: b"")
        except (ssl.SSLError, ValueError) as error:
            raise errors.CpiError(
                f"nsxt.auth_certificate and auth_private_key: are no certificate and its key in PEM: {error}"
            ) from error
