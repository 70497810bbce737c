"""The one object that the author of a driver fills in."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from cpi.connecting import connect
from cpi.contract.capability import Capability
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid, NetworkCid, SnapshotCid, StemcellCid, VmCid
from cpi.contract.model import CloudProperties, Env, Network, NetworkDefinition, Networks, VmResources
from cpi.contract.units import MiB
from cpi.rpc import child
from cpi.testing.guest import Guest

Face = Literal["in-process", "executable"]
Document = Mapping[str, Any]

_EXBIBYTE: Final = MiB(1 << 40)


class Stemcell(msgspec.Struct, frozen=True, kw_only=True):
    """What create_stemcell is given; without an image, an empty file as for a light stemcell."""

    image: str = ""
    cloud_properties: CloudProperties = {}


class Absent(msgspec.Struct, frozen=True, kw_only=True):
    """CIDs of the cloud's form under which nothing exists."""

    stemcell: StemcellCid = StemcellCid("stemcell-that-never-was")
    vm: VmCid = VmCid("vm-that-never-was")
    disk: DiskCid = DiskCid("disk-that-never-was")
    snapshot: SnapshotCid = SnapshotCid("snapshot-that-never-was")
    network: NetworkCid = NetworkCid("network-that-never-was")


def dynamic_network() -> Networks:
    """One network of the type dynamic: the cloud chooses the address."""
    return {"default": Network(type="dynamic", default=("dns", "gateway"))}


def network_without_address() -> Networks:
    """A manual network whose address is none, which no cloud can give."""
    return {"default": Network(type="manual", ip="no address", netmask="255.255.255.0", gateway="no gateway")}


class Harness(msgspec.Struct, frozen=True, kw_only=True):
    """How the suite reaches a cloud, and what it may make there. Only config has no default.

    What the cloud cannot be asked through the contract comes by the hooks at the end; without one of them, the clauses
    that need it are proven by what the contract shows, or reported as not proven.
    """

    config: Document
    """The BOSH config document; the executable gets it as a file."""

    connect: Callable[[Document], Cloud] = connect
    """From a config document to a Cloud in this process."""

    command: Sequence[str] | None = None
    """The executable to speak to. None: this package's own, with config in a file."""

    start: child.Start = child.start
    """Who starts this package's own executable; a ForkServer's starts import nothing again. The wire clauses start it cold."""

    capabilities: frozenset[Capability] | None = None
    """The powers to expect. None: those that the driver's class declares."""

    stemcell: Stemcell = Stemcell()
    vm_cloud_properties: CloudProperties = {}
    env: Env = {}

    networks: Callable[[], Networks] = dynamic_network
    """Networks for one VM; a manual address is a fresh one at each call."""

    impossible_networks: Callable[[], Networks] = network_without_address
    """Networks that the cloud cannot give."""

    disk_size: MiB = MiB(32)
    larger_disk_size: MiB = MiB(64)
    impossible_disk_size: MiB = _EXBIBYTE
    disk_cloud_properties: CloudProperties = {}

    other_disk_cloud_properties: CloudProperties | None = None
    """What update_disk changes a disk to. None: its size alone."""

    network_definition: NetworkDefinition = NetworkDefinition(range="10.99.0.0/24", gateway="10.99.0.1")
    sized_network_definition: NetworkDefinition = NetworkDefinition(netmask_bits=26)

    vm_resources: VmResources = VmResources(cpu=1, ram=MiB(512), ephemeral_disk_size=MiB(1024))
    impossible_vm_resources: VmResources = VmResources(cpu=1 << 20, ram=_EXBIBYTE, ephemeral_disk_size=_EXBIBYTE)

    absent: Absent = Absent()

    unreachable: Document | None = None
    """A config document of the same cloud that cannot be reached: what is not certain there must not be claimed."""

    secrets: frozenset[str] = frozenset()
    """Strings that must not be shown, besides those under secret keys of config."""

    # ------------------------------------------------------------------ hooks: what the contract cannot tell

    guest: Callable[[Cloud, VmCid], Guest] | None = None
    """A way into a VM, to use its disks. The Cloud is one in this process, if there is one."""

    settings: Callable[[Cloud, VmCid], Document] | None = None
    """The agent settings of a VM. None: asked of the Cloud, if it shows them (contract.operator)."""

    disk_size_of: Callable[[DiskCid], MiB] | None = None
    """The size that a disk really has."""

    tags_of: Callable[[str], Mapping[str, str]] | None = None
    """What people see on a VM, disk, snapshot or stemcell in the cloud."""

    census: Callable[[], Mapping[str, int]] | None = None
    """How many there are of everything that the cloud holds: each test must leave the numbers as it found them."""
