"""Calls that fail, answers that are lost, services that are busy, tokens that end: in front of a real control plane."""

import itertools
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from cpi.connecting import connect
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import VmCid
from cpi.contract.units import MiB
from fixtures.clouds.openstack.lab import Lab
from fixtures.proxy import Effect, Request, Rule, effects
from tests.unit.drivers.openstack.conftest import MakeVm, gone_after

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.usefixtures("census_kept")]

CALLS_OF_CREATE_VM = 6
BROKEN = effects.answer(500, b'{"computeFault": {"code": 500, "message": "out of order"}}', {"Content-Type": "application/json"})


@contextmanager
def nth_call(project: Lab, number: int, effect: Effect) -> Iterator[list[Rule]]:
    """The effect falls on the number-th call of any service, once; keystone's are not counted."""
    count = itertools.count(1)

    def when(_: Request) -> bool:
        return next(count) == number

    with ExitStack() as stack:
        services = [service for service in project.proxies if service != "keystone"]
        yield [stack.enter_context(project.rule(service, Rule("*", effect, when=when))) for service in services]


@pytest.mark.parametrize("number", range(1, CALLS_OF_CREATE_VM + 1))
def test_whichever_call_of_create_vm_fails_nothing_is_left_and_the_token_serves_again(
    project: Lab, brittle_cloud: Cloud, make_vm: MakeVm, number: int
) -> None:
    """And the error tells what failed; the repeat, as a director makes it, succeeds."""
    before, token = project.census(), str(uuid.uuid4())
    with nth_call(project, number, BROKEN) as rules, pytest.raises(errors.CloudError, match="out of order"):
        make_vm(brittle_cloud, token)
    assert sum(rule.met for rule in rules) == 1
    assert project.census() == before
    with gone_after(brittle_cloud, make_vm(brittle_cloud, token)) as vm:
        assert brittle_cloud.has_vm(vm.cid)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_whichever_call_of_attach_disk_fails_a_repeat_attaches(
    project: Lab, brittle_cloud: Cloud, make_vm: MakeVm, number: int
) -> None:
    """With the hint that it would have given."""
    disk_cid = brittle_cloud.create_disk(MiB(1024), {})
    with gone_after(brittle_cloud, make_vm(brittle_cloud)) as vm:
        with nth_call(project, number, BROKEN) as rules, pytest.raises(errors.CloudError, match="out of order"):
            brittle_cloud.attach_disk(vm.cid, disk_cid)
        assert sum(rule.met for rule in rules) == 1
        hint = brittle_cloud.attach_disk(vm.cid, disk_cid)
        assert brittle_cloud.attach_disk(vm.cid, disk_cid) == hint
    brittle_cloud.delete_disk(disk_cid)


@pytest.mark.parametrize(("service", "action"), [("nova", "POST /v2.1/servers"), ("neutron", "POST /v2.0/ports")])
def test_create_vm_finds_what_it_made_when_the_answer_is_lost(
    project: Lab, brittle_cloud: Cloud, make_vm: MakeVm, service: str, action: str
) -> None:
    """Within the same call: there is one VM with one port."""
    before = project.census()
    with project.rule(service, Rule(action, effects.lost_answer(), times=1)) as rule:
        vm = make_vm(brittle_cloud)
    assert rule.met == 1
    assert project.census() == {**before, "servers": before["servers"] + 1, "ports": before["ports"] + 1}
    brittle_cloud.delete_vm(vm.cid)


def test_create_disk_finds_what_it_made_when_the_answer_is_lost(project: Lab, brittle_cloud: Cloud) -> None:
    """By its name, which nothing else has."""
    before = project.census()
    with project.rule("cinder", Rule("POST /v3/volumes", effects.lost_answer(), times=1)) as rule:
        disk_cid = brittle_cloud.create_disk(MiB(1024), {})
    assert rule.met == 1
    assert project.census() == {**before, "volumes": before["volumes"] + 1}
    brittle_cloud.delete_disk(disk_cid)


def test_a_call_that_was_never_answered_and_made_nothing_is_told_as_uncertain(
    project: Lab, brittle_cloud: Cloud, make_vm: MakeVm
) -> None:
    """It is not claimed that a repeat is safe."""
    reset = Rule("POST /v2.1/servers", effects.reset(), times=1)
    with project.rule("nova", reset), pytest.raises(errors.VMCreationFailed, match="may have been done") as caught:
        make_vm(brittle_cloud)
    assert not caught.value.ok_to_retry


