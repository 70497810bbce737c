"""What the client needs to reach the API, and that is no matter of the SDK."""

import gzip
import json
from pathlib import Path
from typing import Any, Final

from cpi.kit import private_files
from cpi_drivers.google.settings import GoogleSettings

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


def proxy_url(settings: GoogleSettings, scheme: str) -> str | None:
    """The proxy for a scheme; None if the configuration names none."""
    return {"http": settings.env.http_proxy, "https": settings.env.https_proxy}.get(scheme)


def has_proxies(settings: GoogleSettings) -> bool:
    """Whether the configuration names a proxy, so that the environment's count for nothing."""
    return bool(settings.env.http_proxy or settings.env.https_proxy)


def ca_bundle(settings: GoogleSettings) -> str | None:
    """The path of a file with connection_options.ca_cert: the SDK takes nothing else."""
    pem = settings.connection_options.ca_cert
    return private_files.certificates(private_files.folder(), pem) if pem else None
