"""Calls that fail, answers that are lost, a cloud that is busy, jobs that never end."""

import itertools
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import Network
from cpi.contract.units import MiB
from cpi.kit.waiting import Overdue
from fixtures.clouds.cloudstack.lab import Lab
from fixtures.proxy import Effect, Request, Rule, effects
from tests.drivers.cloudstack.conftest import Connect, Helper

_GIB = MiB(1024)

pytestmark = pytest.mark.slow
_JOB = "queryAsyncJobResult"
CALLS_OF_CREATE_VM = 7
CALLS_OF_DELETE_VM = 6  # with a persistent disk, for which it is stopped


def refused(code: int, text: str = "out of order") -> Effect:
    """An answer of the API's."""
    document = {"errorresponse": {"errorcode": code, "errortext": text}}
    return effects.answer(code, json.dumps(document).encode(), {"Content-Type": "application/json"})


@contextmanager
def nth_call(cloudstack: Lab, number: int, effect: Effect) -> Iterator[Rule]:
    """The effect falls on the number-th call, once; looks at jobs are not counted."""
    count = itertools.count(1)

    def when(request: Request) -> bool:
        return request.action != _JOB and next(count) == number

    with cloudstack.rule(Rule("*", effect, when=when)) as rule:
        yield rule


@pytest.mark.parametrize("number", range(1, CALLS_OF_CREATE_VM + 1))
def test_whichever_call_of_create_vm_fails_nothing_is_left_and_the_token_serves_again(
    cloudstack: Lab, connect: Connect, helper: Helper, number: int
) -> None:
    """And the error tells what failed; the repeat, as a director makes it, succeeds."""
    cloud, token = connect(max_attempts=1), str(uuid.uuid4())
    cloud.delete_disk(cloud.create_disk(_GIB, {}))  # the zone is known from here on
    before = cloudstack.census()
    # The first call with a token is the look for it.
    with nth_call(cloudstack, number + 1, refused(530)) as rule, pytest.raises(errors.CloudError, match="out of order"):
        helper.vm(cloud, disk=1024, token=token)
    assert rule.met == 1
    assert cloudstack.census() == before
    vm = helper.vm(cloud, disk=1024, token=token)
    assert helper.vm(cloud, disk=1024, token=token).cid == vm.cid


@pytest.mark.parametrize(
    ("command", "skip"),
    [("createTags", 0), ("assignToLoadBalancerRule", 0), ("listPublicIpAddresses", 1), ("createTags", 1)],
    ids=["its tag", "joining it", "the vip", "the VM's tags"],
)
def test_a_load_balancer_rule_that_was_made_for_a_vm_that_fails_is_gone(
    cloudstack: Lab, connect: Connect, helper: Helper, command: str, skip: int
) -> None:
    """Whatever fails once it is there."""
    networks = {"default": helper.manual(), "vip": Network(type="vip", ip="192.0.2.11")}
    rule = {"name": "web", "public_ip": "192.0.2.12", "private_port": 8080, "public_port": 80}
    cloud, before = connect(max_attempts=1), cloudstack.census()
    falling = Rule(command, refused(530), skip=skip)
    with cloudstack.rule(falling), pytest.raises(errors.CloudError, match="out of order"):
        helper.vm(cloud, networks, lbs=[rule])
    assert falling.met == 1
    assert cloudstack.census() == before


@pytest.mark.parametrize("number", range(1, CALLS_OF_CREATE_VM + 1))
def test_whichever_answer_of_create_vm_is_lost_there_is_one_vm(
    cloudstack: Lab, connect: Connect, helper: Helper, number: int
) -> None:
    """It is found by its name."""
    cloud, token = connect(), str(uuid.uuid4())
    cloud.delete_disk(cloud.create_disk(_GIB, {}))
    before = cloudstack.census()
    with nth_call(cloudstack, number + 1, effects.lost_answer()) as rule:
        vm = helper.vm(cloud, disk=1024, token=token)
    assert rule.met == 1
    assert cloudstack.census()["listVirtualMachines"] == before["listVirtualMachines"] + 1
    assert cloud.get_disks(vm.cid) == []


