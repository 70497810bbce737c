"""Calls that the cloud carries out a little later than their connection was lost."""

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import VmCid
from cpi.contract.units import MiB
from fixtures.clouds.vcloud.lab import Lab
from fixtures.clouds.vcsim.images import image
from fixtures.hanging_up import hanging_up
from fixtures.proxy import Answer, Rule, effects
from fixtures.simulated_time import SimulatedTime, be_patient
from tests.drivers.vcloud.conftest import Connect, Helper

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("patience")]

_SIZE = MiB(100)
_LATE_SECONDS = 0.4


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes late on a busy machine comes later still."""
    be_patient(monkeypatch)


def late(action: str) -> Rule:
    """The first call of an action comes late."""
    return Rule(action, effects.late(_LATE_SECONDS), times=1)


def _compose(cloud: Cloud, helper: Helper) -> None:
    helper.vm(cloud)


def _recompose(cloud: Cloud, helper: Helper) -> None:
    vapp = helper.seen(helper.vm(cloud))["parent"]["name"]
    assert helper.seen(helper.vm(cloud, vapp=vapp))["parent"]["name"] == vapp


@pytest.mark.parametrize(
    ("make", "action"),
    [
        (_compose, "POST */action/composeVApp"),
        (_compose, "POST */action/upload"),
        (_recompose, "POST */action/recomposeVApp"),
    ],
)
def test_what_create_vm_is_told_of_late_is_waited_for(
    vcloud: Lab, cloud: Cloud, helper: Helper, make: Callable[[Cloud, Helper], None], action: str
) -> None:
    """The VM runs, with its CD, and is one; all of it goes with it."""
    before = vcloud.census()
    with vcloud.rule(late(action)) as rule:
        make(cloud, helper)
    assert rule.met == 1
    assert vcloud.census()["vms"] == before["vms"] + len(helper.made)
    for _, vm in reversed(helper.made):
        cloud.delete_vm(vm)
    assert vcloud.census() == before


def test_a_disk_that_is_made_and_attached_late_is_one_and_attached(vcloud: Lab, cloud: Cloud, helper: Helper) -> None:
    """Within the same calls."""
    vm = helper.vm(cloud).cid
    with vcloud.rule(late("POST */disk")) as made, vcloud.rule(late("POST */disk/action/attach")) as attached:
        disk = cloud.create_disk(_SIZE, {})
        hint = cloud.attach_disk(vm, disk)
    assert (made.met, attached.met) == (1, 1)
    assert list(cloud.get_disks(vm)) == [disk]
    assert cloud.attach_disk(vm, disk) == hint
    cloud.delete_vm(vm)
    cloud.delete_disk(disk)


def test_a_disk_whose_attaching_was_not_answered_has_a_unit_of_its_own(
    vcloud: Lab, cloud: Cloud, helper: Helper, tmp_path: Path
) -> None:
    """Its controller is not that of the VM's own disks: the agent, which looks by units, would else find one of those."""
    stemcell = cloud.create_stemcell(str(image(tmp_path / "image")), {}, {})
    vm, disk = helper.vm(cloud, stemcell=stemcell).cid, cloud.create_disk(_SIZE, {})
    with vcloud.rule(Rule("POST */disk/action/attach", effects.lost_answer(), times=1)) as rule:
        hint = cloud.attach_disk(vm, disk)
    assert rule.met >= 1
    root, persistent = vcloud.one("vms", vm)["disks"]
    assert root["bus"] != persistent["bus"]
    assert hint.device == str(persistent["unit"]) != str(root["unit"])
    cloud.delete_vm(vm)
    cloud.delete_stemcell(stemcell)
    cloud.delete_disk(disk)


def test_a_stemcell_that_is_announced_late_is_sent(vcloud: Lab, cloud: Cloud, tmp_path: Path) -> None:
    """It is found by its name."""
    with vcloud.rule(late("POST */action/upload")) as rule:
        cloud.delete_stemcell(cloud.create_stemcell(str(image(tmp_path / "image")), {}, {}))
    assert rule.met == 1


def test_a_cloud_that_hangs_up_while_tls_is_agreed_on_is_asked_again(connect: Connect) -> None:
    """As often as the configuration says; it is not its certificate that fails."""
    with hanging_up() as (port, said), pytest.raises(errors.CloudError) as caught:
        connect(url=f"https://127.0.0.1:{port}", control={"retry_max": 2}).has_vm(VmCid("urn:vcloud:vm:" + str(uuid.UUID(int=1))))
    assert len(said) == 2
    assert "not trusted" not in caught.value.message


def _nothing(action: str) -> Rule:
    """A success without a word, though the cloud does what it was asked for."""
    return Rule(action, effects.rewritten(lambda _, answer: Answer(200, b"", answer.headers)), times=1)


@pytest.mark.parametrize(
    ("make", "action"),
    [
        (_compose, "POST */action/composeVApp"),
        (_compose, "POST */action/upload"),
        (_recompose, "POST */action/recomposeVApp"),
    ],
)
def test_what_create_vm_is_not_told_of_is_found(
    vcloud: Lab, cloud: Cloud, helper: Helper, make: Callable[[Cloud, Helper], None], action: str
) -> None:
    """A success that says nothing is an answer that was lost."""
    with vcloud.rule(_nothing(action)) as rule:
        make(cloud, helper)
    assert rule.met == 1


def test_a_disk_and_a_stemcell_of_which_nothing_is_said_are_found(vcloud: Lab, cloud: Cloud, tmp_path: Path) -> None:
    """By their names."""
    with vcloud.rule(_nothing("POST */disk")) as rule:
        disk = cloud.create_disk(_SIZE, {})
    assert (rule.met, cloud.has_disk(disk)) == (1, True)
    with vcloud.rule(_nothing("POST */action/upload")) as rule:
        stemcell = cloud.create_stemcell(str(image(tmp_path / "image")), {}, {})
    assert rule.met == 1
    cloud.delete_disk(disk)
    cloud.delete_stemcell(stemcell)


def test_a_disk_of_which_nothing_is_said_and_that_is_not_there_is_told(
    vcloud: Lab, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the call, and that it may have been done."""
    SimulatedTime().rule(monkeypatch)
    silent = Rule("POST */disk", effects.decided(lambda _: Answer(200, b"", {})))
    before = vcloud.census()
    with vcloud.rule(silent), pytest.raises(errors.CloudError, match=r"create_disk: disk disk-.*no answer came"):
        cloud.create_disk(_SIZE, {})
    assert vcloud.census() == before
