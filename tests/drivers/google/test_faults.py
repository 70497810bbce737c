"""Exactly the k-th API call fails, for every k: nothing is left behind, the error is honest, and the same token serves again."""

import contextlib

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.model import Network, Networks
from cpi.contract.units import MiB
from fixtures.clouds.google.lab import ZONE, Lab
from fixtures.proxy import Rule, effects
from fixtures.simulated_time import SimulatedTime
from tests.drivers.google.conftest import GIB, WAIT, Helper, balanced, refusal
from tests.drivers.google.failing import MOST_CALLS, each_call, failing, was_injected

pytestmark = pytest.mark.slow
_overlapping = pytest.mark.usefixtures("operations_end")

_TOKEN = "the token"  # noqa: S105 - not secret


@_overlapping
def test_create_vm_leaves_nothing_whichever_call_fails(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """VMs, disks and the members of load balancers are as before."""
    joined = balanced(google)
    near = cloud.create_disk(GIB, {"zone": ZONE})
    networks: Networks = {"default": Network(type="dynamic")}
    before = google.census()
    made = []

    def check(k: int, error: errors.Error) -> None:
        assert google.census() == before, f"the failing call number {k} left something: {error.message}"
        assert google.see("targetPools")["instances"] == []
        assert google.see("instanceGroups")["_members"] == []
        assert isinstance(error, errors.CloudError)
        assert not error.ok_to_retry, "a refusal for good is no reason to try again"

    def create() -> None:
        made.append(helper.vm(networks=networks, disk_cids=(near,), token=_TOKEN, **joined).cid)

    assert each_call(google, create, check) >= 7
    assert len(set(made)) == 1
    assert len(google.see("targetPools")["instances"]) == 1
    cloud.delete_vm(made[0])
    assert google.see("targetPools")["instances"] == google.see("instanceGroups")["_members"] == []


@_overlapping
def test_create_disk_leaves_nothing_whichever_call_fails(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """The insert, and the wait for it."""
    vm = helper.vm()
    before = google.census()

    def check(k: int, error: errors.Error) -> None:
        assert google.census() == before, f"the failing call number {k} left something: {error.message}"

    assert each_call(google, lambda: cloud.create_disk(GIB, {}, vm.cid, _TOKEN), check) >= 3


@_overlapping
def test_attach_and_detach_are_finished_by_a_repeat_whichever_call_fails(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """The settings in the VM's metadata tell the truth afterwards."""
    vm, disk_cid = helper.vm(), helper.disk()

    def attached(k: int, error: errors.Error) -> None:
        cloud.attach_disk(vm.cid, disk_cid)
        assert list(helper.settings(vm.cid)["disks"]["persistent"]) == [disk_cid]
        cloud.detach_disk(vm.cid, disk_cid)

    assert each_call(google, lambda: cloud.attach_disk(vm.cid, disk_cid), attached) >= 4

    def detached(k: int, error: errors.Error) -> None:
        with contextlib.suppress(errors.DiskNotAttached):
            cloud.detach_disk(vm.cid, disk_cid)
        assert helper.settings(vm.cid)["disks"]["persistent"] == {}
        cloud.attach_disk(vm.cid, disk_cid)

    assert each_call(google, lambda: cloud.detach_disk(vm.cid, disk_cid), detached) >= 4


@_overlapping
@pytest.mark.parametrize("properties", [{"type": "pd-ssd"}, {}], ids=["by a copy", "in place"])
def test_update_disk_is_finished_by_a_repeat_whichever_call_fails(
    google: Lab, cloud: Cloud, properties: dict[str, object]
) -> None:
    """One disk remains, of the new kind, and nothing else."""
    before = google.census()
    for k in range(MOST_CALLS):
        google.finish()
        disk_cid = cloud.create_disk(GIB, {"zone": ZONE})
        rule = failing(k)
        google.proxy.inject(rule)
        try:
            updated = cloud.update_disk(disk_cid, MiB(2048), properties)
        except errors.Error as error:
            was_injected(error)
            google.proxy.withdraw(rule)
            updated = cloud.update_disk(disk_cid, MiB(2048), properties)
        google.proxy.withdraw(rule)
        assert cloud.update_disk(disk_cid, MiB(2048), properties) == updated
        assert google.see("disks", updated)["sizeGb"] == "2"
        assert set(google.all("disks")) == {f"projects/a-project/zones/{ZONE}/disks/{updated}"}
        cloud.delete_disk(updated)
        for snapshot in google.all("snapshots").values():
            cloud.delete_snapshot(snapshot["name"])
        assert google.census() == before
        if not rule.met:
            assert k >= 3
            return
    pytest.fail("it never ends")


@_overlapping
def test_create_stemcell_leaves_nothing_whichever_call_fails(google: Lab, cloud: Cloud, image: str) -> None:
    """Making the bucket, beginning the upload, uploading, importing, waiting: images, buckets and objects are as before."""
    before = google.census()
    for k in range(5):
        rule = failing(k)
        google.proxy.inject(rule)
        with pytest.raises(errors.Error) as caught:
            cloud.create_stemcell(image, {}, {})
        google.proxy.withdraw(rule)
        assert "injectedFault" in caught.value.message
        assert google.census() == before, f"the failing call number {k} left something: {caught.value.message}"
    cloud.delete_stemcell(cloud.create_stemcell(image, {}, {}))
    assert google.census() == before


@pytest.mark.parametrize("action", ["POST instances", "POST disks", WAIT])
def test_a_lost_answer_is_found_by_the_repeat_inside_the_call(google: Lab, helper: Helper, cloud: Cloud, action: str) -> None:
    """It was made, the answer never came: the request id leads to it, and there is one of it."""
    before = google.census()
    rule = Rule(action, effects.lost_answer(), times=1)
    google.proxy.inject(rule)
    vm = helper.vm()
    cloud.create_disk(GIB, {}, vm.cid)
    assert rule.met == 1
    after = {**before, "instances": before["instances"] + 1, "disks": before["disks"] + 2}
    assert google.census() == after


@pytest.mark.parametrize("action", ["attachDisk", "setMetadata", "detachDisk"])
def test_a_lost_answer_of_attach_or_detach_does_no_harm(google: Lab, helper: Helper, cloud: Cloud, action: str) -> None:
    """Google ignores the second request."""
    vm, disk_cid = helper.vm(), helper.disk()
    rule = Rule(f"POST instances/{{name}}/{action}", effects.lost_answer(), times=1)
    google.proxy.inject(rule)
    cloud.attach_disk(vm.cid, disk_cid)
    cloud.detach_disk(vm.cid, disk_cid)
    assert rule.met == 1
    assert helper.settings(vm.cid)["disks"]["persistent"] == {}


def test_a_snapshot_whose_answer_was_lost_is_made_once(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """By its request id."""
    disk_cid = helper.disk()
    google.proxy.inject(Rule("POST disks/{name}/createSnapshot", effects.lost_answer(), times=1))
    snapshot_cid = cloud.snapshot_disk(disk_cid, {"index": 1})
    assert [item["name"] for item in google.all("snapshots").values()] == [snapshot_cid]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "reason"),
    [(429, "rateLimitExceeded"), (403, "userRateLimitExceeded"), (503, "backendError"), (500, "internalError")],
)
def test_throttling_and_passing_faults_never_reach_the_caller(
    google: Lab, helper: Helper, cloud: Cloud, monkeypatch: pytest.MonkeyPatch, status: int, reason: str
) -> None:
    """Each call of a VM's life is answered so twice."""
    SimulatedTime().rule_repeating(monkeypatch)
    for action in ("POST instances", "GET instances", "DELETE instances/{name}", WAIT):
        google.proxy.inject(Rule(action, effects.answer(status, refusal(reason, status).body), times=2))
    vm = helper.vm()
    assert cloud.has_vm(vm.cid)
    cloud.delete_vm(vm.cid)
    assert not cloud.has_vm(vm.cid)


def test_a_stale_fingerprint_is_read_again(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """Somebody else changed metadata and labels meanwhile."""
    vm, disk_cid = helper.vm(), helper.disk()
    stale = effects.answer(412, refusal("conditionNotMet", 412).body)
    rules = [Rule(f"POST {thing}", stale, times=2) for thing in ("instances/{name}/setMetadata", "*/setLabels")]
    google.proxy.inject(*rules)
    cloud.attach_disk(vm.cid, disk_cid)
    cloud.set_vm_metadata(vm.cid, {"job": "db"})
    cloud.set_disk_metadata(disk_cid, {"job": "db"})
    assert [rule.met for rule in rules] == [2, 2]
    assert list(helper.settings(vm.cid)["disks"]["persistent"]) == [disk_cid]
    assert google.labels(vm.cid)["job"] == google.labels(disk_cid)["job"] == "db"


@pytest.mark.parametrize("action", ["instances.insert", "disks.insert"])
def test_a_process_that_is_ended_between_a_call_and_its_answer_leaves_nothing(
    google: Lab, helper: Helper, cloud: Cloud, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """SIGTERM comes when Google has done it."""
    from cpi_drivers.google.api.client import Client

    before, call = google.census(), Client.call

    def ended(self: Client, method: str, body: dict[str, object] | None = None, **parameters: object) -> object:
        answer = call(self, method, body, **parameters)
        if method == action:
            raise KeyboardInterrupt
        return answer

    monkeypatch.setattr(Client, "call", ended)
    with pytest.raises(KeyboardInterrupt):
        helper.vm() if action == "instances.insert" else cloud.create_disk(GIB, {"zone": ZONE})
    assert google.census() == before


def test_a_killed_call_is_taken_up_by_the_next_process(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """The same token, another Cloud, arguments that changed a little."""
    import cpi

    networks = helper.manual()
    vm = helper.vm(networks=networks, token=_TOKEN)
    disk_cid = cloud.create_disk(GIB, {"zone": ZONE}, token=_TOKEN)
    with cpi.connect(google.config()) as another:
        again = Helper.__new__(Helper)
        again.google, again.cloud, again.stemcell = google, another, helper.stemcell
        assert again.vm(networks=networks, token=_TOKEN, tags=["more"]).cid == vm.cid
        assert another.create_disk(GIB, {"zone": ZONE}, token=_TOKEN) == disk_cid
    assert len(google.all("instances")) == 1


def test_a_token_of_what_was_deleted_makes_another(google: Lab, helper: Helper, cloud: Cloud) -> None:
    """Google would answer the request with the operation of long ago."""
    networks = helper.manual()
    vm = helper.vm(networks=networks, token=_TOKEN)
    disk_cid = cloud.create_disk(GIB, {"zone": ZONE}, token=_TOKEN)
    cloud.delete_vm(vm.cid)
    cloud.delete_disk(disk_cid)
    assert cloud.has_vm(helper.vm(networks=networks, token=_TOKEN).cid)
    assert cloud.has_disk(cloud.create_disk(GIB, {"zone": ZONE}, token=_TOKEN))
