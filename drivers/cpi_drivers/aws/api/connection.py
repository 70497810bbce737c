"""What the client needs to reach the API, and that is no matter of the SDK."""

import urllib.parse
import urllib.request
from pathlib import Path
from typing import Final

from cpi.kit import private_files
from cpi_drivers.aws.settings import AwsSettings

SHORT_MODELS: Final = str(Path(__file__).parent / "service_models")
"""EC2's description cut to the actions that the driver calls: reading the whole takes a third of a short process's time."""

ENDPOINTS: Final = {
    "ec2": "ec2_endpoint",
    "elb": "elb_endpoint",
    "elbv2": "elb_endpoint",
    "ebs": "ebs_endpoint",
    "sts": "sts_endpoint",
}
"""The setting that holds the endpoint of a service."""


def url_of(endpoint: str | None) -> str | None:
    """A URL from a host or a URL."""
    if not endpoint or "://" in endpoint:
        return endpoint
    return f"https://{endpoint}"


def proxies(settings: AwsSettings, service: str) -> dict[str, str] | None:
    """Proxies by scheme for a service: none where no_proxy names its host; None lets the SDK look into the environment."""
    given = {"http": settings.env.http_proxy, "https": settings.env.https_proxy}
    found = {scheme: proxy for scheme, proxy in given.items() if proxy}
    if not found:
        return None
    endpoint = getattr(settings, ENDPOINTS[service])
    host = urllib.parse.urlsplit(url_of(endpoint) or f"https://{service}.{settings.signing_region}.amazonaws.com").netloc
    bypassed = urllib.request.proxy_bypass_environment(host, {"no": settings.env.no_proxy or ""})  # type: ignore[attr-defined]  # missing in typeshed
    return {} if bypassed else found


def ca_bundle(settings: AwsSettings) -> str | None:
    """The path of a file with connection_options.ca_cert: the SDK takes nothing else."""
    pem = settings.connection_options.ca_cert
    return private_files.certificates(private_files.folder(), pem) if pem else None
