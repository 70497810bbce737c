"""`connection_options`: what the official CPI hands to its HTTP library, as far as it means something here."""

import logging
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from cpi.kit.settings import read_cloud_properties

_log = logging.getLogger(__name__)

Seconds = Annotated[float, msgspec.Meta(gt=0)]


class ConnectionOptions(msgspec.Struct, frozen=True):
    """How to connect. Other options of excon are logged and left alone."""

    ca_cert: str | None = None
    """The certificates to trust: PEM, or the path of a file."""

    ssl_ca_file: str | None = None
    """The path of a file with the certificates to trust."""

    ssl_verify_peer: bool = True
    """false: any certificate is taken."""

    connect_timeout: Seconds = 60.0
    """Seconds to connect."""

    read_timeout: Seconds = 60.0
    """Seconds without a byte of the answer."""

    proxy: str | None = None
    """The URL of a proxy. Default: what http_proxy, https_proxy and no_proxy of the environment say."""

    @property
    def is_pem(self) -> bool:
        """Whether ca_cert is the certificates themselves."""
        return "-----BEGIN" in (self.ca_cert or "")


def read(options: Mapping[str, Any]) -> ConnectionOptions:
    """Raises CpiError listing what is wrong."""
    return read_cloud_properties(ConnectionOptions, options, "connection_options")
