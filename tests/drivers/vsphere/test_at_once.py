"""Several processes at once: one copies a stemcell and the others wait, each disk gets a unit of its own."""

import asyncio
import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyVmomi import vim

import cpi
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import AgentId
from cpi.contract.units import MiB
from cpi.testing.maker import at_once
from fixtures.clouds.vcsim.answers import fault
from fixtures.clouds.vcsim.lab import Lab
from fixtures.proxy import Answer, Effect, Request, Rule, effects
from fixtures.proxy.exchange import Forward
from tests.drivers.vsphere.conftest import Helper

pytestmark = pytest.mark.slow


def test_a_stemcell_is_copied_once(vcenter: Lab, helper: Helper, tmp_path: Path) -> None:
    """Three processes want VMs on a datastore that does not have it yet."""
    elsewhere = vcenter.config(datacenter={"datastore_pattern": "^LocalDS_1$"})
    vcenter.proxy.inject(Rule("CloneVM_Task", effects.delay(0.3)), Rule("CreateSnapshot_Task", effects.delay(0.3)))
    clouds = [cpi.connect(elsewhere) for _ in range(3)]
    vms = at_once(*[functools.partial(helper.vm, cloud=cloud) for cloud in clouds])
    for cloud in clouds:
        cloud.close()
    names = [vm.name for vm in vcenter.all(vim.VirtualMachine)]
    assert len({vm.cid for vm in vms}) == 3
    assert len([name for name in names if name.startswith(helper.stemcell)]) == 2
    assert all(vcenter.vm(vm.cid).datastore[0].name == "LocalDS_1" for vm in vms)
    helper.cloud.delete_stemcell(helper.stemcell)
    assert not [vm.name for vm in vcenter.all(vim.VirtualMachine) if vm.name.startswith("sc-")]


def test_a_copy_without_a_snapshot_that_somebody_left_is_finished(vcenter: Lab, helper: Helper) -> None:
    """The process that copied it was killed between the clone and its snapshot."""
    with cpi.connect(vcenter.config(datacenter={"datastore_pattern": "^LocalDS_1$"})) as cloud:
        helper.vm(cloud=cloud)
        copy = next(vm for vm in vcenter.all(type(vcenter.vm(helper.stemcell))) if vm.name.startswith(f"{helper.stemcell} "))
        vcenter.end(copy.RemoveAllSnapshots_Task())
        assert cloud.has_vm(helper.vm(cloud=cloud).cid)


def test_disks_attached_by_several_processes_get_units_of_their_own(vcenter: Lab, helper: Helper, tmp_path: Path) -> None:
    """Each looked while the unit was free: those that come late look again. Their locks are on other machines."""
    vm = helper.vm().cid
    disks = [helper.cloud.create_disk(MiB(10), {}) for _ in range(3)]
    vcenter.proxy.inject(Rule("ReconfigVM_Task", effects.delay(0.3)))
    clouds = [cpi.connect(vcenter.config(cache_folder=str(tmp_path / str(number)))) for number in range(3)]
    hints = at_once(*[functools.partial(cloud.attach_disk, vm, disk) for cloud, disk in zip(clouds, disks, strict=True)])
    for cloud in clouds:
        cloud.close()
    assert len({hint.device for hint in hints}) == 3
    assert sorted(helper.cloud.get_disks(vm)) == sorted(disks)


def test_two_processes_with_one_token_make_one_disk(vcenter: Lab, cloud: Cloud) -> None:
    """And one VM: see the conformance suite."""
    with cpi.connect(vcenter.config()) as another:
        made = at_once(*[functools.partial(maker.create_disk, MiB(10), {}, None, "token") for maker in (cloud, another)])
    assert len(set(made)) == 1


