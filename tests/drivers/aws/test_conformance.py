"""The AWS driver keeps the contract, in this process and through the executable; moto is the cloud."""

import functools
from pathlib import Path

import pytest

from cpi.contract.ids import DiskCid, NetworkCid, SnapshotCid, StemcellCid, VmCid
from cpi.contract.model import Network, NetworkDefinition, Networks, VmResources
from cpi.contract.units import MiB, mib_from_gib
from cpi.rpc.child import Start
from cpi.testing.conformance import GuestlessContract
from cpi.testing.harness import Absent, Harness, Stemcell
from fixtures.clouds.aws.images import bootable_image
from fixtures.clouds.aws.lab import ZONES, Lab
from tests.drivers.arriving import ArrivalClauses
from tests.drivers.aws.conftest import emptied
from tests.drivers.conftest import ForkServers
from tests.drivers.recreating import RecreationClauses

_ABSENT = Absent(
    stemcell=StemcellCid("ami-00000000000000000"),
    vm=VmCid("i-00000000000000000"),
    disk=DiskCid("vol-00000000000000000"),
    snapshot=SnapshotCid("snap-00000000000000000"),
    network=NetworkCid("subnet-00000000000000000"),
)


class TestAws(GuestlessContract, RecreationClauses, ArrivalClauses):
    """Heavy stemcells: a light one is not ours to delete, so it could not prove as much."""

    no_guest = "moto runs no VMs"

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, running_lab: Lab, tmp_path_factory: pytest.TempPathFactory, fork_servers: ForkServers) -> Harness:
        """A region of moto's."""
        image = bootable_image(tmp_path_factory.mktemp("image") / "image")
        return _harness(emptied(running_lab), fork_servers("aws").start, image)


def _harness(aws: Lab, start: Start, image: Path) -> Harness:
    zone = ZONES[0]
    subnet, addresses = aws.subnets()[zone], aws.free_addresses(zone)

    def manual() -> Networks:
        properties = {"subnet": subnet}
        return {
            "default": Network(ip=next(addresses), netmask="255.255.240.0", gateway="172.31.0.1", cloud_properties=properties)
        }

    def impossible() -> Networks:
        return {"default": Network(ip=next(addresses), cloud_properties={"subnet": "subnet-00000000000000000"})}

    return Harness(
        config=aws.config(),
        start=start,
        stemcell=Stemcell(image=str(image), cloud_properties={"name": "tiny", "version": "1", "disk": 1024}),
        vm_cloud_properties={"instance_type": "m5.large", "availability_zone": zone},
        networks=manual,
        impossible_networks=impossible,
        disk_size=MiB(1000),
        larger_disk_size=MiB(1100),
        other_disk_cloud_properties={"type": "io1", "iops": 300},
        vm_resources=VmResources(cpu=2, ram=MiB(4096), ephemeral_disk_size=MiB(10240)),
        network_definition=NetworkDefinition(
            range="172.31.99.0/24", gateway="172.31.99.1", cloud_properties={"availability_zone": zone}
        ),
        sized_network_definition=NetworkDefinition(netmask_bits=26, cloud_properties={"availability_zone": zone}),
        absent=_ABSENT,
        unreachable=aws.config("http://127.0.0.1:9", max_retries=0),
        disk_size_of=functools.partial(_size_of, aws),
        tags_of=aws.tags,
        census=aws.census,
    )


def _size_of(aws: Lab, disk_cid: DiskCid) -> MiB:
    return mib_from_gib(aws.ec2.describe_volumes(VolumeIds=[str(disk_cid)])["Volumes"][0]["Size"])
