"""The plugin's own block of the configuration: the keys of the official CPI, and a few of our own."""

import json
from typing import Annotated, Any, Final

import msgspec

from cpi.contract import errors
from cpi.contract.model import CloudConfig
from cpi.kit.proxies import Proxies
from cpi.kit.settings import Secret, read_settings, with_session

Described = msgspec.Meta

_NEEDED_IN_KEY: Final = {"service_account": ("client_email", "private_key", "token_uri")}


class Endpoints(msgspec.Struct, frozen=True):
    """URLs in place of Google's own, for private endpoints."""

    compute: Annotated[str | None, Described(description="in place of https://compute.googleapis.com")] = None
    storage: Annotated[str | None, Described(description="in place of https://storage.googleapis.com")] = None
    cloudresourcemanager: Annotated[
        str | None, Described(description="in place of https://cloudresourcemanager.googleapis.com")
    ] = None
    iamcredentials: Annotated[str | None, Described(description="in place of https://iamcredentials.googleapis.com")] = None


class ConnectionOptions(msgspec.Struct, frozen=True):
    """How the API is reached."""

    ca_cert: Annotated[str | None, Described(description="CA certificates (PEM) that the endpoints are checked with")] = None


class GoogleSettings(msgspec.Struct, frozen=True):
    """cloud.properties.google."""

    project: Annotated[str, Described(description="project id")]
    json_key: Annotated[
        Secret, Described(description="key of a service account (JSON); empty: application default credentials, instance's too")
    ] = Secret("")
    impersonate_service_account: Annotated[
        str | None, Described(description="service account to act as, on top of either (ours)")
    ] = None
    default_zone: Annotated[str | None, Described(description="zone of VMs and disks that name none (ours)")] = None
    user_agent_prefix: Annotated[str, Described(description="before our own user agent")] = ""
    default_root_disk_size_gb: Annotated[
        int, Described(description="root disk of VMs that name none; 0: 10, or the stemcell's size if that is larger")
    ] = 0
    default_root_disk_type: Annotated[str, Described(description="type of root disks; empty: pd-standard")] = ""
    snapshot_storage_location: Annotated[
        str | None, Described(description="region or multi-region of snapshots; else the nearest multi-region (ours)")
    ] = None
    bucket_location: Annotated[
        str | None, Described(description="region of the bucket that a heavy stemcell passes through; else US (ours)")
    ] = None
    max_retries: Annotated[int, Described(description="repeats of a call that failed for a passing reason (ours)")] = 8
    connection_options: Annotated[ConnectionOptions, Described(description="`ca_cert` (ours)")] = ConnectionOptions()
    env: Annotated[Proxies, Described(description="`http_proxy`, `https_proxy`, `no_proxy` (ours)")] = Proxies()
    endpoints: Annotated[Endpoints, Described(description="private endpoints (ours)")] = Endpoints()

    @property
    def key(self) -> dict[str, Any]:
        """The service account's key; empty without one."""
        text = self.json_key.reveal().strip()
        found: dict[str, Any] = json.loads(text) if text else {}
        return found


# Taken by the official CPI and without meaning here.
MEANINGLESS: Final = frozenset({"registry", "stemcell", "ssh_user", "strict_properties"})


def read(config: CloudConfig) -> GoogleSettings:
    """The driver's block; credentials of the caller's take the place of json_key. Raises CpiError listing every fault."""
    block = config.properties
    if config.session is not None:
        project = getattr(config.session, "project_id", None)
        own = {"project": project} if project and isinstance(block, dict) and not block.get("project") else {}
        block = with_session(block, own, frozenset({"json_key"}))
    settings = read_settings(GoogleSettings, block, "cloud.properties.google", ignored_keys=MEANINGLESS)
    faults = _faults(settings)
    if faults:
        raise errors.CpiError(
            "the configuration has faults:\n" + "\n".join(f"  cloud.properties.google.{fault}" for fault in faults)
        )
    return settings


def _faults(settings: GoogleSettings) -> list[str]:
    faults = []
    if not settings.project:
        faults.append("project: is empty")
    if settings.max_retries < 0:
        faults.append("max_retries: expected 0 or more")
    if settings.default_root_disk_size_gb < 0:
        faults.append("default_root_disk_size_gb: expected 0 or more")
    return faults + _faults_of_key(settings)


def _faults_of_key(settings: GoogleSettings) -> list[str]:
    """None of them quotes the key."""
    try:
        key = settings.key
    except ValueError:
        return ["json_key: is no JSON document; paste the key file's whole content"]
    if not isinstance(key, dict):
        return ["json_key: expected an object"]
    needed = _NEEDED_IN_KEY["service_account"] if key.get("type", "service_account") == "service_account" and key else ()
    return [f"json_key: has no {name}" for name in needed if not isinstance(key.get(name), str)]