def test_agents_are_told_by_cd_and_guestinfo_alike(vcenter: Lab, helper: Helper) -> None:
    """The same document, with the card's MAC in it."""
    import base64
    import io
    import json

    import pycdlib

    made = helper.cloud.create_vm(
        AgentId("the-agent"), helper.stemcell, {"cpu": 1, "ram": 512, "disk": 1024}, helper.manual(), (), {"bosh": {"a": "b"}}
    )
    folder = vcenter.folders()["LocalDS_0"] / made.cid
    image, content = pycdlib.PyCdlib(), io.BytesIO()
    image.open_fp(io.BytesIO((folder / "env.iso").read_bytes()))
    image.get_file_from_iso_fp(content, iso_path="/ENV.;1")
    image.close()
    options = {option.key: option.value for option in helper.real(made.cid).config.extraConfig}
    told = json.loads(content.getvalue())
    assert told == json.loads(base64.b64decode(options["guestinfo.userdata"])) == json.loads((folder / "env.json").read_bytes())
    assert told["agent_id"] == "the-agent"
    cards = [device for device in helper.real(made.cid).config.hardware.device if hasattr(device, "macAddress")]
    assert [card.macAddress for card in cards] == [told["networks"]["default"]["mac"]]


def test_two_machines_with_one_token_make_one_first_class_disk(vcenter: Lab, tmp_path: Path) -> None:
    """They share no lock: the datastore takes its file's name once, and the vCenter registers it once."""
    vcenter.proxy.inject(Rule("CreateVirtualDisk_Task", effects.delay(0.2)), Rule("RegisterDisk", effects.delay(0.2)))
    clouds = [cpi.connect(vcenter.config(fcd=True, cache_folder=str(tmp_path / str(number)))) for number in range(3)]
    made = at_once(*[functools.partial(cloud.create_disk, MiB(10), {}, None, "a token") for cloud in clouds])
    for cloud in clouds:
        cloud.close()
    assert len(set(made)) == 1
    assert vcenter.census()["files .vmdk"] == 2


def _refused_after(vcenter: Lab) -> Effect:
    """The vCenter has done as much for a call before this one, and finds fault with this one's words."""

    async def effect(request: Request, forward: Forward) -> Answer:
        await forward(request)
        tasks = vcenter.content.taskManager
        await asyncio.to_thread(lambda: [vcenter.end(task) for task in tasks.recentTask])
        return fault("InvalidArgument")

    return effect


def test_a_disk_that_is_attached_already_when_its_property_is_refused_is_attached(vcenter: Lab, helper: Helper) -> None:
    """A newer simulator, at least, looks at the VM's properties before it looks at its units."""
    vm, disk = helper.vm().cid, helper.cloud.create_disk(MiB(10), {})
    with _rule(vcenter, Rule("ReconfigVM_Task", _refused_after(vcenter), times=1)) as rule:
        hint = helper.cloud.attach_disk(vm, disk)
    assert (rule.met, helper.cloud.attach_disk(vm, disk)) == (1, hint)


def test_a_disk_that_is_refused_for_another_reason_is_not_attached_again_and_again(vcenter: Lab, helper: Helper) -> None:
    """The unit is free as before: it is not that."""
    vm, disk = helper.vm().cid, helper.cloud.create_disk(MiB(10), {})
    refused = Rule("ReconfigVM_Task", effects.answer(500, fault("InvalidArgument").body))
    with _rule(vcenter, refused) as rule, pytest.raises(errors.CloudError, match=r"cannot be attached: .*InvalidArgument"):
        helper.cloud.attach_disk(vm, disk)
    assert rule.met == 1


@pytest.mark.parametrize("method", ["detach_disk", "delete_vm"])
def test_a_disk_that_a_killed_call_has_just_taken_away_is_detached(vcenter: Lab, helper: Helper, method: str) -> None:
    """Its change was under way when this call looked: "a specified parameter was not correct" says no more than that."""
    vm, disk = helper.vm().cid, helper.cloud.create_disk(MiB(10), {})
    helper.cloud.attach_disk(vm, disk)
    with _rule(vcenter, Rule("ReconfigVM_Task", _refused_after(vcenter), times=1)) as rule:
        helper.cloud.detach_disk(vm, disk) if method == "detach_disk" else helper.cloud.delete_vm(vm)
    assert rule.met == 1
    assert helper.cloud.has_disk(disk)
    assert helper.cloud.has_vm(vm) is (method == "detach_disk")


@contextlib.contextmanager
def _rule(vcenter: Lab, rule: Rule) -> Iterator[Rule]:
    vcenter.proxy.inject(rule)
    yield rule
    vcenter.proxy.withdraw(rule)
