"""Whose certificate an NSX manager must have, and the certificate that tells who asks."""

import ssl
import tempfile

from cpi.contract import errors
from cpi_drivers.vsphere.api import connection
from cpi_drivers.vsphere.nsxt_settings import Nsxt


def context(settings: Nsxt) -> ssl.SSLContext:
    """Raises CpiError for certificates and keys that cannot be read."""
    made = connection.trust(settings.ca_cert, "nsxt.ca_cert", verify=settings.ssl_verify_peer)
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
