"""The values that the contract uses: frozen, typed, in BOSH's words. Sizes are MiB."""

from collections.abc import Mapping
from typing import Any, Literal, Self, TypeAlias

import msgspec

from cpi.contract import errors
from cpi.contract.encoding import from_plain, to_plain
from cpi.contract.ids import NetworkCid, VmCid
from cpi.contract.units import MiB

CloudProperties: TypeAlias = Mapping[str, Any]
"""Settings from a manifest in the cloud's own words; each driver defines its schema."""

Env: TypeAlias = Mapping[str, Any]
"""The env of a VM; all of it must reach the agent. The key `bosh` belongs to the director."""

Metadata: TypeAlias = Mapping[str, Any]
"""Names and values, shown as tags; values are strings, except a snapshot's `index`."""


class Info(msgspec.Struct, frozen=True):
    """What a CPI supports, as returned by `info`."""

    stemcell_formats: tuple[str, ...]
    api_version: int = 3


class Network(msgspec.Struct, frozen=True, omit_defaults=True):
    """One network of a VM, as the director describes it.

    `extra` holds keys that this version does not know: they are passed to the agent unchanged.
    """

    type: Literal["manual", "dynamic", "vip"] = "manual"
    ip: str | None = None
    prefix: str | None = None
    netmask: str | None = None
    gateway: str | None = None
    dns: tuple[str, ...] | None = None
    default: tuple[str, ...] | None = None
    nic_group: str | None = None
    mac: str | None = None
    cloud_properties: CloudProperties = {}
    extra: Mapping[str, Any] = {}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Raises msgspec.ValidationError if a known key has the wrong type. Null counts as absent, numbers become strings."""
        present = {key: value for key, value in document.items() if value is not None}
        known = {key: value for key, value in present.items() if key in _NETWORK_KEYS}
        known.update({key: str(known[key]) for key in ("prefix", "nic_group") if type(known.get(key)) is int})
        extra = {key: value for key, value in present.items() if key not in _NETWORK_KEYS}
        return from_plain({**known, "extra": extra}, cls)

    def to_document(self) -> dict[str, Any]:
        """The form on the wire: absent keys stay absent; type and cloud_properties are always present."""
        document: dict[str, Any] = to_plain(self)
        extra = document.pop("extra", {})
        return {"type": self.type, "cloud_properties": {}, **document, **extra}


_NETWORK_KEYS = frozenset(Network.__struct_fields__) - {"extra"}

Networks: TypeAlias = Mapping[str, Network]
"""The networks of a VM, by their names in the manifest."""


class Vm(msgspec.Struct, frozen=True):
    """A VM that create_vm made, with its actual networks."""

    cid: VmCid
    networks: Networks


class VmResources(msgspec.Struct, frozen=True):
    """The minimum resources of a VM."""

    cpu: int
    ram: MiB
    ephemeral_disk_size: MiB


class DiskHint(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the agent finds an attached disk in the guest.

    `device` alone is the plain form ("/dev/sdf"); the other fields are the keyed form. Prefer an identity
    (`path` under /dev/disk/by-id, `id`) to a device letter, which may change at a reboot. All are strings: the agent cannot use
    a number.
    """

    device: str = ""
    path: str = ""
    volume_id: str = ""
    id: str = ""
    lun: str = ""
    host_device_id: str = ""
    iscsi_settings: Mapping[str, str] = {}

    def __post_init__(self) -> None:
        keyed = {key: value for key, value in msgspec.structs.asdict(self).items() if value and key != "device"}
        if bool(self.device) == bool(keyed):
            raise errors.CpiError("a disk hint must have either a device or keyed fields, and must not be empty")
        keyed.pop("iscsi_settings", None)
        if not all(isinstance(value, str) for value in (*keyed.values(), *self.iscsi_settings.values())):
            raise errors.CpiError(f"a disk hint must contain only strings, got {self!r}")

    @classmethod
    def from_wire(cls, hint: object) -> Self:
        """Raises CpiError for a hint that the agent cannot use: null, empty, a number, unknown keys."""
        if isinstance(hint, str):
            return cls(device=hint)
        try:
            return from_plain(hint, cls)
        except msgspec.ValidationError as error:
            raise errors.CpiError(f"not a disk hint: {hint!r}: {error}") from error

    def to_wire(self) -> str | dict[str, Any]:
        """A string or a hash of strings, as attach_disk returns it and add_persistent_disk takes it."""
        wire: str | dict[str, Any] = to_plain(self.device or self)
        return wire


class NetworkDefinition(msgspec.Struct, frozen=True, omit_defaults=True):
    """A subnet for create_network."""

    type: str = "manual"
    cloud_properties: CloudProperties = {}
    range: str | None = None
    gateway: str | None = None
    netmask_bits: int | None = None


class NetworkAddresses(msgspec.Struct, frozen=True):
    """The addresses of a network made by create_network."""

    range: str
    gateway: str
    reserved: tuple[str, ...] = ()


class CreatedNetwork(msgspec.Struct, frozen=True):
    """The result of create_network; create_vm later receives its cloud_properties."""

    cid: NetworkCid
    addresses: NetworkAddresses
    cloud_properties: CloudProperties


class CallContext(msgspec.Struct, frozen=True):
    """The caller, and the properties that override the configuration for this call."""

    director_uuid: str = ""
    request_id: str = ""
    stemcell_api_version: int | None = None
    token: str | None = None
    properties: Mapping[str, Any] = {}


class AgentDefaults(msgspec.Struct, frozen=True, omit_defaults=True):
    """Settings of every agent, unless env.bosh overrides them."""

    mbus: str | None = None
    ntp: tuple[str, ...] = ()
    blobstore: Mapping[str, Any] | None = None


class Overlaid(dict[str, Any]):
    """A block of the configuration overridden by a call's context; of_context has the keys that only the context contains."""

    def __init__(self, own: Mapping[str, Any], context: Mapping[str, Any]) -> None:
        super().__init__({**own, **context})
        self.of_context = context.keys() - own.keys()


class CloudConfig(msgspec.Struct, frozen=True):
    """The configuration that a driver connects with: its own block, overridden by the call's context."""

    plugin: str
    properties: Mapping[str, Any]
    agent: AgentDefaults = AgentDefaults()
    context: CallContext = CallContext()
    strict_properties: bool = False
    session: Any = None
    """The SDK session to use, of the type that the driver's session_type names; None: log in with the configuration."""
