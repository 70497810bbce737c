"""Disks: their kinds, their changes, their place."""

import contextlib

import pytest

import cpi
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid
from cpi.contract.units import MiB
from fixtures.clouds.google.lab import ZONE, Lab
from fixtures.proxy import Rule, effects
from tests.drivers.google.conftest import GIB, Helper, refusal

pytestmark = pytest.mark.slow

_OLD = DiskCid("disk-1ff0bb6f-a4f8-4d13-4cf6-5d1dae9d3c02")


@pytest.fixture
def official(google: Lab) -> DiskCid:
    """A disk that the official CPI made: its name does not tell its zone."""
    root = f"https://www.googleapis.com/compute/v1/projects/a-project/zones/{ZONE}"
    item = {"sizeGb": "1", "type": f"{root}/diskTypes/pd-standard", "zone": root, "status": "READY", "users": []}
    google.control(
        "add", path=f"projects/a-project/zones/{ZONE}/disks/{_OLD}", item={**item, "labels": {}, "labelFingerprint": "Zm9v"}
    )
    return _OLD


def test_a_disk_of_the_official_cpi_serves(google: Lab, helper: Helper, cloud: Cloud, official: DiskCid) -> None:
    """It is looked for wherever its zone must be known."""
    vm = helper.vm(disk_cids=(official,), zone=None)
    assert cloud.has_disk(official)
    cloud.attach_disk(vm.cid, official)
    assert cloud.get_disks(vm.cid) == [official]
    cloud.detach_disk(vm.cid, official)
    cloud.set_disk_metadata(official, {"job": "db"})
    cloud.resize_disk(official, MiB(2048))
    cloud.delete_snapshot(cloud.snapshot_disk(official, {}))
    updated = cloud.update_disk(official, MiB(2048), {"type": "pd-ssd"})
    assert google.labels(updated)["job"] == "db"
    cloud.delete_disk(updated)
    assert not cloud.has_disk(official)


