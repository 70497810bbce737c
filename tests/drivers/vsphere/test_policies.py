"""Storage policies of persistent disks: made with them, kept where they can be kept, changed."""

import re
from typing import Any

import pytest
from pyVmomi import vim

import cpi
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.units import MiB
from fixtures.clouds.vcsim.lab import Lab
from fixtures.proxy import Answer, Request, Rule, effects
from tests.drivers.vsphere.conftest import Counted, Helper

_SIZE = MiB(100)
_FIRST = {"storage_policy": {"name": "vSAN Default Storage Policy"}}
_SECOND = {"storage_policy": {"name": "VVol No Requirements Policy"}}


def _told(vcenter: Lab, action: str) -> list[str]:
    """The policies that were named in the calls of an action, since the last time."""
    found = [call.request.body.decode() for call in vcenter.proxy.calls if call.action == action]
    vcenter.proxy.forget_calls()
    return [policy for body in found for policy in re.findall("<profileId>([^<]+)", body)]


def _fits_nowhere_but(vcenter: Lab, name: str) -> None:
    """From now on."""
    others = [store._moId.encode() for store in vcenter.all(vim.Datastore) if store.name != name]

    def fewer(_: Request, answer: Answer) -> Answer:
        body = answer.body
        for other in others:
            body = body.replace(other, b"another")
        return Answer(answer.status, body, answer.headers)

    vcenter.proxy.inject(Rule("PbmCheckRequirements", effects.rewritten(fewer)))


def test_a_vmdk_keeps_its_policy_on_every_vm(vcenter: Lab, helper: Helper) -> None:
    """It is made with it; each VM that gets it is told of it, also of the one that it was changed to, until it has none."""
    cloud, vm = helper.cloud, helper.vm().cid
    cid = cloud.create_disk(_SIZE, _FIRST)
    [first] = set(_told(vcenter, "CreateVirtualDisk_Task"))
    policies = []
    for change in (None, _SECOND, {}):
        if change is not None:
            assert cloud.update_disk(cid, _SIZE, change) == cid
        cloud.attach_disk(vm, cid)
        policies.append(_told(vcenter, "ReconfigVM_Task"))
        cloud.detach_disk(vm, cid)
    assert policies[0] == [first]
    assert policies[1] != [first]
    assert [len(one) for one in policies] == [1, 1, 0]


def test_a_first_class_disk_is_changed_in_the_vcenter(vcenter: Lab, helper: Helper) -> None:
    """The vCenter knows its policy; the CPI remembers what it has set, to set it once."""
    with cpi.connect(vcenter.config(fcd=True)) as cloud:
        cid = cloud.create_disk(_SIZE, _FIRST)
        [first] = set(_told(vcenter, "CreateVirtualDisk_Task"))
        assert cloud.update_disk(cid, _SIZE, _FIRST) == cid
        assert _told(vcenter, "UpdateVStorageObjectPolicy_Task") == []
        cloud.update_disk(cid, _SIZE, _SECOND)
        [second] = _told(vcenter, "UpdateVStorageObjectPolicy_Task")
        assert second != first
        cloud.update_disk(cid, _SIZE, {})
        assert [call.request.body for call in vcenter.proxy.calls if call.action == "UpdateVStorageObjectPolicy_Task"]
        assert _told(vcenter, "UpdateVStorageObjectPolicy_Task") == []


@pytest.mark.parametrize("fcd", [False, True])
def test_a_disk_is_where_its_policy_can_be_kept(vcenter: Lab, helper: Helper, *, fcd: bool) -> None:
    """When it is made, and when it changes to one that its datastore cannot keep."""
    config = vcenter.config(fcd=fcd, datacenter={"persistent_datastore_pattern": "^LocalDS"})

    def stores() -> list[str]:
        return [path.partition("]")[0] for path in vcenter.files() if path.endswith("flat.vmdk") and helper.stemcell not in path]

    with cpi.connect(config) as cloud:
        _fits_nowhere_but(vcenter, "LocalDS_1")
        cid = cloud.create_disk(_SIZE, _FIRST)
        assert stores() == ["[LocalDS_1"]
        vcenter.proxy.withdraw_all()
        _fits_nowhere_but(vcenter, "LocalDS_0")
        assert cloud.update_disk(cid, _SIZE, _SECOND) == cid
        assert stores() == ["[LocalDS_0"]


def test_a_policy_costs_four_calls_more(vcenter: Lab, cloud: Cloud, counted: Counted) -> None:
    """Its service, its id by its name, and the datastores that can keep it."""
    plain = counted(lambda: cloud.create_disk(_SIZE, {}))
    with cpi.connect(vcenter.config()) as another:
        more = counted(lambda: another.create_disk(_SIZE, _FIRST)) - plain
    assert set(more.values()) == {1}
    assert sorted(more) == ["PbmCheckRequirements", "PbmQueryProfile", "PbmRetrieveContent", "PbmRetrieveServiceContent"]


def test_a_policy_that_no_datastore_can_keep_is_told(vcenter: Lab, cloud: Cloud) -> None:
    """Before anything is made; and so is one that is not there."""
    before = vcenter.census()
    _fits_nowhere_but(vcenter, "none")
    with pytest.raises(errors.CloudError, match="no usable datastore"):
        cloud.create_disk(_SIZE, _FIRST)
    wish: dict[str, Any] = {"storage_policy": {"name": "none"}}
    with pytest.raises(errors.CloudError, match="VVol No Requirements Policy"):
        cloud.create_disk(_SIZE, wish)
    assert vcenter.census() == before
