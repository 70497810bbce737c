"""The plugin's own block of the configuration, as the official CPI takes it, and a little more."""

import copy
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from cpi.contract import errors
from cpi.contract.model import CloudConfig, Overlaid
from cpi.kit.ruby_patterns import PatternRefused, compiled
from cpi.kit.settings import Secret, read_settings
from cpi_drivers.vsphere.nsxt_settings import Nsxt

Positive = Annotated[float, msgspec.Meta(gt=0)]

CONTROLLERS: Final = ("paravirtual", "lsi_logic", "lsi_logic_sas")
INSECURE: Final = "insecure"
"""In the place of certificates: the official job has no other property of TLS."""

DISK_TYPES: Final = ("preallocated", "thin", "thick", "eagerZeroedThick")

# Keys that the official CPI takes and that mean nothing here.
MEANINGLESS: Final = frozenset({"http_logging", "plugins"})


class ConnectionOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a vCenter is reached."""

    ca_cert: str | None = None
    """The certificates to trust, as PEM. Default: those that the system trusts. The word `insecure`: any certificate is taken."""

    ssl_verify_peer: bool = True
    """false: any certificate is taken."""

    @property
    def verifies(self) -> bool:
        """Whether certificates are looked at."""
        return self.ssl_verify_peer and (self.ca_cert or "").strip() != INSECURE


class HostGroup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The hosts of a cluster on which VMs belong."""

    name: str
    """The name of a host group that exists."""

    drs_rule: str = "SHOULD"
    """MUST or SHOULD: whether VMs may run elsewhere when they have to."""

    @property
    def is_must(self) -> bool:
        """In any spelling."""
        return self.drs_rule.upper() == "MUST"


class DrsRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule of DRS."""

    name: str
    """Its name; made if there is none."""

    type: Literal["separate_vms"]
    """separate_vms: the VMs in it are kept on hosts of their own."""


class ClusterOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is said of a cluster."""

    resource_pool: str | None = None
    """The resource pool in which VMs lie: its name, or its path below the cluster. Default: the cluster's own."""

    host_group: str | HostGroup | None = None
    """The host group on which VMs belong: its name, for which they must run there, or an object."""

    drs_rules: tuple[DrsRule, ...] = ()
    """DRS rules that VMs join."""

    @property
    def hosts(self) -> HostGroup | None:
        """The host group as an object."""
        return HostGroup(self.host_group, "MUST") if isinstance(self.host_group, str) else self.host_group


Clusters = tuple[str | Mapping[str, ClusterOptions], ...]


class Datacenter(msgspec.Struct, frozen=True):
    """A datacenter."""

    name: str
    """Its name, or its path from the root folder on."""

    clusters: Clusters
    """The clusters that VMs may lie in: names or paths, or objects of one and what is said of it."""

    vm_folder: str = "BOSH_VMs"
    """The folder of VMs, with slashes for folders inside folders."""

    template_folder: str = "BOSH_Templates"
    """The folder of stemcells."""

    disk_path: str = "BOSH_Disks"
    """The folder of persistent disks on each datastore."""

    datastore_pattern: str | None = None
    """A regular expression: VMs and stemcells lie on datastores with a name like this."""

    persistent_datastore_pattern: str | None = None
    """A regular expression: persistent disks lie on datastores with a name like this."""

    datastore_cluster_pattern: str | None = None
    """As datastore_pattern, for names of datastore clusters: each datastore in one is meant."""

    persistent_datastore_cluster_pattern: str | None = None
    """As persistent_datastore_pattern, for names of datastore clusters."""

    use_sub_folder: bool = False
    """VMs and stemcells lie in folders of the director's UUID inside theirs; so they do where a cluster has a resource_pool."""

    allow_mixed_datastores: Any = None
    """Means nothing, here as in the official CPI."""

    @property
    def has_sub_folders(self) -> bool:
        """Whether each director has folders of its own."""
        return self.use_sub_folder or any(options.resource_pool for options in clusters_by_name(self.clusters).values())

    def __post_init__(self) -> None:
        faults = [fault for wrong, fault in self._checks() if wrong]
        if faults:
            raise errors.CpiError("; ".join(faults))

    def _checks(self) -> tuple[tuple[bool, str], ...]:
        patterns = ("datastore_pattern", "persistent_datastore_pattern", "datastore_cluster_pattern")
        named = {name: getattr(self, name) for name in (*patterns, "persistent_datastore_cluster_pattern")}
        return (
            (not self.clusters, "clusters: expected at least one"),
            (
                self.datastore_pattern is None and self.datastore_cluster_pattern is None,
                "datastore_pattern: is missing (or datastore_cluster_pattern)",
            ),
            (
                self.persistent_datastore_pattern is None and self.persistent_datastore_cluster_pattern is None,
                "persistent_datastore_pattern: is missing (or persistent_datastore_cluster_pattern)",
            ),
            *((bool(fault), f"{name}: {fault}") for name, fault in ((name, _fault(text)) for name, text in named.items())),
            (not self.disk_path.strip("/"), "disk_path: is empty"),
        )


