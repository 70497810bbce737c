"""The OpenStack driver keeps the contract, in this process and through the executable; the cloud is a real one."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from cpi.contract.ids import DiskCid, SnapshotCid, StemcellCid, VmCid
from cpi.contract.model import Network, Networks, VmResources
from cpi.contract.units import MiB, mib_from_gib
from cpi.rpc.child import Start
from cpi.testing import Absent, GuestlessContract, Harness, Stemcell
from fixtures.clouds.openstack import ControlPlane
from fixtures.clouds.openstack.lab import Lab, lab
from tests.drivers.arriving import ArrivalClauses
from tests.drivers.conftest import ForkServers
from tests.drivers.recreating import RecreationClauses

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class TestOpenStack(GuestlessContract, RecreationClauses, ArrivalClauses):
    """Heavy stemcells of a real Glance, servers of a real Nova on its fake hypervisor."""

    no_guest = "Nova's fake hypervisor runs no VMs"

    @pytest.fixture(scope="class")
    @classmethod
    def harness(
        cls, openstack_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory, fork_servers: ForkServers
    ) -> Iterator[Harness]:
        """A project of its own."""
        image = tmp_path_factory.mktemp("image") / "image"
        image.write_bytes(bytes(1 << 20))
        with lab(openstack_plane) as project:
            yield _harness(project, fork_servers("openstack").start, image)


def _harness(project: Lab, start: Start, image: Path) -> Harness:
    def manual() -> Networks:
        address, properties = project.free_address(), {"net_id": project.net_id}
        return {
            "default": Network(
                ip=address,
                netmask="255.255.0.0",
                gateway="10.16.0.1",
                dns=("10.16.0.2",),
                default=("dns", "gateway"),
                cloud_properties=properties,
            )
        }

    def impossible() -> Networks:
        return {"default": Network(ip=project.free_address(), cloud_properties={"net_id": str(uuid.uuid4())})}

    return Harness(
        config=project.config(),
        start=start,
        stemcell=Stemcell(
            image=str(image),
            cloud_properties={"name": "tiny", "version": "1", "disk_format": "raw", "container_format": "bare", "disk": 3072},
        ),
        vm_cloud_properties={"instance_type": "m1.tiny"},
        networks=manual,
        impossible_networks=impossible,
        disk_size=MiB(1000),
        larger_disk_size=MiB(2000),
        impossible_disk_size=mib_from_gib(200_000),
        other_disk_cloud_properties={"type": "fast"},
        vm_resources=VmResources(cpu=1, ram=MiB(512), ephemeral_disk_size=MiB(1024)),
        absent=Absent(
            stemcell=StemcellCid(str(uuid.uuid4())),
            vm=VmCid(str(uuid.uuid4())),
            disk=DiskCid(str(uuid.uuid4())),
            snapshot=SnapshotCid(str(uuid.uuid4())),
        ),
        unreachable=project.config(auth_url="http://127.0.0.1:9/v3", retry_config={"default": {"max_attempts": 1}}),
        settings=lambda _, vm_cid: project.user_data(vm_cid),
        disk_size_of=lambda cid: mib_from_gib(project.sdk.block_storage.get_volume(cid).size),
        tags_of=project.tags,
        census=project.census,
    )
