"""What the client needs to reach the API, and that is no matter of the SDK."""

import urllib.parse
from pathlib import Path
from typing import Final

from cpi.kit import ca_files
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


PREFIXES: Final = {"elb": "elasticloadbalancing", "elbv2": "elasticloadbalancing"}
"""How the host of a service begins, where that is not its name."""


def url_of(endpoint: str | None) -> str | None:
    """A URL from a host or a URL."""
    if not endpoint or "://" in endpoint:
        return endpoint
    return f"https://{endpoint}"


def proxies(settings: AwsSettings, url: str) -> dict[str, str]:
    """Proxies by scheme on the way to a URL: the configuration's, or the environment's if that names none."""
    found = settings.env.or_of_environment().for_url(url)
    return {urllib.parse.urlsplit(url).scheme: found.url} if found else {}


def ca_bundle(settings: AwsSettings) -> str | None:
    """The path of a file with the CA certificates: the SDK takes nothing else."""
    return ca_files.ca_bundle(settings.connection_options.ca_cert)
