"""Calls that fail, answers that are lost, a cloud that is busy, tasks that never end, sessions that are over."""

import itertools
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import cpi
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.units import MiB
from cpi.kit.waiting import Overdue
from fixtures.clouds.vcloud.lab import Lab, refused
from fixtures.clouds.vcsim.images import image
from fixtures.proxy import Effect, Request, Rule, effects
from fixtures.proxy.exchange import Answer
from fixtures.simulated_time import SimulatedTime
from tests.drivers.vcloud.conftest import Connect, Helper

pytestmark = pytest.mark.slow

_SIZE = MiB(100)
_LOOK = "GET /api/task/{id}"
CALLS_OF_CREATE_VM = 14  # with a token, for which is looked first
CALLS_OF_DELETE_VM = 7  # with a persistent disk
CALLS_OF_CREATE_STEMCELL = 7
BROKEN = refused(500, "INTERNAL_SERVER_ERROR", "out of order")
BUSY = refused(400, "BUSY_ENTITY", "The entity is busy completing an operation")


@contextmanager
def nth_call(vcloud: Lab, number: int, effect: Effect) -> Iterator[Rule]:
    """The effect falls on the number-th call, once; looks at tasks are not counted."""
    count = itertools.count(1)

    def when(request: Request) -> bool:
        return request.action != _LOOK and next(count) == number

    with vcloud.rule(Rule("*", effect, when=when)) as rule:
        yield rule


