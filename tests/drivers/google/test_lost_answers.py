"""Google did it and the answer never came, for every kind of call: it is done once, and nothing is left behind."""

from typing import Any

import pytest

from cpi.contract.cloud import Cloud
from cpi.contract.model import Network, NetworkDefinition
from cpi.contract.units import MiB
from fixtures.clouds.google.lab import REGION, Lab
from fixtures.proxy import Rule, effects
from tests.drivers.google.conftest import GIB, Helper, balanced

_BUCKET = f"multicpi-{'?' * 32}"
_CALLS = (
    "POST storage/{name}/b",
    "POST upload/*",
    "PUT upload/*",
    "DELETE storage/{name}/b/*/o/*",
    f"DELETE storage/{{name}}/b/{_BUCKET}",
    "POST images",
    "DELETE images/{name}",
    "POST subnetworks",
    "DELETE subnetworks/{name}",
    "POST instances",
    "DELETE instances/{name}",
    "POST instances/{name}/attachDisk",
    "POST instances/{name}/setMetadata",
    "POST instances/{name}/setLabels",
    "POST instances/{name}/reset",
    "POST instances/{name}/detachDisk",
    "POST disks",
    "POST disks/{name}/setLabels",
    "POST disks/{name}/resize",
    "POST disks/{name}/createSnapshot",
    "DELETE disks/{name}",
    "DELETE snapshots/{name}",
    "POST resourcePolicies",
    "DELETE resourcePolicies/{name}",
    "POST targetPools/{name}/addInstance",
    "POST targetPools/{name}/removeInstance",
    "POST instanceGroups/{name}/addInstances",
    "POST instanceGroups/{name}/removeInstances",
)


@pytest.mark.slow
@pytest.mark.parametrize("action", _CALLS)
def test_a_lost_answer_does_no_harm(google: Lab, helper: Helper, cloud: Cloud, image: str, action: str) -> None:
    """In the whole life of a stemcell, a network, a VM and a disk."""
    joined = balanced(google)
    before = google.census()
    rule = Rule(action, effects.lost_answer(), times=1)
    google.proxy.inject(rule)
    _live(cloud, helper, image, joined)
    assert rule.met == 1
    assert google.census() == before
    assert google.see("targetPools")["instances"] == google.see("instanceGroups")["_members"] == []


def _live(cloud: Cloud, helper: Helper, image: str, joined: dict[str, Any]) -> None:
    helper.stemcell = cloud.create_stemcell(image, {}, {})
    network = cloud.create_network(NetworkDefinition(range="10.66.0.0/24", cloud_properties={"region": REGION}))
    networks = {"one": Network(ip="10.66.0.9", cloud_properties=network.cloud_properties)}
    vm = helper.vm(networks=networks, availability_domains=2, env={"bosh": {"group": "db"}}, **joined)
    cloud.set_vm_metadata(vm.cid, {"job": "db"})
    disk_cid = cloud.create_disk(GIB, {}, vm.cid)
    cloud.attach_disk(vm.cid, disk_cid)
    cloud.reboot_vm(vm.cid)
    cloud.set_disk_metadata(disk_cid, {"job": "db"})
    snapshot_cid = cloud.snapshot_disk(disk_cid, {"index": 1})
    cloud.detach_disk(vm.cid, disk_cid)
    cloud.resize_disk(disk_cid, MiB(2 * GIB))
    disk_cid = cloud.update_disk(disk_cid, MiB(2 * GIB), {"type": "pd-ssd"})
    cloud.delete_snapshot(snapshot_cid)
    cloud.delete_disk(disk_cid)
    cloud.delete_vm(vm.cid)
    cloud.delete_network(network.cid)
    cloud.delete_stemcell(helper.stemcell)
