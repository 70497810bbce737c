"""The vCloud driver keeps the contract, in this process and through the executable."""

import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest

from cpi.contract.ids import DiskCid, SnapshotCid, StemcellCid, VmCid
from cpi.contract.model import Network, Networks, VmResources
from cpi.contract.units import MiB
from cpi.rpc.child import Start
from cpi.testing import Absent, GuestlessContract, Harness, Stemcell
from fixtures.clouds.vcloud.lab import Lab
from fixtures.clouds.vcsim.images import image
from tests.drivers.arriving import ArrivalClauses
from tests.drivers.conftest import ForkServers
from tests.drivers.recreating import RecreationClauses

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class TestVcloud(GuestlessContract, RecreationClauses, ArrivalClauses):
    """Uploaded stemcells, VMs with an ephemeral disk."""

    no_guest = "the simulated vCloud Director runs no VMs"

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, running_lab: Lab, tmp_path_factory: pytest.TempPathFactory, fork_servers: ForkServers) -> Harness:
        """Of what others made in it nothing is left."""
        folder = tmp_path_factory.mktemp("vcloud")
        running_lab.settle()
        running_lab.proxy.withdraw_all()
        return _harness(running_lab, fork_servers("vcloud").start, image(folder / "image"), str(folder))


def _harness(cloud: Lab, start: Start, stemcell: Path, folder: str) -> Harness:
    def manual() -> Networks:
        return {
            "default": Network(
                ip=cloud.free_address(),
                netmask="255.255.0.0",
                gateway="10.16.0.1",
                dns=("10.16.0.1",),
                default=("dns", "gateway"),
                cloud_properties={"name": "bosh-net"},
            )
        }

    return Harness(
        config=cloud.config(cache_folder=folder),
        start=start,
        stemcell=Stemcell(image=str(stemcell), cloud_properties={"name": "tiny", "version": "1"}),
        vm_cloud_properties={"cpu": 1, "ram": 512, "disk": 1024},
        networks=manual,
        impossible_networks=lambda: {"default": Network(ip=cloud.free_address(), cloud_properties={"name": "nowhere"})},
        disk_size=MiB(100),
        larger_disk_size=MiB(200),
        other_disk_cloud_properties={"storage_profile": "fast"},
        vm_resources=VmResources(cpu=1, ram=MiB(512), ephemeral_disk_size=MiB(1024)),
        absent=Absent(
            stemcell=StemcellCid(f"urn:vcloud:catalogitem:{uuid.uuid4()}"),
            vm=VmCid(f"urn:vcloud:vm:{uuid.uuid4()}"),
            disk=DiskCid(f"urn:vcloud:disk:{uuid.uuid4()}"),
            snapshot=SnapshotCid(str(uuid.uuid4())),
        ),
        unreachable=cloud.config("http://127.0.0.1:9", cache_folder=folder, control={"retry_max": 1}),
        disk_size_of=lambda cid: MiB(cloud.one("disks", cid)["size_mb"]),
        tags_of=lambda cid: cloud.tags(cid) or _of_template(cloud, cid),
        census=cloud.census,
    )


def _of_template(cloud: Lab, cid: str) -> Mapping[str, str]:
    """A stemcell's tags are on the template that its catalog item stands for."""
    return cloud.tags(cloud.one("catalog_items", cid)["name"])