class VCenter(msgspec.Struct, frozen=True):
    """An entry of the block `vcenters`. Secrets hide themselves."""

    host: str
    """The vCenter's name or address, with a port if it is not 443; or its URL."""

    user: str
    """Who logs in."""

    password: Secret
    """The user's password."""

    datacenters: tuple[Datacenter, ...]
    """The datacenters that are used; what is not placed by an AZ goes to the first."""

    connection_options: ConnectionOptions = ConnectionOptions()
    """See the table of connection options."""

    default_disk_type: str = "preallocated"
    """The type of persistent disks that name none: preallocated, thin, thick or eagerZeroedThick."""

    fcd: bool = False
    """Persistent disks are made as First Class Disks. Those that are there stay what they are."""

    cpu_reserve_full_mhz: bool = False
    """VMs have their CPUs' full clock reserved."""

    memory_reservation_locked_to_max: bool = False
    """VMs have all their memory reserved."""

    upgrade_hw_version: bool = False
    """VMs get the newest hardware version that their host knows, when they are made."""

    ensure_no_ip_conflicts: bool = True
    """create_vm refuses an address that another VM of the same networks tells as its own."""

    enable_human_readable_name: bool = False
    """VMs are called after their instance group and deployment, where env names them."""

    enable_auto_anti_affinity_drs_rules: bool = False
    """The VMs of each instance group are kept on hosts of their own, by a DRS rule of its name."""

    vmx_options: Mapping[str, Any] = {}
    """Options of every VM's extraConfig."""

    vm_storage_policy_name: str | None = None
    """The storage policy of VMs that name none."""

    default_hw_version: Annotated[int, msgspec.Meta(gt=0)] | None = 17
    """The hardware version that VMs are upgraded to, if their stemcell's is older. null: they keep the stemcell's."""

    default_scsi_controller_type: str | None = None
    """paravirtual, lsi_logic or lsi_logic_sas: VMs' disks are on such a controller. Default: the stemcell's."""

    nsx: Any = None
    """Must be absent: NSX-V has come to its end."""

    nsxt: Nsxt | None = None
    """The NSX manager, for groups, server pools and managed networks. Segments can be used as networks without it."""

    task_timeout: Positive = 3600.0
    """Seconds to wait for a task of the vCenter."""

    call_timeout: Positive | None = None
    """Seconds that a call may take as a whole, whatever it waits for, uploads excepted. Default: twice task_timeout."""

    request_timeout: Positive = 60.0
    """Seconds without a byte of an answer."""

    cache_folder: str | None = None
    """Where sessions are kept between calls. Default: $XDG_CACHE_HOME/multicpi, ~/.cache/multicpi."""

    def __post_init__(self) -> None:
        faults = [fault for wrong, fault in self._checks() if wrong]
        if faults:
            raise errors.CpiError("; ".join(faults))

    def _checks(self) -> tuple[tuple[bool, str], ...]:
        controller = self.default_scsi_controller_type
        return (
            (not self.datacenters, "datacenters: expected at least one"),
            (self.nsx is not None, "nsx: NSX-V has come to its end and is not supported: use distributed port groups"),
            (
                controller not in {None, *CONTROLLERS},
                f"default_scsi_controller_type: expected one of {', '.join(CONTROLLERS)}, got {controller!r}",
            ),
            (
                self.default_disk_type not in DISK_TYPES,
                f"default_disk_type: expected one of {', '.join(DISK_TYPES)}, got {self.default_disk_type!r}",
            ),
        )

    @property
    def longest_call(self) -> float:
        """Seconds that a call may take."""
        return self.call_timeout or 2 * self.task_timeout


class Block(msgspec.Struct, frozen=True):
    """The block as a whole."""

    vcenters: tuple[VCenter, ...]


def read(config: CloudConfig) -> tuple[VCenter, ...]:
    """Raises CpiError that lists every fault."""
    block: Any = config.properties
    if isinstance(block, Overlaid) and block and not block.keys() - block.of_context:  # a cpi-config says all of it
        block = [block]
    if not block:
        raise errors.CpiError("the configuration has faults:\n  cloud.properties.vcenters: expected at least one")
    document = [_without_meaningless(entry) for entry in block] if isinstance(block, list) else block
    return read_settings(Block, {"vcenters": document}, "cloud.properties").vcenters


def _without_meaningless(entry: Any) -> Any:
    kept = copy.copy(entry)
    for key in MEANINGLESS & kept.keys() if isinstance(kept, dict) else ():
        del kept[key]
    return kept


def _fault(pattern: str | None) -> str:
    try:
        compiled(pattern or "")
    except PatternRefused as error:
        return error.message
    return ""


def clusters_by_name(clusters: Clusters) -> dict[str, ClusterOptions]:
    """Every cluster with what is said of it."""
    named: dict[str, ClusterOptions] = {}
    for cluster in clusters:
        named.update({cluster: ClusterOptions()} if isinstance(cluster, str) else cluster)
    return named
