"""Exactly the k-th API call of what changes or deletes something fails: a repeat finishes it, and nothing is left behind."""

from typing import Any

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid, StemcellCid
from cpi.contract.model import CreatedNetwork, NetworkDefinition, Vm
from cpi.contract.units import MiB
from fixtures.clouds.google.lab import REGION, ZONE, Lab
from tests.drivers.google.conftest import GIB, Helper, balanced
from tests.drivers.google.failing import each_call, each_call_and_a_repeat

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("operations_end")]


def test_delete_vm(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """Its load balancers, itself; its persistent disk stays and is free."""
    joined, disk_cid = balanced(google), helper.disk()
    before = google.census()

    def made() -> Vm:
        vm = helper.vm(**joined)
        cloud.attach_disk(vm.cid, disk_cid)
        return vm

    def gone(vm: Vm) -> None:
        assert not cloud.has_vm(vm.cid)
        assert google.census() == before
        assert google.see("disks", disk_cid)["users"] == []
        assert google.see("targetPools")["instances"] == google.see("instanceGroups")["_members"] == []

    assert each_call_and_a_repeat(google, made, lambda vm: cloud.delete_vm(vm.cid), gone) >= 8


def test_reboot_vm(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """It runs afterwards."""
    vm = helper.vm()

    def runs(_: Vm) -> None:
        assert google.see("instances", vm.cid)["status"] == "RUNNING"

    assert each_call_and_a_repeat(google, lambda: vm, lambda vm: cloud.reboot_vm(vm.cid), runs) == 3


def test_set_vm_metadata(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """The labels and the metadata are there, and those of its birth still are."""
    vm = helper.vm()
    names = iter(f"job-{number}" for number in range(20))

    def labelled(name: str) -> None:
        assert google.labels(vm.cid)["job"] == name
        assert {"key": "job", "value": name} in google.see("instances", vm.cid)["metadata"]["items"]
        assert google.labels(vm.cid)["multicpi"] == "1"

    assert (
        each_call_and_a_repeat(google, lambda: next(names), lambda name: cloud.set_vm_metadata(vm.cid, {"job": name}), labelled)
        == 5
    )


def test_set_disk_metadata(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """As of VMs."""
    disk_cid = helper.disk()
    names = iter(f"job-{number}" for number in range(20))

    def labelled(name: str) -> None:
        assert google.labels(disk_cid)["job"] == name
        assert google.labels(disk_cid)["multicpi"] == "1"

    def label(name: str) -> None:
        cloud.set_disk_metadata(disk_cid, {"job": name})

    assert each_call_and_a_repeat(google, lambda: next(names), label, labelled) == 3


def test_resize_disk(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """It has the size asked for, and is asked for no more."""
    disk_cid = helper.disk()
    sizes = iter(range(2, 20))

    def sized(gib: int) -> None:
        assert google.see("disks", disk_cid)["sizeGb"] == str(gib)

    calls = each_call_and_a_repeat(google, lambda: next(sizes), lambda gib: cloud.resize_disk(disk_cid, MiB(gib * GIB)), sized)
    assert calls == 3


def test_update_disk_in_speed(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """The speed, and then the size."""
    disk_cid = helper.disk(type="hyperdisk-balanced", iops=3000, throughput=150)
    wishes = iter((3000 + step, MiB((1 + step) * GIB)) for step in range(1, 20))

    def update(wish: tuple[int, MiB]) -> None:
        assert cloud.update_disk(disk_cid, wish[1], {"iops": wish[0]}) == disk_cid

    def updated(wish: tuple[int, MiB]) -> None:
        disk = google.see("disks", disk_cid)
        assert (disk["provisionedIops"], int(disk["sizeGb"]) * GIB) == (str(wish[0]), wish[1])

    assert each_call_and_a_repeat(google, lambda: next(wishes), update, updated) == 5


def test_delete_disk(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """Gone; that it was gone already is told."""

    def gone(disk_cid: DiskCid) -> None:
        assert not cloud.has_disk(disk_cid)
        assert google.census()["disks"] == 0

    assert each_call_and_a_repeat(google, helper.disk, cloud.delete_disk, gone) == 2


def test_snapshot_disk_leaves_nothing(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """No half-made snapshot, and with it no cost that nobody knows of."""
    disk_cid = helper.disk()
    made = []

    def check(k: int, error: errors.Error) -> None:
        assert google.census()["snapshots"] == 0, f"the failing call number {k} left something: {error.message}"

    assert each_call(google, lambda: made.append(cloud.snapshot_disk(disk_cid, {"index": 1})), check) == 2
    assert [item["name"] for item in google.all("snapshots").values()] == made


def test_delete_snapshot(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """Gone."""
    disk_cid = helper.disk()

    def gone(_: str) -> None:
        assert google.census()["snapshots"] == 0

    assert each_call_and_a_repeat(google, lambda: cloud.snapshot_disk(disk_cid, {}), cloud.delete_snapshot, gone) == 2


def test_delete_stemcell(google: Lab, cloud: Cloud) -> None:
    """Gone."""

    def made() -> StemcellCid:
        google.make_image("stemcell-to-go")
        return StemcellCid("stemcell-to-go")

    def gone(_: str) -> None:
        assert google.census()["images"] == 0

    assert each_call_and_a_repeat(google, made, cloud.delete_stemcell, gone) == 2


@pytest.mark.parametrize(("wish", "calls"), [({"range": "10.77.0.0/24"}, 2), ({"netmask_bits": 26}, 3)], ids=["range", "size"])
def test_create_network_leaves_nothing(google: Lab, cloud: Cloud, wish: dict[str, Any], calls: int) -> None:
    """With a range that was asked for, and with one that was chosen."""
    before = google.census()
    definition = NetworkDefinition(**wish, cloud_properties={"region": REGION})

    def check(k: int, error: errors.Error) -> None:
        assert google.census() == before, f"the failing call number {k} left something: {error.message}"

    assert each_call(google, lambda: cloud.create_network(definition), check) == calls
    assert google.census()["subnetworks"] == before["subnetworks"] + 1


def test_delete_network(google: Lab, cloud: Cloud) -> None:
    """Gone; that it was gone already is told."""
    before = google.census()

    def made() -> CreatedNetwork:
        return cloud.create_network(NetworkDefinition(range="10.78.0.0/24", cloud_properties={"region": REGION}))

    def gone(_: CreatedNetwork) -> None:
        assert google.census() == before

    assert each_call_and_a_repeat(google, made, lambda network: cloud.delete_network(network.cid), gone) == 2


def test_has_vm_and_has_disk_never_answer_false_for_a_failing_call(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """The error is told instead."""
    vm, disk_cid = helper.vm(), helper.disk(zone=ZONE)

    def check(k: int, error: errors.Error) -> None:
        assert not isinstance(error, errors.VMNotFound | errors.DiskNotFound)

    assert each_call(google, lambda: cloud.has_vm(vm.cid), check) == 1
    assert each_call(google, lambda: cloud.has_disk(disk_cid), check) == 1
