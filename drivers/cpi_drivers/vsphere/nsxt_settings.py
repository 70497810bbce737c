"""What a configuration and manifests may say of NSX-T, as the official CPI takes it. Imports nothing of the driver."""

from typing import Annotated, Literal

import msgspec

from cpi.contract import errors
from cpi.kit.settings import Secret

Positive = Annotated[float, msgspec.Meta(gt=0)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class Nsxt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The block `nsxt` of a vCenter. Secrets hide themselves."""

    host: str
    """The NSX manager's name or address, with a port if it is not 443; or its URL."""

    username: str | None = None
    """Who logs in."""

    password: Secret | None = None
    """The user's password."""

    auth_certificate: str | None = None
    """A principal identity's certificate, as PEM; it goes before username and password."""

    auth_private_key: Secret | None = None
    """The certificate's key, as PEM."""

    remote_auth: bool = False
    """The user is one of vIDM's."""

    ca_cert: str | None = None
    """The certificates to trust, as PEM. Default: those that the system trusts."""

    ssl_verify_peer: bool = True
    """false: any certificate is taken."""

    use_policy_api: bool = False
    """true: VMs can join groups and server pools, which are the policy API's. Without it a VM type that names any is refused."""

    policy_api_migration_mode: bool = False
    """Must be false: nothing is asked of the manager API."""

    default_vif_type: Literal["PARENT"] | None = None
    """PARENT: the segment ports of VMs are parents of container ports."""

    allow_overwrite: bool = True
    """Objects of other principals may be changed, where the user's role allows it."""

    tag_nsx_vm_objects: bool = False
    """A VM's metadata are tags of the VM in NSX, too, and not only of its segment ports."""

    request_timeout: Positive = 60.0
    """Seconds without a byte of an answer."""

    realization_timeout: Positive = 300.0
    """Seconds to wait for segment ports of a new VM, and for a new network in the vCenter."""

    def __post_init__(self) -> None:
        faults = [fault for wrong, fault in self._checks() if wrong]
        if faults:
            raise errors.CpiError("; ".join(faults))

    @property
    def has_certificate(self) -> bool:
        """Whether it is a certificate that tells who asks."""
        return self.auth_certificate is not None

    def _checks(self) -> tuple[tuple[bool, str], ...]:
        certificate = (self.auth_certificate is None, self.auth_private_key is None)
        return (
            (
                self.policy_api_migration_mode,
                "policy_api_migration_mode: is not supported: NSX's manager API has come to its end; finish the migration first",
            ),
            (certificate[0] != certificate[1], "auth_certificate and auth_private_key: expected both, or none"),
            (
                certificate[0] and (self.username is None or self.password is None),
                "username and password: are missing (or auth_certificate and auth_private_key)",
            ),
        )


class ServerPool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A load balancer's server pool."""

    name: str
    """Its id or its display name."""

    port: Port | None = None
    """The port that the VM listens on. Default: that of the virtual server."""


class LoadBalancer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """NSX's load balancer."""

    server_pools: tuple[ServerPool, ...] = ()
    """Pools that exist: a static one gets the VM's address, of a dynamic one the VM joins the group."""


class VmNsxt(msgspec.Struct, frozen=True):
    """The block `nsxt` of a VM type."""

    ns_groups: tuple[str, ...] = ()
    """Groups that exist, by their ids or their display names."""

    vif_type: Literal["PARENT"] | msgspec.UnsetType | None = msgspec.UNSET
    """PARENT, or null for none. Default: default_vif_type."""

    lb: LoadBalancer = LoadBalancer()
    """The load balancer."""

    tag_nsx_vm_objects: bool | None = None
    """Default: the setting of the same name."""


class ManagedNetwork(msgspec.Struct, frozen=True):
    """A network that create_network makes."""

    t0_router_id: str
    """The id of the tier-0 gateway that the network reaches the world through."""

    transport_zone_id: str
    """The id of the overlay transport zone."""

    switch_name: str | None = None
    """What the segment is called, here and in the vCenter. Default: its CID."""

    t1_name: str | None = None
    """What the tier-1 gateway is called. Default: the CID."""

    ip_block_id: str | None = None
    """The id of an IP block that gives the range, where the subnet names none."""
