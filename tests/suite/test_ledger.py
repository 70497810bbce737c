"""The ledger removes what was made, last first, and calls what stays a leak."""

from typing import Any

import pytest

from cpi.contract import errors
from cpi.contract.ids import AgentId, DiskCid, VmCid
from cpi.contract.model import CloudConfig, NetworkDefinition
from cpi.contract.units import MiB
from cpi.testing import Leak, Ledger
from tests.suite.memory_cloud import IMAGE, Memory, MemoryCloud, MemorySettings


class Told(MemoryCloud):
    """Notes what it is asked to remove."""

    def __init__(self) -> None:
        self.all = Memory()
        super().__init__(self.all, MemorySettings())
        self.removed: list[str] = []

    def delete_vm(self, vm_cid: VmCid) -> None:
        self.removed.append("vm")
        super().delete_vm(vm_cid)

    def delete_disk(self, disk_cid: DiskCid) -> None:
        self.removed.append("disk")
        super().delete_disk(disk_cid)

    def detach_disk(self, vm_cid: VmCid, disk_cid: DiskCid) -> None:
        self.removed.append("attachment")
        super().detach_disk(vm_cid, disk_cid)

    def delete_network(self, network_cid: Any) -> None:
        self.removed.append("network")
        super().delete_network(network_cid)


@pytest.fixture
def cloud() -> Told:
    """A cloud in memory."""
    return Told()


@pytest.fixture
def ledger(cloud: Told) -> Ledger:
    """The ledger under test."""
    return Ledger(cloud, cloud.capabilities)


@pytest.fixture
def vm_cid(ledger: Ledger, tmp_path: Any) -> VmCid:
    """A VM, and the stemcell it needs."""
    image = tmp_path / "image"
    image.write_bytes(IMAGE)
    stemcell_cid = ledger.create_stemcell(str(image), {}, {})
    return ledger.create_vm(AgentId("a"), stemcell_cid, {}, {}).cid


def test_everything_is_removed_last_first(cloud: Told, ledger: Ledger, vm_cid: VmCid) -> None:
    """A disk is detached before it is deleted, and deleted before the VM that was there before it."""
    ledger.create_network(NetworkDefinition(range="10.0.0.0/24"))
    disk_cid = ledger.create_disk(MiB(16), {})
    ledger.snapshot_disk(disk_cid, {})
    ledger.attach_disk(vm_cid, disk_cid)
    ledger.settle()
    assert cloud.removed == ["attachment", "disk", "network", "vm"]
    assert set(cloud.all.census().values()) == {0}


def test_what_the_test_removed_itself_is_not_removed_again(cloud: Told, ledger: Ledger, vm_cid: VmCid) -> None:
    """The calls that settle makes are few."""
    disk_cid = ledger.create_disk(MiB(16), {})
    ledger.attach_disk(vm_cid, disk_cid)
    ledger.delete_vm(vm_cid)
    ledger.delete_disk(disk_cid)
    cloud.removed.clear()
    ledger.settle()
    assert cloud.removed == ["attachment"], "which the VM's end made needless, and its absence harmless"


def test_what_cannot_be_removed_is_a_leak_and_the_rest_is_removed(cloud: Told, ledger: Ledger, vm_cid: VmCid) -> None:
    """The message names what stays and why; one fault does not keep the others."""
    disk_cid = ledger.create_disk(MiB(16), {})
    cloud.attach_disk(vm_cid, disk_cid)
    with pytest.raises(Leak, match=f"disk {disk_cid}: CloudError: {disk_cid} is attached"):
        ledger.settle()
    assert not cloud.has_vm(vm_cid)


def test_what_is_there_after_its_deletion_is_a_leak(cloud: Told, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A delete_disk that does nothing is not believed."""
    disk_cid = ledger.create_disk(MiB(16), {})
    monkeypatch.setattr(cloud, "delete_disk", lambda _: None)
    with pytest.raises(Leak, match=f"disk {disk_cid}: was deleted and still exists"):
        ledger.settle()


def test_a_disk_that_took_anothers_place_is_removed_instead(cloud: Told, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """update_disk may answer a new CID."""
    old = ledger.create_disk(MiB(16), {})
    new = cloud.create_disk(MiB(32), {})
    monkeypatch.setattr(cloud, "update_disk", lambda *_: new)
    ledger.update_disk(old, MiB(32), {})
    ledger.settle()
    assert cloud.has_disk(old)
    assert not cloud.has_disk(new)


def test_a_ledger_does_not_connect_by_itself() -> None:
    """It is laid around a Cloud that exists."""
    with pytest.raises(errors.CpiError, match="around a connected cloud"):
        Ledger.connect(CloudConfig("memory", {}))
