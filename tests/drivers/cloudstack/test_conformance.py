"""The CloudStack driver keeps the contract, in this process and through the executable."""

import uuid
from pathlib import Path

import pytest

from cpi.contract.ids import DiskCid, SnapshotCid, StemcellCid, VmCid
from cpi.contract.model import Network, Networks, VmResources
from cpi.contract.units import MiB, mib_from_bytes
from cpi.rpc.child import Start
from cpi.testing import Absent, GuestlessContract, Harness, Ledger, Stemcell
from cpi.testing.maker import Maker
from fixtures.clouds.cloudstack.lab import Lab
from tests.drivers.arriving import ArrivalClauses
from tests.drivers.conftest import ForkServers
from tests.drivers.recreating import RecreationClauses

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class TestCloudStack(GuestlessContract, RecreationClauses, ArrivalClauses):
    """Heavy stemcells, VMs with an ephemeral disk."""

    no_guest = "the simulated CloudStack runs no VMs"

    @pytest.fixture
    def make(
        self, cloud: Ledger, harness: Harness, stemcell_cid: StemcellCid, vm_cid: VmCid, request: pytest.FixtureRequest
    ) -> Maker:
        """For the clauses of snapshots, disks that were attached before: CloudStack gives a disk no storage until then."""
        if "snapshot" in request.function.__name__:
            return _MakerOfUsedDisks(cloud, harness, stemcell_cid, vm_cid)
        return Maker(cloud, harness, stemcell_cid)

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, running_lab: Lab, tmp_path_factory: pytest.TempPathFactory, fork_servers: ForkServers) -> Harness:
        """Of what others made in it nothing is left."""
        folder = tmp_path_factory.mktemp("cloudstack")
        image = folder / "image"
        image.write_bytes(b"QFI\xfb" + bytes(1 << 16))
        running_lab.proxy.withdraw_all()
        return _harness(running_lab, fork_servers("cloudstack").start, image, str(folder))


class _MakerOfUsedDisks(Maker):
    """Disks that a VM has had."""

    def __init__(self, cloud: Ledger, harness: Harness, stemcell_cid: StemcellCid, vm_cid: VmCid) -> None:
        super().__init__(cloud, harness, stemcell_cid)
        self._vm_cid = vm_cid

    def disk(self, size: MiB | None = None, *, vm_cid: VmCid | None = None, token: str | None = None) -> DiskCid:
        """Attached and detached once."""
        disk_cid = super().disk(size, vm_cid=vm_cid, token=token)
        self._cloud.attach_disk(self._vm_cid, disk_cid)
        self._cloud.detach_disk(self._vm_cid, disk_cid)
        return disk_cid


def _harness(cloud: Lab, start: Start, image: Path, folder: str) -> Harness:
    def manual() -> Networks:
        return {
            "default": Network(
                ip=cloud.free_address(),
                netmask="255.255.0.0",
                gateway="10.16.0.1",
                dns=("10.16.0.2",),
                default=("dns", "gateway"),
                cloud_properties={"name": "bosh-net"},
            )
        }

    return Harness(
        config=cloud.config(cache_folder=folder),
        start=start,
        stemcell=Stemcell(image=str(image), cloud_properties={"name": "tiny", "version": "1", "hypervisor": "kvm"}),
        vm_cloud_properties={"compute_offering": "small", "disk": 2000},
        networks=manual,
        impossible_networks=lambda: {"default": Network(ip=cloud.free_address(), cloud_properties={"name": "nowhere"})},
        disk_size=MiB(1000),
        larger_disk_size=MiB(2000),
        other_disk_cloud_properties={"disk_offering": "fast.custom"},
        vm_resources=VmResources(cpu=2, ram=MiB(2048), ephemeral_disk_size=MiB(1024)),
        absent=Absent(
            stemcell=StemcellCid(str(uuid.uuid4())),
            vm=VmCid(f"cpivm-{uuid.uuid4()}"),
            disk=DiskCid(f"cpi-disk-{uuid.uuid4()}"),
            snapshot=SnapshotCid(str(uuid.uuid4())),
        ),
        unreachable=cloud.config("http://127.0.0.1:9/client/api", cache_folder=folder, max_attempts=1),
        disk_size_of=lambda cid: mib_from_bytes(cloud.one("listVolumes", cid)["size"]),
        tags_of=cloud.tags,
        census=cloud.census,
    )
