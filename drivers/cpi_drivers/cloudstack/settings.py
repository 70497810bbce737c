"""The plugin's own block of the configuration, as the official CPIs take it, and a little more."""

from collections.abc import Mapping
from typing import Annotated, Final
from urllib.parse import quote

import msgspec

from cpi.contract import errors
from cpi.contract.model import CloudConfig
from cpi.kit.proxies import Proxies
from cpi.kit.settings import Secret, read_settings

Seconds = Annotated[float, msgspec.Meta(gt=0)]

# Keys that the official CPIs take and that mean nothing here: there is no registry, no sweep in the background, no waiting
# beyond a job's end, VMs get their addresses by DHCP always, and the key of a key pair is nobody's business; what agents get is
# read elsewhere.
MEANINGLESS: Final = frozenset(
    {"actions", "interval_clean_disk", "nats", "private_key", "registry", "use_dhcp", "vm_create_delay", "vm_expunge_delay"}
)

_JOB_SECONDS: Final = 1800.0

_JOBS: Final[Mapping[str, tuple[str, ...]]] = {
    "create_vm": ("create_vm",),
    "delete_vm": ("stop_vm", "detach_volume", "delete_vm"),
    "reboot_vm": ("reboot_vm",),
    "create_disk": ("create_volume",),
    "attach_disk": ("attach_volume",),
    "detach_disk": ("detach_volume",),
    "resize_disk": ("resize_volume",),
    "grow_attached_disk": ("resize_volume",),
    "update_disk": ("resize_volume", "resize_volume"),
    "snapshot_disk": ("snapshot_volume",),
    "delete_snapshot": ("delete_snapshot_volume",),
}
"""The timeouts of the jobs that a call has."""


class DefaultOffer(msgspec.Struct, frozen=True):
    """The disk offerings, by name or id, of what names none."""

    disk: str | None = None
    """Of persistent disks."""

    ephemeral_disk: str | None = None
    """Of ephemeral disks."""

    custom_disk: str = "shared.custom"
    """Of both where the others are not said, and of a disk whose own offering cannot grow; its size is free."""


class Timeouts(msgspec.Struct, frozen=True):
    """Seconds that a job of the cloud may take."""

    everything: Seconds | None = msgspec.field(name="global", default=None)
    """Of every job that is not named below. Default: state_timeout, or 1800."""

    create_vm: Seconds | None = None
    """Of deploying a VM."""

    delete_vm: Seconds | None = None
    """Of destroying one."""

    reboot_vm: Seconds | None = None
    """Of restarting or starting one."""

    stop_vm: Seconds | None = None
    """Of stopping one that is deleted while disks are attached to it."""

    create_volume: Seconds | None = None
    """Of making a disk."""

    delete_volume: Seconds | None = None
    """Means nothing: CloudStack deletes a disk at once."""

    attach_volume: Seconds | None = None
    """Of attaching a disk."""

    detach_volume: Seconds | None = None
    """Of detaching one."""

    resize_volume: Seconds | None = None
    """Of growing one or changing its offering."""

    snapshot_volume: Seconds | None = None
    """Of a snapshot."""

    delete_snapshot_volume: Seconds | None = None
    """Of deleting one."""

    poll_template: Seconds | None = None
    """Of a template to be ready once it was sent."""

    def of(self, what: str) -> float | None:
        """The seconds for one of them, if they are said."""
        own: float | None = getattr(self, what, None)
        return self.everything if own is None else own


class OfferingFilter(msgspec.Struct, frozen=True):
    """Which offerings calculate_vm_cloud_properties may choose, by their storage and host tags."""

    service_tags: tuple[str, ...] = ()
    """Compute offerings have all of these."""

    not_service_tags: tuple[str, ...] = ()
    """Compute offerings have none of these."""

    disk_tags: tuple[str, ...] = ()
    """Ephemeral disk offerings have all of these."""

    not_disk_tags: tuple[str, ...] = ()
    """Ephemeral disk offerings have none of these."""


class StemcellSettings(msgspec.Struct, frozen=True):
    """What heavy stemcells become."""

    public_visibility: bool = False
    """Every account may use them."""

    requires_hvm: bool = True
    """They need hardware virtualisation."""

    os_type: str = "Other PV (64-bit)"
    """The guest OS type by its description, where the stemcell names none."""

    zones: tuple[str, ...] = ()
    """Zones that they are copied to, besides the default zone."""


