"""Calls that the cloud carries out a little later than their connection was lost, or not at all."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid, StemcellCid, VmCid
from cpi.contract.units import MiB
from cpi.kit.waiting import wait_until
from fixtures.clouds.cloudstack.lab import Lab
from fixtures.hanging_up import hanging_up
from fixtures.proxy import Answer, Effect, Request, Rule, effects
from fixtures.simulated_time import be_patient
from tests.drivers.cloudstack.conftest import Connect, Helper

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("patience")]

_GIB = MiB(1024)
_LATE_SECONDS = 0.4
_RULE = {"name": "web", "public_ip": "192.0.2.12", "private_port": 8080, "public_port": 80}


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes late on a busy machine comes later still."""
    be_patient(monkeypatch)


def late(command: str) -> Rule:
    """The first call of a command comes late."""
    return Rule(command, effects.late(_LATE_SECONDS), times=1)


def _create_disk(cloud: Cloud, vm: VmCid, disk: DiskCid) -> None:
    cloud.delete_disk(cloud.create_disk(_GIB, {}))


def _attach(cloud: Cloud, vm: VmCid, disk: DiskCid) -> None:
    cloud.attach_disk(vm, disk)
    assert list(cloud.get_disks(vm)) == [disk]


def _snapshot(cloud: Cloud, vm: VmCid, disk: DiskCid) -> None:
    cloud.attach_disk(vm, disk)
    cloud.delete_snapshot(cloud.snapshot_disk(disk, {}))


def _resize(cloud: Cloud, vm: VmCid, disk: DiskCid) -> None:
    cloud.resize_disk(disk, MiB(2048))


@pytest.mark.parametrize(
    ("method", "command"),
    [(_create_disk, "createVolume"), (_attach, "attachVolume"), (_snapshot, "createSnapshot"), (_resize, "resizeVolume")],
)
def test_what_comes_late_is_waited_for(
    cloudstack: Lab, cloud: Cloud, helper: Helper, method: Callable[[Cloud, VmCid, DiskCid], None], command: str
) -> None:
    """The method answers as if nothing had been; nothing is left."""
    vm, disk = helper.vm(cloud).cid, cloud.create_disk(_GIB, {})
    with cloudstack.rule(late(command)) as rule:
        method(cloud, vm, disk)
    assert rule.met == 1
    cloud.delete_vm(vm)
    cloud.delete_disk(disk)


def _without(told: Any, key: str) -> Any:
    if isinstance(told, dict):
        return {name: _without(value, key) for name, value in told.items() if name != key}
    return [_without(item, key) for item in told] if isinstance(told, list) else told


def lacking(command: str, key: str) -> Rule:
    """Answers to a command come without a key, at whatever depth."""

    def cut(_: Request, answer: Answer) -> Answer:
        return Answer(answer.status, json.dumps(_without(json.loads(answer.body), key)).encode(), answer.headers)

    return Rule(command, effects.rewritten(cut))


@pytest.mark.parametrize(
    ("method", "command", "key"),
    [
        (_create_disk, "createVolume", "jobid"),
        (_create_disk, "queryAsyncJobResult", "jobresult"),
        (_create_disk, "queryAsyncJobResult", "volume"),
        (_attach, "attachVolume", "jobid"),
        (_attach, "queryAsyncJobResult", "jobresult"),
        (_snapshot, "queryAsyncJobResult", "snapshot"),
        (_resize, "resizeVolume", "jobid"),
    ],
)
def test_an_answer_that_lacks_what_it_should_say_is_one_that_was_lost(
    cloudstack: Lab, cloud: Cloud, helper: Helper, method: Callable[[Cloud, VmCid, DiskCid], None], command: str, key: str
) -> None:
    """What was made is looked for, and found."""
    vm, disk = helper.vm(cloud).cid, cloud.create_disk(_GIB, {})
    with cloudstack.rule(lacking(command, key)) as rule:
        method(cloud, vm, disk)
    assert rule.met
    cloud.delete_vm(vm)
    cloud.delete_disk(disk)


def test_a_vm_of_which_the_job_does_not_tell_is_found(cloudstack: Lab, cloud: Cloud, helper: Helper) -> None:
    """It runs, and is one."""
    before = cloudstack.census()["listVirtualMachines"]
    with cloudstack.rule(lacking("queryAsyncJobResult", "virtualmachine")):
        assert helper.seen(helper.vm(cloud))["state"] == "Running"
    assert cloudstack.census()["listVirtualMachines"] == before + 1


