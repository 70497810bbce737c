"""grow_attached_disk, change_attached_disk: the disk stays attached; each call looks first; a refusal says what Google said."""

import json

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.units import MiB
from cpi_drivers.google.cloud import GoogleCloud
from fixtures.clouds.google.lab import Lab
from fixtures.proxy import Answer, Request, Rule, effects
from tests.drivers.google.conftest import GIB, Counted, Helper, refusal
from tests.drivers.google.failing import each_call_and_a_repeat

_TWO = MiB(2048)


@pytest.fixture
def own(cloud: Cloud) -> GoogleCloud:
    """With what it offers beyond the CPI."""
    assert isinstance(cloud, GoogleCloud)
    return cloud


@pytest.fixture
def vm_cid(helper: Helper) -> VmCid:
    """One that has the disks."""
    return helper.vm().cid


def _attached(own: GoogleCloud, helper: Helper, vm_cid: VmCid, **properties: object) -> DiskCid:
    disk_cid = helper.disk(**properties)
    own.attach_disk(vm_cid, disk_cid)
    return disk_cid


def test_it_grows_attached_in_2_calls_and_again_in_1(
    google: Lab, own: GoogleCloud, helper: Helper, vm_cid: VmCid, counted: Counted
) -> None:
    """The repeat only looks."""
    disk_cid = _attached(own, helper, vm_cid)
    looked = {"GET disks/{name}": 1}
    grown = counted(lambda: own.grow_attached_disk(vm_cid, disk_cid, _TWO))
    assert grown == {**looked, "POST disks/{name}/resize": 1}
    assert counted(lambda: own.grow_attached_disk(vm_cid, disk_cid, _TWO)) == looked
    assert google.see("disks", disk_cid)["sizeGb"] == "2"
    assert own.get_disks(vm_cid) == [disk_cid]


def test_a_hyperdisk_changes_its_speed_attached(
    google: Lab, own: GoogleCloud, helper: Helper, vm_cid: VmCid, counted: Counted
) -> None:
    """And its size, in the same call of ours."""
    disk_cid = _attached(own, helper, vm_cid, type="hyperdisk-balanced", iops=3500, throughput=150)
    wish = {"iops": 4000, "type": "hyperdisk-balanced"}
    looked = {"GET disks/{name}": 1}
    changed = counted(lambda: own.change_attached_disk(vm_cid, disk_cid, _TWO, wish))
    assert changed == {**looked, "PATCH disks/{name}": 1, "POST disks/{name}/resize": 1}
    assert counted(lambda: own.change_attached_disk(vm_cid, disk_cid, _TWO, wish)) == looked
    disk = google.see("disks", disk_cid)
    assert (disk["provisionedIops"], disk["provisionedThroughput"], disk["sizeGb"]) == ("4000", "150", "2")


@pytest.mark.parametrize("wish", [{"type": "pd-ssd"}, {"zone": "europe-west1-d"}, {"iops": 4000}])
def test_what_needs_another_disk_is_refused(
    google: Lab, own: GoogleCloud, helper: Helper, vm_cid: VmCid, wish: dict[str, object]
) -> None:
    """The disk stays as it is."""
    disk_cid = _attached(own, helper, vm_cid)
    with pytest.raises(errors.NotSupported):
        own.change_attached_disk(vm_cid, disk_cid, _TWO, wish)
    assert google.see("disks", disk_cid)["sizeGb"] == "1"


def test_a_size_that_the_type_does_not_have_is_refused_in_googles_words(
    google: Lab, own: GoogleCloud, helper: Helper, vm_cid: VmCid
) -> None:
    """And smaller is refused before the disk is touched."""
    disk_cid = _attached(own, helper, vm_cid)
    too_large = Rule("POST disks/{name}/resize", effects.decided(lambda _: refusal("invalid", message="the type ends at 64 TB")))
    google.proxy.inject(too_large)
    with pytest.raises(errors.NotSupported, match=r"pd-standard cannot grow to 2 GiB in place: .*the type ends at 64 TB"):
        own.grow_attached_disk(vm_cid, disk_cid, _TWO)
    google.proxy.withdraw(too_large)
    own.grow_attached_disk(vm_cid, disk_cid, _TWO)
    with pytest.raises(errors.NotSupported, match="cannot shrink"):
        own.grow_attached_disk(vm_cid, disk_cid, GIB)
    google.set(quotas={"DISKS_TOTAL_GB": 2})
    with pytest.raises(errors.NoDiskSpace, match="raise the quota"):
        own.grow_attached_disk(vm_cid, disk_cid, MiB(4096))


@pytest.mark.slow
@pytest.mark.usefixtures("operations_end")
def test_each_call_fails_once(google: Lab, own: GoogleCloud, helper: Helper, vm_cid: VmCid) -> None:
    """A repeat finishes it."""
    disk_cid = _attached(own, helper, vm_cid)
    sizes = iter(range(2, 20))

    def sized(gib: int) -> None:
        assert google.see("disks", disk_cid)["sizeGb"] == str(gib)

    def grow(gib: int) -> None:
        own.grow_attached_disk(vm_cid, disk_cid, MiB(gib * GIB))

    assert each_call_and_a_repeat(google, lambda: next(sizes), grow, sized) == 3


def test_lost_answers_and_throttled_calls_are_no_failure(google: Lab, own: GoogleCloud, helper: Helper, vm_cid: VmCid) -> None:
    """It is done once."""
    disk_cid = _attached(own, helper, vm_cid, type="hyperdisk-balanced", iops=3500, throughput=150)
    for action in ("POST disks/{name}/resize", "PATCH disks/{name}"):
        google.proxy.inject(
            Rule(action, effects.decided(lambda _: refusal("rateLimitExceeded", 403)), times=1),
            Rule(action, effects.lost_answer(), times=1),
        )
    own.change_attached_disk(vm_cid, disk_cid, _TWO, {"throughput": 160})
    disk = google.see("disks", disk_cid)
    assert (disk["provisionedThroughput"], disk["sizeGb"]) == ("160", "2")


def test_a_shared_disk_is_refused_with_the_other_vms_name(google: Lab, own: GoogleCloud, helper: Helper, vm_cid: VmCid) -> None:
    """Before it is touched."""
    disk_cid = _attached(own, helper, vm_cid)

    def shared(request: Request, answer: Answer) -> Answer:
        user = json.loads(answer.body)["users"][0]
        body = answer.body.replace(f'"{user}"'.encode(), f'"{user}", "{user.rpartition("/")[0]}/vm-other"'.encode())
        return Answer(answer.status, body, answer.headers)

    google.proxy.inject(Rule("GET disks/{name}", effects.rewritten(shared)))
    with pytest.raises(errors.NotSupported, match=r"shared: .*vm-other"):
        own.grow_attached_disk(vm_cid, disk_cid, _TWO)
    assert google.see("disks", disk_cid)["sizeGb"] == "1"


def test_a_disk_or_vm_that_is_not_there_and_a_disk_that_is_detached(own: GoogleCloud, helper: Helper, vm_cid: VmCid) -> None:
    """Each by its own error."""
    disk_cid = helper.disk()
    with pytest.raises(errors.DiskNotAttached):
        own.grow_attached_disk(vm_cid, disk_cid, _TWO)
    with pytest.raises(errors.VMNotFound):
        own.grow_attached_disk(VmCid("vm-absent"), disk_cid, _TWO)
    with pytest.raises(errors.DiskNotFound):
        own.grow_attached_disk(vm_cid, DiskCid("disk-1ff0bb6f-a4f8-4d13-4cf6-5d1dae9d3c02"), _TWO)