def test_what_passes_is_repeated(project: Lab, folder: str) -> None:
    """Resets and broken answers of what may be asked twice."""
    with connect(
        project.config(cache_folder=folder, retry_config={"default": {"max_attempts": 5, "sleep_duration": 0.1}})
    ) as cloud:
        disk_cid = cloud.create_disk(MiB(1024), {})
        for effect in (effects.reset(), effects.lost_answer(), BROKEN):
            with project.rule("cinder", Rule("GET *", effect, times=2)) as rule:
                assert cloud.has_disk(disk_cid)
            assert rule.met == 2
        cloud.delete_disk(disk_cid)


@pytest.mark.parametrize("status", [413, 429, 503])
def test_a_busy_service_is_asked_again_when_it_says(project: Lab, folder: str, status: int) -> None:
    """A POST too: a refusal has made nothing."""
    busy = effects.answer(status, b'{"overLimit": {"message": "slow down"}}', {"Retry-After": "1"})
    with connect(project.config(cache_folder=folder)) as cloud:
        with project.rule("cinder", Rule("POST /v3/volumes", busy, times=1)) as rule:
            began = time.monotonic()
            disk_cid = cloud.create_disk(MiB(1024), {})
        assert rule.met == 1
        assert time.monotonic() - began >= 1
        cloud.delete_disk(disk_cid)


def test_retry_config_is_by_operation(project: Lab, folder: str) -> None:
    """One operation gives up where another goes on."""
    rules = {"default": {"max_attempts": 1}, "has_vm": {"max_attempts": 3, "sleep_duration": 0.1}}
    with connect(project.config(cache_folder=folder, retry_config=rules)) as cloud:
        with project.rule("nova", Rule("GET *", BROKEN, times=2)):
            assert cloud.has_vm(VmCid(str(uuid.uuid4()))) is False
        with project.rule("nova", Rule("GET *", BROKEN, times=1)), pytest.raises(errors.CloudError):
            cloud.get_disks(VmCid(str(uuid.uuid4())))


def test_a_token_that_ends_in_the_middle_of_a_wait_is_replaced_and_kept(
    project: Lab, cloud: Cloud, make_vm: MakeVm, folder: str
) -> None:
    """The VM is made once; the next process finds the new token."""
    file = next(Path(folder).glob("openstack-token-*"))
    old = file.read_text()
    ended = effects.answer(401, b'{"error": {"message": "The request you have made requires authentication."}}')
    rule = Rule("GET /v2.1/servers/{id}", ended, skip=1, when=lambda request: request.headers["X-Auth-Token"] in old)
    project.forget_calls()
    with project.rule("nova", rule), gone_after(cloud, make_vm(cloud)):
        assert rule.met >= 1
        assert project.calls()["keystone POST /v3/auth/tokens"] == 1
    assert file.read_text() != old


def test_the_second_process_does_not_log_in(project: Lab, folder: str) -> None:
    """A CPI process that logged in each time would double the time of most calls."""
    for logins in (1, 0):
        project.forget_calls()
        with connect(project.config(cache_folder=folder)) as cloud:
            assert cloud.has_vm(VmCid(str(uuid.uuid4()))) is False
        assert len(project.proxies["keystone"].calls) == logins


def test_wrong_credentials_are_a_fault_of_the_configuration(project: Lab, folder: str) -> None:
    """And never a missing method; the password is not shown."""
    with connect(project.config(cache_folder=folder, api_key="a-wrong-password")) as cloud:
        with pytest.raises(errors.CpiError, match="does not take the credentials") as caught:
            cloud.has_vm(VmCid(str(uuid.uuid4())))
        assert not isinstance(caught.value, errors.NotImplemented)
        assert "a-wrong-password" not in caught.value.message


def test_a_region_that_does_not_exist_is_told_with_what_the_catalogue_has(project: Lab, folder: str) -> None:
    """Not as an unreachable host."""
    said = "no public endpoint of compute in region Atlantis"
    with connect(project.config(cache_folder=folder, region="Atlantis")) as cloud, pytest.raises(errors.CpiError, match=said):
        cloud.has_vm(VmCid(str(uuid.uuid4())))
