"""What the client needs to reach the API, and that is no matter of the SDK."""

import gzip
import json
import os
import urllib.parse
from pathlib import Path
from typing import Any, Final

from cpi.kit import ca_files
from cpi.kit.proxies import ProxyAddress
from cpi_drivers.google.settings import GoogleSettings

METADATA_ADDRESS: Final = "169.254.169.254"
"""By address: the name resolves only where Google's own resolvers are asked."""

DOCUMENTS: Final = Path(__file__).parent / "discovery"
"""Google's discovery documents cut to the methods that the driver calls: reading the whole takes longer than a call."""


def document(api: str) -> dict[str, Any]:
    """The short discovery document of an API."""
    found: dict[str, Any] = json.loads(gzip.decompress((DOCUMENTS / f"{api}.json.gz").read_bytes()))
    return found


def base_url(settings: GoogleSettings, api: str, described: dict[str, Any]) -> str:
    """Where an API is: at Google's own host, or at a private endpoint."""
    root = getattr(settings.endpoints, api) or described["rootUrl"]
    return f"{root.rstrip('/')}/{described['servicePath']}"


def proxy_for(settings: GoogleSettings, url: str) -> ProxyAddress | None:
    """The proxy on the way to a URL: the configuration's, or the environment's; never for instance metadata."""
    metadata = os.environ.get("GCE_METADATA_HOST", "")
    if metadata and urllib.parse.urlsplit(url).hostname == metadata.partition(":")[0]:
        return None
    return settings.env.or_of_environment().for_url(url)


def ca_bundle(settings: GoogleSettings) -> str | None:
    """The path of a file with the CA certificates: the SDK takes nothing else."""
    return ca_files.ca_bundle(settings.connection_options.ca_cert)