@pytest.mark.parametrize("number", range(1, CALLS_OF_DELETE_VM + 1))
@pytest.mark.parametrize("effect", [refused(530), effects.lost_answer()], ids=["fails", "is lost"])
def test_whichever_call_of_delete_vm_fails_a_repeat_deletes_all(
    cloudstack: Lab, connect: Connect, helper: Helper, number: int, effect: Effect
) -> None:
    """Its ephemeral disk too; the persistent one lives on."""
    cloud = connect(max_attempts=1)
    vm, disk = helper.vm(cloud, disk=1024).cid, cloud.create_disk(_GIB, {})
    cloud.attach_disk(vm, disk)
    with nth_call(cloudstack, number, effect) as rule:
        with pytest.raises(errors.CloudError):
            cloud.delete_vm(vm)
        assert rule.met == 1
    cloud.delete_vm(vm)
    assert not cloud.has_vm(vm)
    assert cloud.has_disk(disk)
    cloud.delete_disk(disk)


def _create_disk(cloud: Cloud, vm: VmCid, disk: DiskCid) -> None:
    cloud.delete_disk(cloud.create_disk(_GIB, {}, None, str(uuid.uuid4())))


def _attach(cloud: Cloud, vm: VmCid, disk: DiskCid) -> None:
    cloud.attach_disk(vm, disk)
    assert list(cloud.get_disks(vm)) == [disk]


def _detach(cloud: Cloud, vm: VmCid, disk: DiskCid) -> None:
    cloud.attach_disk(vm, disk)
    cloud.detach_disk(vm, disk)
    assert list(cloud.get_disks(vm)) == []


def _snapshot(cloud: Cloud, vm: VmCid, disk: DiskCid) -> None:
    cloud.attach_disk(vm, disk)
    cloud.delete_snapshot(cloud.snapshot_disk(disk, {"index": 0}))


def _resize(cloud: Cloud, vm: VmCid, disk: DiskCid) -> None:
    cloud.resize_disk(disk, MiB(2048))


@pytest.mark.parametrize(
    ("method", "command"),
    [
        (_create_disk, "createVolume"),
        (_create_disk, "deleteVolume"),
        (_attach, "attachVolume"),
        (_detach, "detachVolume"),
        (_snapshot, "createSnapshot"),
        (_snapshot, "deleteSnapshot"),
        (_resize, "resizeVolume"),
    ],
)
def test_what_an_answerless_call_did_is_found(
    cloudstack: Lab, cloud: Cloud, helper: Helper, method: Callable[[Cloud, VmCid, DiskCid], None], command: str
) -> None:
    """Within the same call, and once."""
    vm, disk = helper.vm(cloud).cid, cloud.create_disk(_GIB, {})
    with cloudstack.rule(Rule(command, effects.lost_answer(), times=1)) as rule:
        method(cloud, vm, disk)
    assert rule.met == 1
    cloud.delete_vm(vm)
    cloud.delete_disk(disk)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_whichever_call_of_create_disk_fails_nothing_is_left(cloudstack: Lab, connect: Connect, number: int) -> None:
    """Neither is a disk without tags."""
    cloud = connect(max_attempts=1)
    cloud.delete_disk(cloud.create_disk(_GIB, {}))
    with nth_call(cloudstack, number, refused(530)) as rule, pytest.raises(errors.CloudError, match="out of order"):
        cloud.create_disk(_GIB, {})
    assert rule.met == 1


@pytest.mark.parametrize("effect", [refused(429, "please retry after 100 ms"), effects.answer(503), effects.answer(429)])
def test_a_busy_cloud_is_asked_again(cloudstack: Lab, cloud: Cloud, effect: Effect) -> None:
    """Also what makes something: a refusal has made nothing."""
    with cloudstack.rule(Rule("*Volume", effect, times=2)) as rule:
        cloud.delete_disk(cloud.create_disk(_GIB, {}))
    assert rule.met == 2


def test_throttling_slows_down_and_nothing_more(cloudstack: Lab, cloud: Cloud, helper: Helper) -> None:
    """Twenty calls a second and no more."""
    from fixtures.proxy.exchange import Answer

    document = {"errorresponse": {"errorcode": 429, "errortext": "The given user has reached his/her account api limit"}}
    refusal = Answer(429, json.dumps(document).encode(), {"Content-Type": "application/json"})
    with cloudstack.rule(Rule("*", effects.throttle(20, refusal, burst=2))) as rule:
        assert cloud.has_vm(helper.vm(cloud).cid)
    assert rule.met > 7