@pytest.fixture(scope="session")
def cache_of_a_vm(running_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the driver remembers once it has made and deleted a VM."""
    folder = tmp_path_factory.mktemp("known") / "cache"
    with cpi.connect(running_lab.config(cache_folder=str(folder))) as cloud:
        cloud.delete_vm(Helper(running_lab).vm(cloud).cid)
    return folder


@pytest.fixture
def known(vcloud: Lab, cache_of_a_vm: Path, connect: Connect, tmp_path: Path) -> None:
    """The vDC and the catalogs are known, and somebody is logged in."""
    shutil.copytree(cache_of_a_vm, tmp_path / "cache")
    connect().has_vm(VmCid(f"urn:vcloud:vm:{uuid.uuid4()}"))  # a login that another test ended is made anew
    vcloud.proxy.forget_calls()


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("number", range(1, CALLS_OF_CREATE_VM + 1))
def test_whichever_call_of_create_vm_fails_nothing_is_left_and_the_token_serves_again(
    vcloud: Lab, connect: Connect, helper: Helper, number: int
) -> None:
    """And the error tells what failed; the repeat, as a director makes it, succeeds."""
    cloud, token, before = connect(control={"retry_max": 1}), str(uuid.uuid4()), vcloud.census()
    with nth_call(vcloud, number, BROKEN) as rule, pytest.raises(errors.CloudError, match=r"out of order|refused: 500"):
        helper.vm(cloud, disk=1024, token=token)
    assert rule.met == 1
    assert vcloud.census() == before
    vm = helper.vm(cloud, disk=1024, token=token)
    assert helper.vm(cloud, disk=1024, token=token).cid == vm.cid


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("number", range(1, CALLS_OF_CREATE_VM + 1))
def test_whichever_answer_of_create_vm_is_lost_there_is_one_vm_or_none(
    vcloud: Lab, connect: Connect, helper: Helper, number: int
) -> None:
    """It is found by its name. Only the CD, whose sending is not repeated, may make the call fail, and then nothing is left."""
    cloud, token, before = connect(), str(uuid.uuid4()), vcloud.census()
    with nth_call(vcloud, number, effects.lost_answer()) as rule:
        try:
            helper.vm(cloud, disk=1024, token=token)
        except errors.VMCreationFailed as error:
            assert "upload" in error.message  # noqa: PT017 - either outcome is right
            assert vcloud.census() == before
            helper.vm(cloud, disk=1024, token=token)
    assert rule.met == 1
    after = vcloud.census()
    assert {kind: after[kind] - before[kind] for kind in ("vapps", "vms", "media")} == {"vapps": 1, "vms": 1, "media": 1}


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("number", range(1, CALLS_OF_DELETE_VM + 1))
@pytest.mark.parametrize("effect", [BROKEN, effects.lost_answer()], ids=["fails", "is lost"])
def test_whichever_call_of_delete_vm_fails_a_repeat_deletes_all(
    vcloud: Lab, connect: Connect, helper: Helper, number: int, effect: Effect
) -> None:
    """Its CD too; the persistent disk lives on."""
    cloud, before = connect(control={"retry_max": 1}), vcloud.census()
    vm, disk = helper.vm(cloud, disk=1024).cid, cloud.create_disk(_SIZE, {})
    cloud.attach_disk(vm, disk)
    with nth_call(vcloud, number, effect) as rule:
        with pytest.raises(errors.CloudError):
            cloud.delete_vm(vm)
        assert rule.met == 1
    cloud.delete_vm(vm)
    assert not cloud.has_vm(vm)
    assert cloud.has_disk(disk)
    cloud.delete_disk(disk)
    assert vcloud.census() == before


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("number", range(1, CALLS_OF_CREATE_STEMCELL + 1))
@pytest.mark.parametrize("effect", [BROKEN, effects.lost_answer()], ids=["fails", "is lost"])
def test_whichever_call_of_create_stemcell_fails_nothing_is_left(
    vcloud: Lab, connect: Connect, tmp_path: Path, number: int, effect: Effect
) -> None:
    """Neither an item in the catalog nor a template; the next try succeeds."""
    cloud, before, path = connect(control={"retry_max": 1}), vcloud.census(), str(image(tmp_path / "image"))
    with nth_call(vcloud, number, effect) as rule:
        try:
            cloud.delete_stemcell(cloud.create_stemcell(path, {}, {}))
        except errors.CloudError:
            assert vcloud.census() == before
    assert rule.met == 1
    assert vcloud.census() == before
    cloud.delete_stemcell(cloud.create_stemcell(path, {}, {}))


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("effect", [BROKEN, effects.lost_answer()], ids=["fails", "is lost"])
def test_whichever_call_of_attach_disk_fails_a_repeat_attaches_it(
    vcloud: Lab, connect: Connect, helper: Helper, number: int, effect: Effect
) -> None:
    """With the hint that the first call would have told."""
    cloud = connect(control={"retry_max": 1})
    vm, disk = helper.vm(cloud).cid, cloud.create_disk(_SIZE, {})
    with nth_call(vcloud, number, effect) as rule:
        try:
            cloud.attach_disk(vm, disk)
        except errors.CloudError as error:
            assert "Traceback" not in error.message  # noqa: PT017 - either outcome is right
    assert rule.met == 1
    hint = cloud.attach_disk(vm, disk)
    assert cloud.attach_disk(vm, disk) == hint
    assert list(cloud.get_disks(vm)) == [disk]
    cloud.delete_vm(vm)
    cloud.delete_disk(disk)


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("effect", [BROKEN, effects.lost_answer()], ids=["fails", "is lost"])
def test_whichever_call_of_create_disk_fails_there_is_one_disk_or_none(
    vcloud: Lab, connect: Connect, number: int, effect: Effect
) -> None:
    """And the token serves again."""
    cloud, token, before = connect(control={"retry_max": 1}), str(uuid.uuid4()), vcloud.census()["disks"]
    with nth_call(vcloud, number + 1, effect) as rule:
        try:
            cloud.create_disk(_SIZE, {}, None, token)
        except errors.CloudError:
            assert vcloud.census()["disks"] == before
    assert rule.met == 1
    disk = cloud.create_disk(_SIZE, {}, None, token)
    assert cloud.create_disk(_SIZE, {}, None, token) == disk
    assert vcloud.census()["disks"] == before + 1
    cloud.delete_disk(disk)


def _attach(cloud: Cloud, vm: VmCid, disk: DiskCid) -> None:
    cloud.attach_disk(vm, disk)
    assert list(cloud.get_disks(vm)) == [disk]


def _detach(cloud: Cloud, vm: VmCid, disk: DiskCid) -> None:
    cloud.attach_disk(vm, disk)
    cloud.detach_disk(vm, disk)
    assert list(cloud.get_disks(vm)) == []


def _resize(cloud: Cloud, vm: VmCid, disk: DiskCid) -> None:
    cloud.resize_disk(disk, MiB(200))


def _reboot(cloud: Cloud, vm: VmCid, disk: DiskCid) -> None:
    cloud.reboot_vm(vm)


@pytest.mark.parametrize(
    ("method", "action"),
    [
        (_attach, "POST */disk/action/attach"),
        (_resize, "PUT /api/disk/*"),
        (_reboot, "POST */power/action/reboot"),
    ],
)
def test_what_an_answerless_call_did_is_found(
    vcloud: Lab, cloud: Cloud, helper: Helper, method: Callable[[Cloud, VmCid, DiskCid], None], action: str
) -> None:
    """Within the same call."""
    vm, disk = helper.vm(cloud).cid, cloud.create_disk(_SIZE, {})
    with vcloud.rule(Rule(action, effects.lost_answer(), times=1)) as rule:
        method(cloud, vm, disk)
    assert rule.met == 1
    cloud.delete_vm(vm)
    cloud.delete_disk(disk)


def test_a_detached_disk_whose_answer_was_lost_is_told_as_not_attached(vcloud: Lab, cloud: Cloud, helper: Helper) -> None:
    """Which the director takes for success."""
    vm, disk = helper.vm(cloud).cid, cloud.create_disk(_SIZE, {})
    cloud.attach_disk(vm, disk)
    with vcloud.rule(Rule("POST */disk/action/detach", effects.lost_answer(), times=1)), pytest.raises(errors.DiskNotAttached):
        cloud.detach_disk(vm, disk)
    assert list(cloud.get_disks(vm)) == []
    cloud.delete_disk(disk)


@pytest.mark.parametrize(
    "effect", [BUSY, refused(429, "TOO_MANY", "slow down", {"Retry-After": "0.1"}), effects.answer(503), effects.answer(429)]
)
def test_a_busy_cloud_is_asked_again(vcloud: Lab, cloud: Cloud, effect: Effect) -> None:
    """Also what makes something: a refusal has made nothing."""
    with vcloud.rule(Rule("* /api/*disk*", effect, times=3)) as rule:
        cloud.delete_disk(cloud.create_disk(_SIZE, {}))
    assert rule.met == 3


def test_what_stays_busy_is_given_up_in_our_time(vcloud: Lab, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what the cloud says of it."""
    SimulatedTime().rule(monkeypatch)
    cloud = connect(control={"wait_max": 3})
    with vcloud.rule(Rule("POST */disk", BUSY)), pytest.raises(errors.CloudError, match="BUSY_ENTITY"):
        cloud.create_disk(_SIZE, {})


def test_calls_at_once_wait_for_each_other(vcloud: Lab, connect: Connect, helper: Helper) -> None:
    """The cloud lets one task work on a VM at a time; those of other machines are refused until then."""
    from cpi.testing.maker import at_once

    first, second = connect(), connect(cache_folder=None)
    vm, disks = helper.vm(first).cid, [first.create_disk(_SIZE, {}) for _ in range(2)]
    with vcloud.knobs(task_seconds=0.3, prompt=False):
        hints = at_once(lambda: first.attach_disk(vm, disks[0]), lambda: second.attach_disk(vm, disks[1]))
    assert len({hint.device for hint in hints}) == 2
    first.delete_vm(vm)
    for disk in disks:
        first.delete_disk(disk)


def test_throttling_slows_down_and_nothing_more(vcloud: Lab, cloud: Cloud, helper: Helper) -> None:
    """So many calls a second and no more."""
    refusal = Answer(429, b"", {})
    with vcloud.rule(Rule("*", effects.throttle(20, refusal, burst=2))) as rule:
        assert cloud.has_vm(helper.vm(cloud).cid)
    assert rule.met > 10


def test_looks_are_repeated_after_resets_and_faults(vcloud: Lab, cloud: Cloud) -> None:
    """They change nothing."""
    absent = VmCid(f"urn:vcloud:vm:{uuid.uuid4()}")
    for effect in (effects.reset(), effects.lost_answer(), BROKEN, effects.answer(502, b"<html>")):
        with vcloud.rule(Rule("GET /api/vApp/*", effect, times=2)) as rule:
            assert cloud.has_vm(absent) is False
        assert rule.met == 2


@pytest.mark.parametrize("own", [{"control": {"wait_max": 3}}, {"call_timeout": 3}], ids=["its own time", "the call's time"])
@pytest.mark.parametrize("operation", ["vdcComposeVapp", "vappUpdateVm", "vappInsertCdFloppy", "vappPowerOn"])
def test_a_task_of_create_vm_that_never_ends_is_given_up_in_our_time(
    vcloud: Lab, connect: Connect, helper: Helper, monkeypatch: pytest.MonkeyPatch, operation: str, own: dict[str, Any]
) -> None:
    """It is cancelled, and nothing is left: also where the whole call has no time left."""
    helper.vm(connect())
    before = vcloud.census()
    SimulatedTime().rule(monkeypatch)
    with (
        vcloud.knobs(stuck=[operation]),
        pytest.raises(errors.VMCreationFailed, match="not within") as caught,
    ):
        helper.vm(connect(**own))
    assert not caught.value.ok_to_retry
    assert vcloud.census() == before


def test_a_disk_whose_attaching_never_ends_stays_free(
    vcloud: Lab, connect: Connect, helper: Helper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task that was given up is cancelled."""
    SimulatedTime().rule(monkeypatch)
    cloud = connect(control={"wait_max": 3})
    vm, disk = helper.vm(cloud).cid, cloud.create_disk(_SIZE, {})
    with vcloud.knobs(stuck=["vappAttachDisk"]), pytest.raises(Overdue, match=f"attach_disk: disk {disk}"):
        cloud.attach_disk(vm, disk)
    assert cloud.get_disks(vm) == []
    cloud.delete_disk(disk)


@pytest.mark.parametrize("operation", ["vdcComposeVapp", "vappUpdateVm", "metadataUpdate", "vappInsertCdFloppy", "vappPowerOn"])
def test_a_task_of_create_vm_that_fails_is_told_by_its_own_text_and_nothing_is_left(
    vcloud: Lab, cloud: Cloud, helper: Helper, operation: str
) -> None:
    """What the cloud half made goes too."""
    helper.vm(cloud)
    before = vcloud.census()
    with vcloud.knobs(failing={operation: "the host is on fire"}), pytest.raises(errors.CloudError, match="the host is on fire"):
        helper.vm(cloud)
    assert vcloud.census() == before


def test_a_task_of_delete_vm_that_fails_is_told_and_a_repeat_finishes_it(vcloud: Lab, cloud: Cloud, helper: Helper) -> None:
    """Nothing is claimed to be gone."""
    vm = helper.vm(cloud).cid
    with vcloud.knobs(failing={"vdcDeleteVapp": "no"}), pytest.raises(errors.CloudError, match="no"):
        cloud.delete_vm(vm)
    assert cloud.has_vm(vm)
    cloud.delete_vm(vm)
    assert not cloud.has_vm(vm)


@pytest.mark.parametrize(
    ("knobs", "kind"),
    [({"limits": {"standard": 1000}}, errors.NoDiskSpace), ({"failing": {"vdcCreateDisk": "on fire"}}, errors.CloudError)],
)
def test_a_disk_that_cannot_be_made_leaves_nothing(
    vcloud: Lab, cloud: Cloud, knobs: dict[str, dict[str, object]], kind: type[errors.Error]
) -> None:
    """A limit is told from a failure."""
    with vcloud.knobs(**knobs), pytest.raises(kind):
        cloud.create_disk(MiB(2000), {})


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("number", [1, 4, 7, 10, 13])
def test_a_session_that_is_over_is_renewed_in_the_middle(vcloud: Lab, connect: Connect, helper: Helper, number: int) -> None:
    """Once, and the call goes on."""

    def expire(_: Request) -> None:
        vcloud.control("expire")

    cloud = connect()
    with nth_call(vcloud, number, effects.decided(expire)) as rule:
        assert cloud.has_vm(helper.vm(cloud).cid)
    assert rule.met == 1
    assert vcloud.calls()["POST /cloudapi/1.0.0/sessions"] == 1


def test_an_address_that_is_taken_is_told_and_not_to_be_repeated(vcloud: Lab, cloud: Cloud, helper: Helper) -> None:
    """A repeat would ask for the same."""
    network = helper.manual()
    helper.vm(cloud, {"default": network})
    before = vcloud.census()
    with pytest.raises(errors.VMCreationFailed, match=str(network.ip)) as caught:
        helper.vm(cloud, {"default": network})
    assert not caught.value.ok_to_retry
    assert vcloud.census() == before


def test_a_quota_is_told_and_not_to_be_repeated(vcloud: Lab, cloud: Cloud, helper: Helper) -> None:
    """It cannot be met before somebody raises it."""
    helper.vm(cloud)
    with vcloud.knobs(vm_quota=1), pytest.raises(errors.VMCreationFailed, match="quota") as caught:
        helper.vm(cloud)
    assert not caught.value.ok_to_retry
