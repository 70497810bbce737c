"""VMs of an instance group kept apart: a spread placement policy for each group, made and removed as it is needed."""

import logging
from typing import Any

import pytest

import cpi
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from fixtures.clouds.google.lab import ZONE, Lab
from fixtures.proxy import Answer, Request, Rule, effects
from tests.drivers.google.conftest import AtOnce, Counted, Helper, meeting, refusal
from tests.drivers.google.failing import each_call

pytestmark = pytest.mark.slow

_REGION = "projects/a-project/regions/europe-west1"
_ROOT = "https://www.googleapis.com/compute/v1/"
_ENV = {"bosh": {"group": "director-cf-db"}}
_TOKEN = "the token"  # noqa: S105 - not secret
_SPREAD: dict[str, Any] = {"availability_domains": 3, "env": _ENV}


def test_a_placement_policy_keeps_vms_apart(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """One of the operator's own, by its name, in the VM's region. It stays when the VM goes."""
    google.control("add", path=f"{_REGION}/resourcePolicies/apart", item={})
    vm = helper.vm(placement_policy="apart")
    assert google.see("instances", vm.cid)["resourcePolicies"] == [f"{_ROOT}{_REGION}/resourcePolicies/apart"]
    cloud.delete_vm(vm.cid)
    assert google.see("resourcePolicies", "apart")


def test_an_instance_group_has_a_policy_as_long_as_it_has_vms(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """The first VM makes it, the last takes it along. Another group has another."""
    first, second = helper.vm(**_SPREAD), helper.vm(**_SPREAD)
    policy = google.see("resourcePolicies")
    assert policy["groupPlacementPolicy"] == {"availabilityDomainCount": 3}
    assert "director-cf-db" in policy["description"]
    assert google.see("instances", first.cid)["resourcePolicies"] == [policy["selfLink"]]
    other = helper.vm(availability_domains=3, env={"bosh": {"group": "director-cf-web"}})
    assert google.census()["resourcePolicies"] == 2
    cloud.delete_vm(other.cid)
    cloud.delete_vm(first.cid)
    assert google.see("resourcePolicies")["name"] == policy["name"]
    cloud.delete_vm(second.cid)
    assert google.census()["resourcePolicies"] == 0


def test_create_vm_makes_3_calls_for_the_first_vm_of_a_group_and_1_for_others(helper: Helper, counted: Counted) -> None:
    """That the policy is missing is told by the call that needs it."""
    assert counted(lambda: helper.vm(**_SPREAD)) == {"POST instances": 2, "POST resourcePolicies": 1}
    assert counted(lambda: helper.vm(**_SPREAD)) == {"POST instances": 1}


def test_delete_vm_makes_3_calls_of_a_vm_with_a_policy(helper: Helper, cloud: Cloud, counted: Counted) -> None:
    """Whether it is the last one or not, Google knows."""
    calls = {"GET instances": 1, "DELETE instances/{name}": 1, "DELETE resourcePolicies/{name}": 1}
    vms = [helper.vm(**_SPREAD), helper.vm(**_SPREAD)]
    assert [counted(lambda vm=vm: cloud.delete_vm(vm.cid)) for vm in vms] == [calls, calls]  # type: ignore[misc]  # bound at once


def test_another_number_of_domains_is_another_policy(google: Lab, helper: Helper) -> None:
    """Google's cannot be changed: the VMs of the group move over as they are recreated."""
    helper.vm(**_SPREAD)
    helper.vm(availability_domains=4, env=_ENV)
    counts = [item["groupPlacementPolicy"]["availabilityDomainCount"] for item in google.all("resourcePolicies").values()]
    assert sorted(counts) == [3, 4]


def test_a_vm_of_no_instance_group_has_no_policy(google: Lab, helper: Helper) -> None:
    """There is nothing to be kept apart from."""
    helper.vm(availability_domains=3)
    assert google.census()["resourcePolicies"] == 0


@pytest.mark.slow
def test_two_processes_make_one_policy(google: Lab, helper: Helper, at_once: AtOnce) -> None:
    """Both found none and make it at the same time."""
    google.proxy.inject(meeting("POST resourcePolicies"))
    wish = {"machine_type": "n1-standard-1", "zone": ZONE, "availability_domains": 3}
    networks = [{name: network.to_document() for name, network in helper.manual().items()} for _ in range(2)]
    requests = [("create_vm", ["agent", helper.stemcell, wish, network, [], _ENV]) for network in networks]
    made = at_once(*requests)
    policy = google.see("resourcePolicies")["selfLink"]
    assert [google.see("instances", cid)["resourcePolicies"] for cid, _ in made] == [[policy], [policy]]
    assert [call.status for call in google.proxy.calls].count(409) == 1


def test_a_policy_that_the_last_vm_took_along_meanwhile_is_made_again(google: Lab, helper: Helper) -> None:
    """Between making it and using it."""

    def gone(_: Request) -> Answer | None:
        google.control("remove", path=next(iter(google.all("resourcePolicies"))))
        return None

    google.proxy.inject(Rule("POST instances", effects.decided(gone), skip=1, times=1))
    vm = helper.vm(**_SPREAD)
    assert google.see("instances", vm.cid)["resourcePolicies"] == [google.see("resourcePolicies")["selfLink"]]


def test_a_policy_that_is_on_its_way_out_is_waited_for_and_made_again(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """Another process deletes the last VM of the group just now."""
    cloud.delete_vm(helper.vm(**_SPREAD).cid)
    last = helper.vm(**_SPREAD)
    path = next(iter(google.all("resourcePolicies")))
    google.control("change", path=path, item={"status": "DELETING"})

    def gone(_: Request) -> Answer | None:
        google.control("remove", path=path)
        return None

    google.proxy.inject(Rule("GET resourcePolicies/{name}", effects.decided(gone), skip=1, times=1))
    vm = helper.vm(**_SPREAD)
    assert google.see("resourcePolicies")["status"] == "READY"
    assert google.see("instances", vm.cid)["status"] == google.see("instances", last.cid)["status"] == "RUNNING"


@pytest.mark.usefixtures("operations_end")
def test_create_vm_leaves_nothing_whichever_call_fails(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """Neither a VM nor the policy of a group that has none. The same token makes it the next time."""
    before, networks = google.census(), helper.manual()

    def check(k: int, error: errors.Error) -> None:
        assert google.census() == before, f"the failing call number {k} left something: {error.message}"

    assert each_call(google, lambda: helper.vm(networks=networks, token=_TOKEN, **_SPREAD), check) == 5
    assert google.census()["instances"] == google.census()["resourcePolicies"] == 1


def test_missing_capacity_leaves_no_policy(google: Lab, helper: Helper) -> None:
    """Not even in another region that was tried."""
    google.set(exhausted=[ZONE, "us-central1-a"])
    dynamic = {"default": cpi.Network(type="dynamic")}
    with pytest.raises(errors.VMCreationFailed, match="ZONE_RESOURCE_POOL_EXHAUSTED"):
        helper.vm(networks=dynamic, zones=["us-central1-a"], **_SPREAD)
    assert google.census()["resourcePolicies"] == google.census()["instances"] == 0


def test_a_policy_that_will_not_go_is_told_and_does_not_fail_delete_vm(
    google: Lab, helper: Helper, cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    """The VM is gone, which is what was asked for; the next VM of the group uses the policy again."""
    vm = helper.vm(**_SPREAD)
    google.proxy.inject(Rule("DELETE resourcePolicies/{name}", effects.decided(lambda _: refusal("forbidden", 403)), times=1))
    with caplog.at_level(logging.WARNING):
        cloud.delete_vm(vm.cid)
    assert f"the placement policy {google.see('resourcePolicies')['name']} stays: " in caplog.text
    assert not cloud.has_vm(vm.cid)
    cloud.delete_vm(helper.vm(**_SPREAD).cid)
    assert google.census()["resourcePolicies"] == 0


def test_a_machine_type_that_google_does_not_spread_is_told(google: Lab, helper: Helper) -> None:
    """With what to do; a repeat would not help, and nothing is left."""
    with pytest.raises(errors.VMCreationFailed, match=r"'e2-medium' does not support.*name another type") as caught:
        helper.vm(machine_type="e2-medium", **_SPREAD)
    assert not caught.value.ok_to_retry
    assert google.census()["instances"] == google.census()["resourcePolicies"] == 0


def test_a_policy_with_no_room_left_is_told(google: Lab, helper: Helper) -> None:
    """Google spreads only so many VMs."""
    helper.vm(**_SPREAD)
    policy = google.see("resourcePolicies")["selfLink"]
    for number in range(7):
        path = f"projects/a-project/zones/{ZONE}/instances/vm-{number}"
        google.control("add", path=path, item={"resourcePolicies": [policy], "networkInterfaces": [], "status": "RUNNING"})
    with pytest.raises(errors.VMCreationFailed, match=r"8 instances at most.*only so many VMs"):
        helper.vm(**_SPREAD)


@pytest.mark.parametrize(
    ("properties", "fault"),
    [
        ({"availability_domains": 1}, "1 is not 2 to 8"),
        ({"availability_domains": 9}, "9 is not 2 to 8"),
        ({"availability_domains": 3, "placement_policy": "apart"}, "excludes availability_domains"),
    ],
)
def test_what_cannot_be_is_refused_before_any_call(google: Lab, helper: Helper, properties: dict[str, Any], fault: str) -> None:
    """It names the property."""
    with pytest.raises(errors.CpiError, match=fault):
        helper.vm(env=_ENV, **properties)
    assert google.proxy.counts() == {}
