"""The plugin's own block of the configuration: the keys of the official CPI, and a few of our own."""

from typing import Annotated, Final, Literal

import msgspec

from cpi.contract import errors
from cpi.contract.model import CloudConfig
from cpi.kit.proxies import Proxies
from cpi.kit.settings import Secret, read_settings

Described = msgspec.Meta


class ConnectionOptions(msgspec.Struct, frozen=True):
    """How the API is reached."""

    ca_cert: Annotated[str | None, Described(description="CA certificates (PEM) that the endpoints are checked with")] = None


class MetadataOptions(msgspec.Struct, frozen=True):
    """How a VM reaches its instance metadata, as RunInstances takes it."""

    http_tokens: Annotated[str | None, Described(description="`required` (IMDSv2) or `optional`")] = None
    http_put_response_hop_limit: Annotated[int | None, Described(description="1 to 64")] = None
    http_endpoint: Annotated[str | None, Described(description="`enabled` or `disabled`")] = None
    http_protocol_ipv6: Annotated[str | None, Described(description="`enabled` or `disabled`")] = None
    instance_metadata_tags: Annotated[
        str | None, Described(description="`enabled`: tags are visible inside the VM; EC2 then takes no key with `/` or a blank")
    ] = None


class AwsSettings(msgspec.Struct, frozen=True):
    """cloud.properties.aws."""

    credentials_source: Annotated[
        Literal["static", "env_or_profile"],
        Described(description="`static`: the keys given here; `env_or_profile`: what the SDK finds (instance profile too)"),
    ] = "static"
    access_key_id: Annotated[str | None, Described(description="key id, for `static`")] = None
    secret_access_key: Annotated[Secret | None, Described(description="key, for `static`")] = None
    session_token: Annotated[Secret | None, Described(description="token of temporary keys, for `static`")] = None
    role_arn: Annotated[str | None, Described(description="role to assume on top of either source")] = None
    region: Annotated[str | None, Described(description="region; may be left out if both endpoints are given")] = None
    ec2_endpoint: Annotated[str | None, Described(description="EC2's host, or a URL")] = None
    elb_endpoint: Annotated[str | None, Described(description="Elastic Load Balancing's host, or a URL")] = None
    ebs_endpoint: Annotated[str | None, Described(description="EBS direct API's host, or a URL (ours)")] = None
    sts_endpoint: Annotated[str | None, Described(description="STS's host, or a URL (ours)")] = None
    dualstack: Annotated[bool, Described(description="use the endpoints that answer over IPv4 and IPv6")] = False
    max_retries: Annotated[int, Described(description="repeats of a call that failed for a passing reason")] = 8
    default_key_name: Annotated[str | None, Described(description="key pair of VMs that name none")] = None
    default_security_groups: Annotated[
        tuple[str, ...], Described(description="security groups of VMs and networks that name none")
    ] = ()
    default_iam_instance_profile: Annotated[str | None, Described(description="instance profile of VMs that name none")] = None
    encrypted: Annotated[bool, Described(description="encrypt root, ephemeral and persistent disks and stemcell copies")] = False
    kms_key_arn: Annotated[str | None, Described(description="key to encrypt with; else the account's default key")] = None
    metadata_options: Annotated[MetadataOptions, Described(description="instance metadata options of every VM")] = (
        MetadataOptions()
    )
    enable_describe_instance_types: Annotated[
        bool, Described(description="ask EC2 about VM types that the shipped table does not know")
    ] = True
    fast_path_delete: Annotated[bool, Described(description="delete_vm renames the VM and does not wait until it is gone")] = (
        False
    )
    connection_options: Annotated[ConnectionOptions, Described(description="`ca_cert`")] = ConnectionOptions()
    env: Annotated[Proxies, Described(description="`http_proxy`, `https_proxy`, `no_proxy`")] = Proxies()

    @property
    def signing_region(self) -> str:
        """The region, or the one that EC2's endpoint names."""
        return self.region or region_in(self.ec2_endpoint) or "us-east-1"


def region_in(ec2_endpoint: str | None) -> str | None:
    """The region that EC2's endpoint names."""
    host = (ec2_endpoint or "").removeprefix("https://").removeprefix("http://").split(":")[0].split(".")
    return host[1] if len(host) > 2 and host[0] == "ec2" else None  # noqa: PLR2004 - ec2.<region>.<domain>


# Taken by the official CPI and without meaning here.
MEANINGLESS: Final = frozenset(
    {
        "stemcell",
        "registry",
        "ec2_private_key",
        "http_read_timeout",
        "http_wire_trace",
        "ssl_verify_peer",
        "ssl_ca_file",
        "ssl_ca_path",
        "debug",
    }
)


def read(config: CloudConfig) -> AwsSettings:
    """The driver's block. Raises CpiError listing every fault."""
    settings = read_settings(AwsSettings, config.properties, "cloud.properties.aws", ignored_keys=MEANINGLESS)
    faults = _faults(settings)
    if faults:
        raise errors.CpiError(
            "the configuration has faults:\n" + "\n".join(f"  cloud.properties.aws.{fault}" for fault in faults)
        )
    return settings


def _faults(settings: AwsSettings) -> list[str]:
    faults = []
    if not settings.region and not (settings.ec2_endpoint and settings.elb_endpoint):
        faults.append("region: is missing; give it, or both ec2_endpoint and elb_endpoint")
    if settings.credentials_source == "static":
        faults += [f"{key}: is missing for credentials_source static" for key in _missing_keys(settings)]
    elif settings.access_key_id or settings.secret_access_key or settings.session_token:
        faults.append("access_key_id, secret_access_key, session_token: have no place beside credentials_source env_or_profile")
    if settings.max_retries < 0:
        faults.append("max_retries: expected 0 or more")
    return faults


def _missing_keys(settings: AwsSettings) -> list[str]:
    given = {"access_key_id": settings.access_key_id, "secret_access_key": settings.secret_access_key}
    return [key for key, value in given.items() if not value]
