"""The Google driver keeps the contract, in process and through the executable; a fake held to Google's schemas is the cloud."""

import functools
from pathlib import Path

import pytest

from cpi.contract.ids import DiskCid, NetworkCid, SnapshotCid, StemcellCid, VmCid
from cpi.contract.model import Network, NetworkDefinition, Networks, VmResources
from cpi.contract.units import MiB, mib_from_gib
from cpi.rpc.child import Start
from cpi.testing.conformance import GuestlessContract
from cpi.testing.harness import Absent, Harness, Stemcell
from fixtures.clouds.google.images_to_upload import packed_image
from fixtures.clouds.google.lab import REGION, ZONE, Lab
from tests.drivers.arriving import ArrivalClauses
from tests.drivers.conftest import ForkServers
from tests.drivers.recreating import RecreationClauses

_NOUGHT = "0" * 24
_ABSENT = Absent(
    stemcell=StemcellCid("stemcell-that-never-was"),
    vm=VmCid("vm-that-never-was"),
    disk=DiskCid(f"disk-{_NOUGHT}-{ZONE}"),
    snapshot=SnapshotCid("snapshot-that-never-was"),
    network=NetworkCid(f"network-{_NOUGHT}-{REGION}"),
)


class TestGoogle(GuestlessContract, RecreationClauses, ArrivalClauses):
    """Heavy stemcells: a light one is not ours to delete, so it could not prove as much."""

    no_guest = "the simulated Google Compute Engine runs no VMs"

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, running_lab: Lab, tmp_path_factory: pytest.TempPathFactory, fork_servers: ForkServers) -> Harness:
        """A project of the fake's."""
        image = packed_image(tmp_path_factory.mktemp("image") / "image")
        running_lab.proxy.withdraw_all()
        running_lab.reset()
        return _harness(running_lab, fork_servers("google").start, image)


def _harness(google: Lab, start: Start, image: Path) -> Harness:
    addresses = google.free_addresses()

    def manual() -> Networks:
        properties = {"network_name": "default", "subnetwork_name": "default", "tags": ["bosh"]}
        return {
            "default": Network(ip=next(addresses), netmask="255.255.240.0", gateway="10.132.0.1", cloud_properties=properties)
        }

    def impossible() -> Networks:
        return {"default": Network(ip=next(addresses), cloud_properties={"subnetwork_name": "that-never-was"})}

    return Harness(
        config=google.config(default_zone=ZONE),
        start=start,
        stemcell=Stemcell(image=str(image), cloud_properties={"name": "tiny", "version": "1"}),
        vm_cloud_properties={"machine_type": "e2-medium", "zone": ZONE},
        networks=manual,
        impossible_networks=impossible,
        disk_size=MiB(1000),
        larger_disk_size=MiB(1100),
        disk_cloud_properties={"zone": ZONE},
        other_disk_cloud_properties={"type": "pd-ssd"},
        network_definition=NetworkDefinition(range="10.99.0.0/24", gateway="10.99.0.1", cloud_properties={"region": REGION}),
        sized_network_definition=NetworkDefinition(netmask_bits=26, cloud_properties={"region": REGION}),
        vm_resources=VmResources(cpu=2, ram=MiB(4096), ephemeral_disk_size=MiB(10240)),
        absent=_ABSENT,
        unreachable=google.config("http://127.0.0.1:9", max_retries=0),
        disk_size_of=functools.partial(_size_of, google),
        tags_of=google.labels,
        census=google.census,
    )


def _size_of(google: Lab, disk_cid: DiskCid) -> MiB:
    return mib_from_gib(int(google.see("disks", disk_cid)["sizeGb"]))
