"""The vSphere driver keeps the contract, in this process and through the executable; vcsim is the vCenter."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from cpi.contract.ids import DiskCid, SnapshotCid, StemcellCid, VmCid
from cpi.contract.model import Network, NetworkDefinition, Networks, VmResources
from cpi.contract.units import MiB, mib_from_bytes
from cpi.rpc.child import Start
from cpi.testing.conformance import GuestlessContract
from cpi.testing.conformance.attachments import AttachmentClauses
from cpi.testing.conformance.connecting import ConnectingClauses
from cpi.testing.conformance.disk_changes import DiskChangeClauses
from cpi.testing.conformance.disks import DiskClauses
from cpi.testing.conformance.metadata import MetadataClauses
from cpi.testing.conformance.networks import NetworkClauses
from cpi.testing.conformance.snapshots import SnapshotClauses
from cpi.testing.harness import Absent, Harness, Stemcell
from fixtures.clouds.nsxt import lab as nsx_lab
from fixtures.clouds.nsxt import seed
from fixtures.clouds.vcsim.images import image
from fixtures.clouds.vcsim.lab import NETWORK, Lab, lab
from tests.drivers.arriving import ArrivalClauses
from tests.drivers.conftest import ForkServers
from tests.drivers.recreating import RecreationClauses

_ABSENT = Absent(
    stemcell=StemcellCid("sc-00000000-0000-4000-8000-000000000000"),
    vm=VmCid("vm-00000000-0000-4000-8000-000000000000"),
    disk=DiskCid("disk-00000000-0000-4000-8000-000000000000"),
    snapshot=SnapshotCid("snapshot-00000000-0000-4000-8000-000000000000"),
)


class TestVsphere(GuestlessContract, RecreationClauses, ArrivalClauses):
    """Linked clones of a stemcell that was imported as an OVF."""

    no_guest = "the simulated vCenter runs no VMs"

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, tmp_path_factory: pytest.TempPathFactory, fork_servers: ForkServers) -> Iterator[Harness]:
        """A vCenter of its own."""
        folder = tmp_path_factory.mktemp("vsphere")
        with lab() as vcenter:
            yield _harness(vcenter, fork_servers("vsphere").start, image(folder / "image"), folder)


class TestVsphereWithFirstClassDisks(
    DiskClauses, AttachmentClauses, DiskChangeClauses, SnapshotClauses, MetadataClauses, RecreationClauses
):
    """The clauses of disks, with First Class Disks instead of VMDKs."""

    faces = ("in-process",)

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, tmp_path_factory: pytest.TempPathFactory, fork_servers: ForkServers) -> Iterator[Harness]:
        """A vCenter of its own."""
        folder = tmp_path_factory.mktemp("vsphere-fcd")
        with lab() as vcenter:
            yield replace(
                _harness(vcenter, fork_servers("vsphere").start, image(folder / "image"), folder, fcd=True),
                disk_cloud_properties={"type": "thin"},
                absent=replace(_ABSENT, disk=DiskCid("fcd-00000000-0000-4000-8000-000000000000")),
            )


class _WithNsx:
    """With NSX-T there is one more power."""

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, tmp_path_factory: pytest.TempPathFactory, fork_servers: ForkServers) -> Iterator[Harness]:
        """A vCenter and an NSX manager of its own."""
        folder = tmp_path_factory.mktemp("nsx")
        with lab() as vcenter, nsx_lab.lab(vcenter.url) as nsx:
            config = vcenter.config(cache_folder=str(folder / "cache"), nsxt=nsx.block(realization_timeout=20))
            properties = {"t0_router_id": seed.ROUTER, "transport_zone_id": seed.ZONE, "ip_block_id": seed.BLOCK}
            yield replace(
                _harness(vcenter, fork_servers("vsphere").start, image(folder / "image"), folder),
                config=config,
                network_definition=NetworkDefinition(range="10.99.0.0/24", gateway="10.99.0.1", cloud_properties=properties),
                sized_network_definition=NetworkDefinition(netmask_bits=26, cloud_properties=properties),
                unreachable=vcenter.config(
                    "http://127.0.0.1:9", cache_folder=str(folder / "cache"), nsxt=nsx.block(host="http://127.0.0.1:9")
                ),
                census=lambda: {**vcenter.census(), **nsx.census()},
            )


class TestVsphereWithNsx(_WithNsx, ConnectingClauses):
    """The power is told of."""


class TestNetworksOfVsphere(_WithNsx, NetworkClauses):
    """Networks can be made."""

    faces = ("in-process", "executable")


def _harness(vcenter: Lab, start: Start, stemcell: Path, folder: Path, **own: Any) -> Harness:
    def manual() -> Networks:
        properties = {"name": NETWORK}
        return {
            "default": Network(
                ip=vcenter.address(),
                netmask="255.0.0.0",
                gateway="10.0.0.1",
                default=("dns", "gateway"),
                cloud_properties=properties,
            )
        }

    def impossible() -> Networks:
        return {"default": Network(ip=vcenter.address(), cloud_properties={"name": "no such network"})}

    return Harness(
        config=vcenter.config(cache_folder=str(folder / "cache"), **own),
        start=start,
        stemcell=Stemcell(image=str(stemcell), cloud_properties={"name": "tiny", "version": "1"}),
        vm_cloud_properties={"cpu": 1, "ram": 512, "disk": 1024},
        networks=manual,
        impossible_networks=impossible,
        disk_size=MiB(100),
        larger_disk_size=MiB(200),
        other_disk_cloud_properties={"type": "eagerZeroedThick"},
        vm_resources=VmResources(cpu=1, ram=MiB(512), ephemeral_disk_size=MiB(1024)),
        absent=_ABSENT,
        unreachable=vcenter.config("http://127.0.0.1:9", cache_folder=str(folder / "cache")),
        disk_size_of=lambda cid: mib_from_bytes(vcenter.disk_bytes(cid)),
        tags_of=vcenter.tags,
        census=vcenter.census,
    )