def test_looks_are_repeated_after_resets_and_faults(cloudstack: Lab, cloud: Cloud) -> None:
    """They change nothing."""
    for effect in (effects.reset(), effects.lost_answer(), refused(530), effects.answer(502, b"<html>")):
        with cloudstack.rule(Rule("list*", effect, times=2)) as rule:
            assert cloud.has_vm(VmCid("nothing")) is False
        assert rule.met == 2


def test_a_job_that_never_ends_is_given_up_in_our_time(cloudstack: Lab, connect: Connect, helper: Helper) -> None:
    """With what it was; of create_vm nothing is left."""
    cloud = connect(timeout={"create_vm": 0.5, "attach_volume": 0.5})
    pending = json.dumps({"queryasyncjobresultresponse": {"jobid": "x", "jobstatus": 0}}).encode()
    never = effects.answer(200, pending, {"Content-Type": "application/json"})
    vm, disk = helper.vm(cloud).cid, cloud.create_disk(_GIB, {})
    with cloudstack.rule(Rule(_JOB, never)), pytest.raises(Overdue, match=f"attach_disk: disk {disk}"):
        cloud.attach_disk(vm, disk)
    deadline = itertools.count()
    with (
        cloudstack.rule(Rule(_JOB, never, when=lambda _: next(deadline) < 5)),
        pytest.raises(errors.VMCreationFailed, match="not within") as caught,
    ):
        helper.vm(connect(timeout={"create_vm": 0.2}))
    assert not caught.value.ok_to_retry
    cloud.delete_vm(vm)
    cloud.delete_disk(disk)


def test_a_job_that_fails_is_told_by_its_own_text(cloudstack: Lab, cloud: Cloud, helper: Helper) -> None:
    """And the disk says where it is."""
    network = helper.manual()
    helper.vm(cloud, {"default": network})
    with pytest.raises(errors.VMCreationFailed, match=f"Unable to acquire Guest IP address.*{network.ip}") as caught:
        helper.vm(cloud, {"default": network})
    assert not caught.value.ok_to_retry


@pytest.mark.parametrize(
    ("code", "retry"),
    [(533, True), (530, True), (534, True), (535, False), (532, False)],
    ids=["no capacity", "internal error", "resource unavailable", "limit reached", "allocation refused"],
)
def test_capacity_is_told_from_limits(cloudstack: Lab, connect: Connect, helper: Helper, code: int, retry: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """A repeat may find a host; it cannot find a higher limit."""
    said = refused(code, "no")
    with cloudstack.rule(Rule("deployVirtualMachine", said)), pytest.raises(errors.VMCreationFailed) as caught:
        helper.vm(connect())
    assert caught.value.ok_to_retry is retry


def test_a_call_that_was_never_answered_and_made_nothing_is_told_as_uncertain(
    cloudstack: Lab, cloud: Cloud, helper: Helper
) -> None:
    """It is not claimed that a repeat is safe."""
    reset = Rule("deployVirtualMachine", effects.reset(), times=1)
    with cloudstack.rule(reset), pytest.raises(errors.VMCreationFailed, match="may have been done") as caught:
        helper.vm(cloud)
    assert not caught.value.ok_to_retry


def test_wrong_keys_are_a_fault_of_the_configuration(connect: Connect) -> None:
    """And never a missing method; the key is not shown."""
    with pytest.raises(errors.CpiError, match="does not take api_key") as caught:
        connect(secret_access_key="a-wrong-secret")  # noqa: S106 - a test's
    assert not isinstance(caught.value, errors.NotImplemented)
    assert "a-wrong-secret" not in caught.value.message


def test_an_endpoint_that_is_none_is_told_as_such(cloudstack: Lab, connect: Connect) -> None:
    """Pages of other programs are not taken for answers."""
    with (
        cloudstack.rule(Rule("*", effects.answer(404, b"<html>not here</html>"))),
        pytest.raises(errors.CpiError, match="is endpoint right"),
    ):
        connect()