class CloudStackSettings(msgspec.Struct, frozen=True):
    """The block `cloudstack`. Secrets hide themselves."""

    endpoint: str
    """The URL of the API: https://host/client/api."""

    api_key: str
    """The user's API key."""

    secret_access_key: Secret
    """The user's secret key."""

    default_zone: str
    """The zone, by name or id, of what names none."""

    verify_ssl: bool = True
    """false: any certificate is taken, for the API and for uploads."""

    skip_verify_ssl: bool = False
    """The official CPI's word: true is verify_ssl: false."""

    ca_cert: str | None = None
    """The certificates to trust: PEM, or the path of a file."""

    proxy: str | None = None
    """The URL of a proxy. Default: what http_proxy, https_proxy and no_proxy of the environment say."""

    proxy_host: str | None = None
    """The name of a proxy: the Java CPI's words for it are these four."""

    proxy_port: int = 8080
    """The proxy's port."""

    proxy_user: str | None = None
    """The user, if the proxy wants a login."""

    proxy_password: Secret | None = None
    """That user's password."""

    connect_timeout: Seconds = 30.0
    """Seconds to connect."""

    read_timeout: Seconds = 120.0
    """Seconds without a byte of the answer."""

    max_attempts: Annotated[int, msgspec.Meta(ge=1)] = 8
    """How often a call is made that fails for a passing reason, the first included."""

    retry_interval: Seconds = 5.0
    """The longest pause between two attempts, in seconds; pauses grow to it and are jittered."""

    poll_interval: Seconds = 3.0
    """The longest pause between two looks at a job, in seconds; the first ones are much shorter."""

    timeout: Timeouts = Timeouts()
    """Seconds that jobs may take: see the table of timeouts."""

    call_timeout: Seconds | None = None
    """Seconds that a call may take as a whole, whatever it waits for, but uploads. Default: timeout.global and its jobs' own."""

    state_timeout: Seconds | None = None
    """The Java CPI's word for timeout.global."""

    stemcell_public_visibility: bool | None = None
    """The Java CPI's word for stemcell.public_visibility; it wins."""

    project: str | None = None
    """The project, by name or id, that everything is made in."""

    account: str | None = None
    """The account that everything is made for, if it is not the user's own; needs domain_id."""

    domain_id: str | None = None
    """The id of that account's domain."""

    default_key_name: str | None = None
    """The key pair of VMs that name none."""

    default_security_groups: tuple[str, ...] = ()
    """The security groups, by name, of VMs in basic zones whose type and networks name none."""

    default_offer: DefaultOffer = DefaultOffer()
    """Disk offerings: see the table of default offerings."""

    stemcell: StemcellSettings = StemcellSettings()
    """See the table of stemcell settings."""

    calculate_cloud_prop: OfferingFilter = OfferingFilter()
    """See the table of offering filters."""

    expunge_vm: bool = True
    """Deleted VMs are expunged at once. false: the cloud does so later; their disks are detached before."""

    force_expunge: bool | None = None
    """The Java CPI's word for expunge_vm; it wins."""

    enable_auto_anti_affinity: bool = False
    """The VMs of an instance group are kept on hosts of their own, by an affinity group for each."""

    auto_anti_affinity_type: str = "host anti-affinity"
    """The type of those affinity groups."""

    director_name: str | None = None
    """The first part of those groups' names. Default: the director's UUID."""

    cache_folder: str | None = None
    """Where the ids of zones and projects are remembered for an hour. Default: $XDG_CACHE_HOME/multicpi, ~/.cache/multicpi."""

    def __post_init__(self) -> None:
        faults = [fault for wrong, fault in self._checks() if wrong]
        if faults:
            raise errors.CpiError("; ".join(faults))

    def _checks(self) -> tuple[tuple[bool, str], ...]:
        return (
            (not self.endpoint.startswith(("http://", "https://")), f"endpoint: expected a URL, got {self.endpoint!r}"),
            (bool(self.account) != bool(self.domain_id), "account and domain_id: expected both or neither"),
            (bool(self.project and self.account), "project and account: expected one of the two"),
            (bool(self.proxy and self.proxy_host), "proxy and proxy_host: expected one of the two"),
        )

    @property
    def expunges(self) -> bool:
        """Whether deleted VMs are gone at once."""
        return self.expunge_vm if self.force_expunge is None else self.force_expunge

    @property
    def is_public(self) -> bool:
        """Whether every account may use stemcells."""
        told = self.stemcell_public_visibility
        return self.stemcell.public_visibility if told is None else told

    def seconds(self, job: str) -> float:
        """How long a job may take."""
        return self.timeout.of(job) or self.state_timeout or _JOB_SECONDS

    def longest(self, call: str) -> float:
        """Seconds that a call may take."""
        return self.call_timeout or self.seconds("everything") + sum(map(self.seconds, _JOBS.get(call, ("everything",))))

    @property
    def proxy_url(self) -> str | None:
        """The proxy on the way to the endpoint, its login included."""
        if not self.proxy_host:
            named = Proxies.of_environment().for_url(self.endpoint)
            return self.proxy or (named.url if named else None)
        password = self.proxy_password.reveal() if self.proxy_password else ""
        login = f"{quote(self.proxy_user, safe='')}:{quote(password, safe='')}@" if self.proxy_user else ""
        return f"http://{login}{self.proxy_host}:{self.proxy_port}"

    @property
    def verifies(self) -> bool:
        """Whether certificates are looked at."""
        return self.verify_ssl and not self.skip_verify_ssl


def read(config: CloudConfig) -> CloudStackSettings:
    """Raises CpiError that lists every fault."""
    return read_settings(CloudStackSettings, config.properties, f"cloud.properties.{config.plugin}", ignored_keys=MEANINGLESS)