def test_a_hyperdisk_has_the_speed_wished_and_changes_it_in_place(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """iops and throughput; a type that has none of it is NotSupported for a change."""
    disk_cid = helper.disk(type="hyperdisk-balanced", iops=3500, throughput=150, labels={"team": "blue"})
    assert google.labels(disk_cid)["team"] == "blue"
    assert cloud.update_disk(disk_cid, GIB, {"iops": 4000, "throughput": 150}) == disk_cid
    disk = google.see("disks", disk_cid)
    assert (disk["provisionedIops"], disk["provisionedThroughput"], disk["sizeGb"]) == ("4000", "150", "1")
    with pytest.raises(errors.NotSupported):
        cloud.update_disk(helper.disk(), GIB, {"iops": 4000})


def test_a_disk_for_no_vm_needs_a_zone(google: Lab, cloud: Cloud) -> None:
    """Its own, or that of the configuration."""
    with pytest.raises(errors.CpiError, match="zone: is missing"):
        cloud.create_disk(GIB, {})
    with cpi.connect(google.config(default_zone="us-central1-a")) as elsewhere:
        assert elsewhere.create_disk(GIB, {}).endswith("us-central1-a")


def test_a_disk_beyond_the_quota_is_no_disk_space(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """Made or grown."""
    disk_cid = helper.disk()
    google.set(quotas={"DISKS_TOTAL_GB": 2})
    with pytest.raises(errors.NoDiskSpace, match="raise the quota"):
        cloud.create_disk(MiB(4096), {"zone": ZONE})
    with pytest.raises(errors.NoDiskSpace, match="raise the quota"):
        cloud.resize_disk(disk_cid, MiB(4096))
    assert google.census()["disks"] == 1


def test_a_disk_of_another_zone_is_told_from_one_that_is_missing(helper: Helper, cloud: Cloud) -> None:
    """Both zones are named."""
    vm, disk_cid = helper.vm(), helper.disk(zone="europe-west1-d")
    with pytest.raises(errors.CloudError, match=f"is in europe-west1-d and the VM in {ZONE}") as caught:
        cloud.attach_disk(vm.cid, disk_cid)
    assert not isinstance(caught.value, errors.DiskNotFound)
    with pytest.raises(errors.NotSupported, match="copy it"):
        cloud.update_disk(disk_cid, GIB, {"zone": ZONE})


def test_a_zone_that_cannot_be_asked_is_no_answer(google: Lab, helper: Helper, cloud: Cloud, official: DiskCid) -> None:
    """A False would make the director forget a VM or a disk."""
    vm = helper.vm()
    google.set(unreachable=[ZONE])
    with cpi.connect(google.config(max_retries=0)) as impatient:
        for ask in (lambda: impatient.has_vm(vm.cid), lambda: impatient.has_disk(official), lambda: impatient.delete_vm(vm.cid)):
            with pytest.raises(errors.CloudError, match="UNREACHABLE") as caught:
                ask()
            assert not isinstance(caught.value, errors.VMNotFound | errors.DiskNotFound)


def test_an_old_disk_that_will_not_go_is_labelled_and_the_new_cid_answered(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """The director would lose it by an error; asked again, the same CID is answered."""
    disk_cid = helper.disk()
    stuck = Rule(f"DELETE disks/{{name}}", effects.decided(lambda _: refusal("invalid")))  # noqa: F541 - as the proxy names it
    google.proxy.inject(stuck)
    updated = cloud.update_disk(disk_cid, GIB, {"type": "pd-ssd"})
    assert google.labels(disk_cid)["multicpi-replaced-by"] == updated
    assert google.labels(updated)["multicpi-replaces"] == disk_cid
    assert cloud.update_disk(disk_cid, GIB, {"type": "pd-ssd"}) == updated
    assert google.census()["snapshots"] == 0


def test_a_copy_of_a_former_state_is_never_taken_for_the_disk(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """The director gave up after a killed update, attached the disk, wrote to it, and asks again."""
    vm, disk_cid = helper.vm(), helper.disk()
    killed = Rule("POST disks", effects.decided(lambda _: refusal("injectedFault")), times=1)
    google.proxy.inject(killed)
    with pytest.raises(errors.CloudError, match="injectedFault"):
        cloud.update_disk(disk_cid, GIB, {"type": "pd-ssd"})
    stale = google.see("snapshots")["name"]
    cloud.attach_disk(vm.cid, disk_cid)
    cloud.detach_disk(vm.cid, disk_cid)
    updated = cloud.update_disk(disk_cid, GIB, {"type": "pd-ssd"})
    assert not google.see("disks", updated)["sourceSnapshot"].endswith(stale)
    assert google.census()["snapshots"] == 0


def test_a_snapshot_lies_where_the_configuration_says(google: Lab, helper: Helper) -> None:
    """And says what it is of."""
    disk_cid = helper.disk()
    with cpi.connect(google.config(snapshot_storage_location="eu")) as cloud:
        cloud.snapshot_disk(disk_cid, {"deployment": "cf", "job": "db", "index": 0})
    snapshot = google.see("snapshots")
    assert snapshot["storageLocations"] == ["eu"]
    assert snapshot["description"] == "cf/db/0"


def test_a_vm_that_is_deleted_without_waiting_is_gone_at_once(
    google: Lab, helper: Helper, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CPI_ASYNC_DELETE, as with the official CPI: a VM that is going does not exist any more."""
    vm = helper.vm()
    google.set(operation_calls=1000)
    monkeypatch.setenv("CPI_ASYNC_DELETE", "1")
    cloud.delete_vm(vm.cid)
    assert google.see("instances", vm.cid)["status"] == "STOPPING"
    assert cloud.has_vm(vm.cid) is False
    with contextlib.suppress(errors.VMNotFound):
        cloud.delete_vm(vm.cid)


def test_a_vm_that_was_stopped_is_there_and_is_started_by_a_reboot(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """A VM that stops looks like one that is being deleted, and is not."""
    vm = helper.vm()
    path = f"projects/a-project/zones/{ZONE}/instances/{vm.cid}"
    google.control("change", path=path, item={"status": "STOPPING"})
    assert cloud.has_vm(vm.cid) is True
    google.control("change", path=path, item={"status": "TERMINATED"})
    cloud.reboot_vm(vm.cid)
    assert google.see("instances", vm.cid)["status"] == "RUNNING"


def test_the_settings_stay_as_the_official_cpi_writes_them(helper: Helper, cloud: Cloud) -> None:
    """Where the agent reads them: bosh_settings; a disk is told by its identity."""
    vm, disk_cid = helper.vm(), helper.disk()
    hint = cloud.attach_disk(vm.cid, disk_cid)
    path = f"/dev/disk/by-id/google-{disk_cid}"
    assert hint.to_wire() == path
    told = helper.settings(vm.cid)["disks"]["persistent"][disk_cid]
    assert told == {"id": disk_cid, "volume_id": disk_cid, "path": path}
    device = helper.google.see("instances", vm.cid)["disks"][1]
    assert (device["deviceName"], device["autoDelete"]) == (disk_cid, False)
