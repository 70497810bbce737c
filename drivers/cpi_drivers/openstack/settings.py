"""The plugin's own block of the configuration, as the official CPIs take it, and a little more."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from cpi.contract import errors
from cpi.contract.model import CloudConfig
from cpi.kit.settings import Secret, read_settings

Positive = Annotated[float, msgspec.Meta(gt=0)]

_KEYSTONE_V2: Final = re.compile(r"/v2(\.\d+)?(/|$)")

# Keys that the official CPIs take and that mean nothing here: there is no registry, and the agent's part is read elsewhere.
MEANINGLESS: Final = frozenset({"registry", "nats", "default_volume_availability_zone", "connection_timeout"})


class Repeating(msgspec.Struct, frozen=True):
    """How often a call is made that fails for a passing reason."""

    max_attempts: Annotated[int, msgspec.Meta(ge=1)] = 10
    """Attempts in all, the first included."""

    sleep_duration: Positive = 3.0
    """The longest pause between two attempts, in seconds; pauses grow to it and are jittered."""


class OpenStackSettings(msgspec.Struct, frozen=True):
    """The block `openstack`. Secrets hide themselves."""

    auth_url: str
    """Keystone v3; without a version in it, /v3 is added. v2 is refused."""

    username: str | None = None
    """A user, with api_key; or else an application credential."""

    api_key: Secret | None = None
    """The user's password."""

    application_credential_id: str | None = None
    """An application credential, with its secret, instead of a user."""

    application_credential_secret: Secret | None = None
    """The application credential's secret."""

    tenant: str | None = None
    """The project's name, by the older word."""

    project: str | None = None
    """The project's name."""

    project_id: str | None = None
    """The project's id, instead of its name."""

    domain: str | None = None
    """The domain of the user and of the project."""

    user_domain_name: str | None = None
    """The domain of the user, where it is another."""

    project_domain_name: str | None = None
    """The domain of the project, where it is another."""

    region: str | None = None
    """The region whose endpoints are used."""

    endpoint_type: str = "publicURL"
    """publicURL, internalURL or adminURL."""

    connection_options: Mapping[str, Any] = {}
    """See the table of connection options."""

    state_timeout: Positive = 300.0
    """Seconds to wait for a state."""

    call_timeout: Positive | None = None
    """Seconds that a call may take as a whole, whatever it waits for, uploads excepted. Default: twice state_timeout."""

    wait_resource_poll_interval: Positive = 5.0
    """The longest pause between two looks at a state, in seconds; the first ones are much shorter."""

    boot_from_volume: bool = False
    """VMs have their root disk on a volume."""

    config_drive: str | None = None
    """cdrom or disk: VMs get their settings on a config drive too."""

    use_dhcp: bool = True
    """Agents ask DHCP for manual addresses; false is needed for several manual networks."""

    default_key_name: str | None = None
    """The key pair of VMs that name none."""

    default_security_groups: tuple[str, ...] = ()
    """The security groups, by name or id, of VMs whose type and networks name none."""

    default_volume_type: str | None = None
    """The type of disks that name none."""

    stemcell_public_visibility: bool = False
    """Stemcells are visible to every project."""

    ignore_server_availability_zone: bool = False
    """Disks are made in Cinder's default zone, not in that of their VM."""

    human_readable_vm_names: bool = False
    """VMs are called after their job, instead of vm-<uuid>."""

    use_nova_networking: bool = False
    """Must be false: Nova has no networks of its own any more."""

    enable_auto_anti_affinity: bool | None = None
    """Must be absent: it was withdrawn; see anti_affinity_per_instance_group."""

    anti_affinity_per_instance_group: bool = False
    """The VMs of an instance group are kept on hosts of their own, by a server group, as far as there are hosts."""

    online_resize: bool = False
    """resize_disk also grows attached disks, where the cloud can (Cinder 3.42)."""

    retype_migration_policy: str = "on-demand"
    """on-demand or never: whether update_disk may have a disk's data moved to another back end."""

    retry_config: Mapping[str, Repeating] = {}
    """By operation (create_vm, attach_disk and so on), or `default`: how calls are repeated."""

    cache_folder: str | None = None
    """Where tokens are kept between calls. Default: $XDG_CACHE_HOME/multicpi, ~/.cache/multicpi."""

    def __post_init__(self) -> None:
        faults = [fault for wrong, fault in (*self._checks_of_login(), *self._checks()) if wrong]
        if faults:
            raise errors.CpiError("; ".join(faults))

    def _checks_of_login(self) -> tuple[tuple[bool, str], ...]:
        user = self.username is not None and self.api_key is not None
        credential = self.application_credential_id is not None and self.application_credential_secret is not None
        project = self.project or self.project_id or self.tenant
        return (
            (not self.auth_url.startswith(("http://", "https://")), f"auth_url: expected a URL, got {self.auth_url!r}"),
            (bool(_KEYSTONE_V2.search(self.auth_url)), f"auth_url: Keystone v2 is not supported, only v3: {self.auth_url!r}"),
            (
                user == credential,
                "expected username and api_key, or application_credential_id and application_credential_secret: one of the two",
            ),
            (user and not project, "project: is missing (or project_id, or tenant)"),
            (user and not (self.domain or self.user_domain_name), "domain: is missing (or user_domain_name)"),
        )

    def _checks(self) -> tuple[tuple[bool, str], ...]:
        return (
            (
                self.endpoint_type.removesuffix("URL") not in {"public", "internal", "admin"},
                f"endpoint_type: expected publicURL, internalURL or adminURL, got {self.endpoint_type!r}",
            ),
            (
                self.config_drive not in {None, "cdrom", "disk"},
                f"config_drive: expected cdrom or disk, got {self.config_drive!r}",
            ),
            (self.use_nova_networking, "use_nova_networking: Nova has no networks of its own any more, only Neutron's"),
            (
                self.enable_auto_anti_affinity is not None,
                "enable_auto_anti_affinity: was withdrawn; use anti_affinity_per_instance_group, or scheduler_hints",
            ),
            (
                self.retype_migration_policy not in {"on-demand", "never"},
                f"retype_migration_policy: expected on-demand or never, got {self.retype_migration_policy!r}",
            ),
        )

    @property
    def keystone_url(self) -> str:
        """Where to log in."""
        url = self.auth_url.rstrip("/")
        return url if url.endswith("/v3") else f"{url.removesuffix('/auth/tokens').removesuffix('/v3')}/v3"

    @property
    def longest_call(self) -> float:
        """Seconds that a call may take."""
        return self.call_timeout or 2 * self.state_timeout

    def repeating(self, operation: str) -> Repeating:
        """How calls made for an operation are repeated."""
        return self.retry_config.get(operation) or self.retry_config.get("default") or Repeating()


class SettingsWithSession(OpenStackSettings, frozen=True):
    """The block of a caller who brings a session: it needs no login."""

    auth_url: str = ""

    def _checks_of_login(self) -> tuple[tuple[bool, str], ...]:
        return ()


def read(config: CloudConfig) -> OpenStackSettings:
    """Raises CpiError that lists every fault."""
    kind = OpenStackSettings if config.session is None else SettingsWithSession
    return read_settings(kind, config.properties, f"cloud.properties.{config.plugin}", ignored_keys=MEANINGLESS)
