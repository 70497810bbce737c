"""A call that comes while the operation of an earlier one still runs, or just when it ends: what is there decides."""

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.units import MiB
from fixtures.clouds.google.lab import ZONE, Lab
from fixtures.proxy import Answer, Request, Rule, effects
from tests.drivers.google.conftest import GIB, WAIT, Helper, refusal

_TWO = MiB(2 * GIB)


def _unwaited(google: Lab) -> Rule:
    """The next wait is refused: the operation goes on and nobody waits for it."""
    rule = Rule(WAIT, effects.decided(lambda _: refusal("injectedFault")), times=1)
    google.proxy.inject(rule)
    return rule


def test_a_disk_that_has_grown_since_it_was_looked_at_is_grown_no_more(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """Google refuses the size that a disk has."""
    disk_cid = helper.disk()
    google.set(operation_calls=3)
    _unwaited(google)
    with pytest.raises(errors.CloudError, match="injectedFault"):
        cloud.resize_disk(disk_cid, _TWO)
    cloud.resize_disk(disk_cid, _TWO)
    assert google.see("disks", disk_cid)["sizeGb"] == "2"
    assert [call.status for call in google.proxy.calls if call.action.endswith("/resize")] == [200, 400]


def test_a_disk_that_has_another_size_by_now_is_not_as_wished(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """Somebody else made it larger still."""
    disk_cid = helper.disk()
    path = f"projects/a-project/zones/{ZONE}/disks/{disk_cid}"

    def grown(_: Request) -> Answer | None:
        google.control("change", path=path, item={"sizeGb": "5"})
        return None

    google.proxy.inject(Rule("POST disks/{name}/resize", effects.decided(grown)))
    with pytest.raises(errors.CloudError, match="larger than the current size 5"):
        cloud.resize_disk(disk_cid, _TWO)


def test_a_disk_that_another_operation_runs_on_is_waited_for(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """It is grown, and then a snapshot is made of it."""
    disk_cid = helper.disk()
    google.set(operation_calls=4, exclusive=True)
    _unwaited(google)
    with pytest.raises(errors.CloudError, match="injectedFault"):
        cloud.resize_disk(disk_cid, _TWO)
    cloud.snapshot_disk(disk_cid, {})
    assert google.see("snapshots")["diskSizeGb"] == "2"
    statuses = [call.status for call in google.proxy.calls if call.action.endswith("/createSnapshot")]
    assert statuses == [400, 400, 200]


def test_a_disk_that_is_on_its_way_to_the_vm_is_attached_once_the_vm_has_it(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """Not when the disk already names the VM as its user."""
    vm, disk_cid = helper.vm(), helper.disk()
    google.set(operation_calls=7)
    _unwaited(google)
    with pytest.raises(errors.CloudError, match="injectedFault"):
        cloud.attach_disk(vm.cid, disk_cid)
    shown = []

    def look(_: Request) -> Answer | None:
        shown.append([one["deviceName"] for one in google.see("instances", vm.cid)["disks"]])
        return None

    google.proxy.inject(Rule("POST instances/{name}/setMetadata", effects.decided(look)))
    assert cloud.get_disks(vm.cid) == []
    cloud.attach_disk(vm.cid, disk_cid)
    assert [disk_cid in disks for disks in shown] == [True]
    assert list(cloud.get_disks(vm.cid)) == [disk_cid]
    assert list(helper.settings(vm.cid)["disks"]["persistent"]) == [disk_cid]


def test_a_vm_that_goes_off_after_it_was_looked_at_is_started(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """Google resets no VM that is off."""
    vm = helper.vm()
    path = f"projects/a-project/zones/{ZONE}/instances/{vm.cid}"

    def off(_: Request) -> Answer | None:
        google.control("change", path=path, item={"status": "TERMINATED"})
        return None

    google.proxy.inject(Rule("POST instances/{name}/reset", effects.decided(off), times=1))
    cloud.reboot_vm(vm.cid)
    assert google.see("instances", vm.cid)["status"] == "RUNNING"


def test_a_vm_that_is_being_deleted_is_deleted_again_once_it_can_be(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """Gone is what was asked for."""
    vm = helper.vm()
    google.set(operation_calls=5, exclusive=True)
    _unwaited(google)
    with pytest.raises(errors.CloudError, match="injectedFault"):
        cloud.delete_vm(vm.cid)
    cloud.delete_vm(vm.cid)
    assert google.census()["instances"] == google.census()["disks"] == 0
