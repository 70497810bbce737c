"""The plugin's own block of the configuration, as the official CPI takes it, and a little more."""

from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import msgspec

from cpi.contract import errors
from cpi.contract.model import CloudConfig
from cpi.kit.settings import Secret, read_settings

Seconds = Annotated[float, msgspec.Meta(gt=0)]

BLOCK: Final = "vcd"
LIST: Final = "vcds"
ANY: Final = "*"


class Control(msgspec.Struct, frozen=True):
    """Patience."""

    wait_max: Seconds = 1800.0
    """Seconds that a task of the cloud may take, and that what is busy is waited for."""

    wait_delay: Seconds = 5.0
    """The longest pause between two looks at a task, in seconds; the first ones are much shorter."""

    retry_max: Annotated[int, msgspec.Meta(ge=1)] = 6
    """How often a call is made that fails for a passing reason, the first included."""

    retry_delay: Seconds = 0.1
    """The first pause between two attempts, in seconds; pauses grow and are jittered."""

    cookie_timeout: Seconds | None = None
    """Seconds after which a session is not used any more. Default: until the cloud refuses it."""

    connect_timeout: Seconds = 30.0
    """Seconds to connect."""

    read_timeout: Seconds = 120.0
    """Seconds without a byte of the answer."""


class Entities(msgspec.Struct, frozen=True):
    """Where things are made."""

    organization: str
    """The organisation, by its name in URLs."""

    virtual_datacenter: str
    """The organisation's vDC."""

    vapp_catalog: str
    """The catalog of stemcells."""

    media_catalog: str
    """The catalog of the CDs that tell VMs their settings; the same one will do."""

    vapp_storage_profile: str = ANY
    """The storage profile of VMs that name none; `*`: the cloud chooses."""

    media_storage_profile: str = ANY
    """The storage profile of stemcells and CDs; `*`: the cloud chooses."""

    disk_storage_profile: str = ANY
    """The storage profile of persistent disks that name none; `*`: the cloud chooses."""

    vm_metadata_key: str | None = None
    """A key of metadata that every VM gets, with description as its value."""

    description: str = "vcd-cf"
    """The description of VMs, disks and stemcells."""

    control: Control | None = None
    """See the table of control: the official CPI has it here."""


class VcloudSettings(msgspec.Struct, frozen=True):
    """The block `vcd`. Secrets hide themselves."""

    url: str
    """Where Cloud Director is: https://host."""

    entities: Entities
    """See the table of entities."""

    user: str | None = None
    """Who logs in, of the organisation; user@System is a provider's."""

    password: Secret | None = None
    """The user's password."""

    api_token: Secret | None = None
    """An API token, instead of user and password."""

    control: Control | None = None
    """See the table of control. Default: that of entities."""

    call_timeout: Seconds | None = None
    """Seconds that a call may take as a whole, whatever it waits for, uploads excepted. Default: twice wait_max."""

    api_version: str | None = None
    """The version of the API, such as 39.1. Default: the newest that both sides know."""

    verify_ssl: bool = True
    """false: any certificate is taken."""

    ca_cert: str | None = None
    """The certificates to trust: PEM, or the path of a file. Default: those that the system trusts."""

    proxy: str | None = None
    """The URL of a proxy. Default: what http_proxy, https_proxy and no_proxy of the environment say."""

    cache_folder: str | None = None
    """Where sessions and ids are kept between calls. Default: $XDG_CACHE_HOME/multicpi, ~/.cache/multicpi."""

    def __post_init__(self) -> None:
        faults = [fault for wrong, fault in self._checks() if wrong]
        if faults:
            raise errors.CpiError("; ".join(faults))

    def _checks(self) -> tuple[tuple[bool, str], ...]:
        by_password = self.user is not None and self.password is not None
        return (
            (urlsplit(self.url).scheme not in {"http", "https"}, f"url: expected https://host, got {self.url!r}"),
            (not by_password and self.api_token is None, "expected user and password, or api_token"),
        )

    @property
    def patience(self) -> Control:
        """How long things are waited for."""
        return self.control or self.entities.control or Control()

    @property
    def longest_call(self) -> float:
        """Seconds that a call may take."""
        return self.call_timeout or 2 * self.patience.wait_max

    @property
    def root(self) -> str:
        """Scheme and host, whatever path the url has."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def login(self) -> tuple[str, str]:
        """The user and the organisation that logs in."""
        name, _, organization = (self.user or "").partition("@")
        return name, organization or self.entities.organization


def read(config: CloudConfig) -> VcloudSettings:
    """Raises CpiError that lists every fault."""
    block: Any = config.properties
    if not isinstance(block, list):
        return read_settings(VcloudSettings, block, f"cloud.properties.{BLOCK}")
    if len(block) != 1:
        told = f"expected one entry, got {len(block)}: others are entries of a cpi-config"
        raise errors.CpiError(f"the configuration has faults:\n  cloud.properties.{LIST}: {told}")
    return read_settings(VcloudSettings, block[0], f"cloud.properties.{LIST}[0]")