def test_what_an_answer_lacks_and_no_look_tells_is_named_with_the_call(cloudstack: Lab, cloud: Cloud, helper: Helper) -> None:
    """And that it may have been done; a repeat answers."""
    vm, disk = helper.vm(cloud).cid, cloud.create_disk(_GIB, {})
    with cloudstack.rule(lacking("queryAsyncJobResult", "deviceid")), pytest.raises(errors.CloudError) as caught:
        cloud.attach_disk(vm, disk)
    assert caught.value.message == (f"attach_disk: disk {disk} at VM {vm}: the answer has no 'deviceid'; it may have been done")
    assert cloud.attach_disk(vm, disk).to_wire()
    with cloudstack.rule(lacking("listVolumes", "deviceid")), pytest.raises(errors.CloudError) as caught:
        cloud.attach_disk(vm, disk)
    assert caught.value.message == "listVolumes: the answer has no 'deviceid'"
    cloud.delete_vm(vm)
    cloud.delete_disk(disk)


@pytest.mark.parametrize(
    ("command", "wish"),
    [
        ("deployVirtualMachine", {}),
        ("createAffinityGroup", {"env": {"bosh": {"group": "late"}}}),
        ("createLoadBalancerRule", {"lbs": [_RULE]}),
        ("assignToLoadBalancerRule", {"lbs": [_RULE]}),
    ],
)
@pytest.mark.parametrize("effect", [effects.lost_answer, lambda: effects.late(_LATE_SECONDS)], ids=["lost", "late"])
def test_a_vm_is_made_once_and_goes_with_all_that_was_made_for_it(
    cloudstack: Lab, connect: Connect, helper: Helper, command: str, wish: dict[str, Any], effect: Callable[[], Effect]
) -> None:
    """Whichever answer is lost, and however late the cloud comes to it."""
    cloud, before = connect(enable_auto_anti_affinity=True, director_name="director"), cloudstack.census()
    with cloudstack.rule(Rule(command, effect(), times=1)) as rule:
        vm = helper.vm(cloud, **wish)
    assert rule.met == 1
    assert helper.seen(vm)["state"] == "Running"
    assert cloudstack.census()["listVirtualMachines"] == before["listVirtualMachines"] + 1
    cloud.delete_vm(vm.cid)
    assert cloudstack.census() == before


@pytest.mark.parametrize("effect", [effects.reset, effects.lost_answer], ids=["reset", "lost"])
def test_a_start_without_an_answer_is_made_once_more(
    cloudstack: Lab, connect: Connect, helper: Helper, effect: Callable[[], Effect]
) -> None:
    """In create_vm with several networks and in reboot_vm: a start that was never made would be waited for in vain."""
    cloud = connect(timeout={"create_vm": 5, "reboot_vm": 5})
    networks = {"one": helper.manual(default=["gateway"]), "two": helper.manual("bosh-net-2", "10.17")}
    with cloudstack.rule(Rule("startVirtualMachine", effect(), times=1)) as rule:
        vm = helper.vm(cloud, networks)
    assert (rule.met, helper.seen(vm)["state"]) == (1, "Running")
    cloudstack.api.stopVirtualMachine(id=helper.seen(vm)["id"])
    with cloudstack.rule(Rule("startVirtualMachine", effect(), times=1)) as rule:
        cloud.reboot_vm(vm.cid)
    assert (rule.met, helper.seen(vm)["state"]) == (1, "Running")


def test_a_start_that_still_goes_on_when_it_is_refused_a_second_time_is_waited_for(
    cloudstack: Lab, cloud: Cloud, helper: Helper
) -> None:
    """A cloud that does not let the second one wait says so of a VM that is Starting."""
    vm = helper.vm(cloud)
    cloudstack.api.stopVirtualMachine(id=helper.seen(vm)["id"])
    begun = threading.Event()

    def starting(_: Request, answer: Answer) -> Answer:
        assert begun.is_set()
        return Answer(answer.status, answer.body.replace(b'"Running"', b'"Starting"'), answer.headers)

    def refuse(_: Request) -> Answer:
        wait_until(lambda: helper.seen(vm)["state"] == "Running", "the first start", deadline_seconds=60)
        begun.set()
        document = {"errorresponse": {"errorcode": 431, "errortext": "another operation is in progress"}}
        return Answer(431, json.dumps(document).encode(), {"Content-Type": "application/json"})

    with (
        cloudstack.rule(Rule("listVirtualMachines", effects.rewritten(starting), skip=1, times=2)) as shown,
        cloudstack.rule(Rule("startVirtualMachine", effects.decided(refuse), skip=1)),
        cloudstack.rule(Rule("startVirtualMachine", effects.lost_answer(), times=1)),
    ):
        cloud.reboot_vm(vm.cid)
    assert (shown.met, helper.seen(vm)["state"]) == (2, "Running")


