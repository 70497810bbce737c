"""The values that pass through the contract: frozen, typed, in BOSH's words. Sizes are MiB."""

from collections.abc import Mapping
from typing import Any, Literal, Self, TypeAlias

import msgspec

from cpi.contract import errors
from cpi.contract.encoding import from_plain, to_plain
from cpi.contract.ids import NetworkCid, VmCid
from cpi.contract.units import MiB

CloudProperties: TypeAlias = Mapping[str, Any]
"""What a manifest says in the cloud's own words; each driver owns its schema."""

Env: TypeAlias = Mapping[str, Any]
"""The env of a VM; all of it has to reach the agent. `bosh` inside it is the director's."""

Metadata: TypeAlias = Mapping[str, Any]
"""Names to values, shown as tags; values are strings, save a snapshot's `index`."""


class Info(msgspec.Struct, frozen=True):
    """What a CPI says of itself."""

    stemcell_formats: tuple[str, ...]
    api_version: int = 3


class Network(msgspec.Struct, frozen=True, omit_defaults=True):
    """One network of a VM, as the director describes it.

    `extra` holds keys this version does not know: they go to the agent as they came.
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
        """Raises msgspec.ValidationError where a known key has the wrong type. Null is absent, numbers become strings."""
        present = {key: value for key, value in document.items() if value is not None}
        known = {key: value for key, value in present.items() if key in _NETWORK_KEYS}
        known.update({key: str(known[key]) for key in ("prefix", "nic_group") if type(known.get(key)) is int})
        extra = {key: value for key, value in present.items() if key not in _NETWORK_KEYS}
        return from_plain({**known, "extra": extra}, cls)

    def to_document(self) -> dict[str, Any]:
        """The wire's shape: absent keys stay absent, type and cloud_properties are always there."""
        document: dict[str, Any] = to_plain(self)
        extra = document.pop("extra", {})
        return {"type": self.type, "cloud_properties": {}, **document, **extra}


_NETWORK_KEYS = frozenset(Network.__struct_fields__) - {"extra"}

Networks: TypeAlias = Mapping[str, Network]
"""Networks of a VM by the names the manifest gives them."""


class Vm(msgspec.Struct, frozen=True):
    """What create_vm made, with the networks as they turned out."""

    cid: VmCid
    networks: Networks


class VmResources(msgspec.Struct, frozen=True):
    """What a VM needs at least."""

    cpu: int
    ram: MiB
    ephemeral_disk_size: MiB


class DiskHint(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the agent finds an attached disk in the guest.

    `device` alone is the plain form ("/dev/sdf"); the other fields are the keyed form. Prefer an identity
    (`path` under /dev/disk/by-id, `id`) to a letter: letters move at a reboot. All are strings: a number makes the agent fail.
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
            raise errors.CpiError("a disk hint is either a device or keyed fields, and never empty")
        keyed.pop("iscsi_settings", None)
        if not all(isinstance(value, str) for value in (*keyed.values(), *self.iscsi_settings.values())):
            raise errors.CpiError(f"a disk hint holds strings only, got {self!r}")

    @classmethod
    def from_wire(cls, hint: object) -> Self:
        """Raises CpiError for what the agent could not use: null, empty, a number, unknown keys."""
        if isinstance(hint, str):
            return cls(device=hint)
        try:
            return from_plain(hint, cls)
        except msgspec.ValidationError as error:
            raise errors.CpiError(f"not a disk hint: {hint!r}: {error}") from error

    def to_wire(self) -> str | dict[str, Any]:
        """A string or a hash of strings, as attach_disk answers and add_persistent_disk takes."""
        wire: str | dict[str, Any] = to_plain(self.device or self)
        return wire


class NetworkDefinition(msgspec.Struct, frozen=True, omit_defaults=True):
    """A subnet that create_network shall make."""

    type: str = "manual"
    cloud_properties: CloudProperties = {}
    range: str | None = None
    gateway: str | None = None
    netmask_bits: int | None = None


class NetworkAddresses(msgspec.Struct, frozen=True):
    """The addresses of a network that was made."""

    range: str
    gateway: str
    reserved: tuple[str, ...] = ()


class CreatedNetwork(msgspec.Struct, frozen=True):
    """What create_network made; cloud_properties are those create_vm gets later for it."""

    cid: NetworkCid
    addresses: NetworkAddresses
    cloud_properties: CloudProperties


class CallContext(msgspec.Struct, frozen=True):
    """Who calls, and with what laid over the configuration for this call."""

    director_uuid: str = ""
    request_id: str = ""
    stemcell_api_version: int | None = None
    token: str | None = None
    properties: Mapping[str, Any] = {}


class AgentDefaults(msgspec.Struct, frozen=True, omit_defaults=True):
    """What every agent is told unless env.bosh says otherwise."""

    mbus: str | None = None
    ntp: tuple[str, ...] = ()
    blobstore: Mapping[str, Any] | None = None


class Overlaid(dict[str, Any]):
    """A block of the configuration with a call's context laid over it; the keys in of_context came with the context alone."""

    def __init__(self, own: Mapping[str, Any], context: Mapping[str, Any]) -> None:
        super().__init__({**own, **context})
        self.of_context = context.keys() - own.keys()


class CloudConfig(msgspec.Struct, frozen=True):
    """What a driver is connected with: its own block with the call's context laid over it."""

    plugin: str
    properties: Mapping[str, Any]
    agent: AgentDefaults = AgentDefaults()
    context: CallContext = CallContext()
    strict_properties: bool = False