@pytest.mark.parametrize("effect", [effects.reset, effects.lost_answer], ids=["reset", "lost"])
def test_the_affinity_group_of_the_last_vm_goes_without_an_answer_too(
    cloudstack: Lab, connect: Connect, helper: Helper, effect: Callable[[], Effect]
) -> None:
    """It is deleted once more; that it is gone already is no fault."""
    cloud, before = connect(enable_auto_anti_affinity=True, director_name="director"), cloudstack.census()
    vm = helper.vm(cloud, env={"bosh": {"group": "db"}})
    with cloudstack.rule(Rule("deleteAffinityGroup", effect(), times=1)) as rule:
        cloud.delete_vm(vm.cid)
    assert rule.met == 1
    assert cloudstack.census() == before


def test_tags_that_are_taken_away_late_are_not_the_new_ones(cloudstack: Lab, cloud: Cloud) -> None:
    """A tag is changed by deleting and making it: the delete that comes late finds another value."""
    came = threading.Event()
    disk = cloud.create_disk(_GIB, {})
    cloud.set_disk_metadata(disk, {"job": "old"})
    with cloudstack.rule(Rule("deleteTags", effects.late(_LATE_SECONDS, then=came.set), times=1)):
        cloud.set_disk_metadata(disk, {"job": "new"})
    assert came.wait(timeout=60)
    cloud.set_disk_metadata(disk, {"index": "0"})  # a job after the late one
    assert cloudstack.tags(disk)["job"] == "new"
    cloud.delete_disk(disk)


def test_tags_that_are_there_when_they_are_made_once_more_are_made(cloudstack: Lab, cloud: Cloud) -> None:
    """The first call comes late, yet before the second one, which the cloud refuses."""
    disk = cloud.create_disk(_GIB, {})
    second = Rule("createTags", effects.delay(3 * _LATE_SECONDS), skip=1)
    with cloudstack.rule(late("createTags")) as first, cloudstack.rule(second):
        cloud.set_disk_metadata(disk, {"job": "new"})
    assert (first.met, second.met) == (1, 1)
    assert cloudstack.tags(disk)["job"] == "new"
    cloud.delete_disk(disk)


def test_a_download_that_begins_late_is_waited_for(cloudstack: Lab, cloud: Cloud) -> None:
    """Of a template that the cloud fetches itself."""
    with cloudstack.rule(late("registerTemplate")) as rule:
        cid = cloud.create_stemcell("", {"hypervisor": "kvm", "source_url": "http://images.example/tiny.qcow2"}, {})
    assert rule.met == 1
    cloud.delete_stemcell(StemcellCid(cid))


def test_a_template_whose_upload_address_was_lost_is_removed(cloudstack: Lab, cloud: Cloud, tmp_path: Path) -> None:
    """However late it is made: nobody could send it anything."""
    path = tmp_path / "image"
    path.write_bytes(b"QFI\xfb" + bytes(1 << 16))
    came, before = threading.Event(), cloudstack.census()
    rule = Rule("getUploadParamsForTemplate", effects.late(_LATE_SECONDS, then=came.set), times=1)
    with cloudstack.rule(rule), pytest.raises(errors.CloudError, match="no answer came"):
        cloud.create_stemcell(str(path), {"hypervisor": "kvm"}, {})
    assert came.wait(timeout=60)
    assert cloudstack.census() == before


def test_a_cloud_that_hangs_up_while_tls_is_agreed_on_is_asked_again(connect: Connect) -> None:
    """It is not its certificate that fails."""
    with hanging_up() as (port, said), pytest.raises(errors.CloudError) as caught:
        connect(endpoint=f"https://127.0.0.1:{port}/client/api", max_attempts=2)
    assert len(said) == 2
    assert "not trusted" not in caught.value.message
