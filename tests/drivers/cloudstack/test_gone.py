"""What is not where the configuration says is not gone: it may run, in another project or account."""

import json
from collections.abc import Callable

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid, StemcellCid, VmCid
from cpi.contract.units import MiB
from fixtures.clouds.cloudstack.lab import Lab
from fixtures.proxy import Effect, Rule, effects
from tests.drivers.cloudstack.conftest import Connect, Helper

_CALLS: dict[str, Callable[[Cloud, VmCid, DiskCid], object]] = {
    "has_vm": lambda cloud, vm, _: cloud.has_vm(vm),
    "delete_vm": lambda cloud, vm, _: cloud.delete_vm(vm),
    "reboot_vm": lambda cloud, vm, _: cloud.reboot_vm(vm),
    "get_disks": lambda cloud, vm, _: cloud.get_disks(vm),
    "attach_disk": lambda cloud, vm, disk: cloud.attach_disk(vm, disk),
    "detach_disk": lambda cloud, vm, disk: cloud.detach_disk(vm, disk),
    "has_disk": lambda cloud, _, disk: cloud.has_disk(disk),
    "delete_disk": lambda cloud, _, disk: cloud.delete_disk(disk),
    "resize_disk": lambda cloud, _, disk: cloud.resize_disk(disk, MiB(2048)),
    "snapshot_disk": lambda cloud, _, disk: cloud.snapshot_disk(disk, {}),
}


def test_what_is_in_the_account_is_not_gone_for_a_project(cloud: Cloud, connect: Connect, helper: Helper) -> None:
    """`project` was added to the configuration after it was made: nothing is done, in no method."""
    vm, disk = helper.vm(cloud).cid, cloud.create_disk(MiB(1024), {})
    elsewhere = connect(project="bosh-project")
    for name, call in _CALLS.items():
        with pytest.raises(errors.CloudError, match=r"is in the account .*, which is not that of the configuration") as caught:
            call(elsewhere, vm, disk)
        assert type(caught.value) is errors.CloudError, name
    assert cloud.has_vm(vm)
    cloud.delete_disk(disk)


def test_what_is_in_a_project_is_not_gone_for_the_account(cloud: Cloud, connect: Connect) -> None:
    """Nor the other way round."""
    inside = connect(project="bosh-project")
    disk = inside.create_disk(MiB(1024), {})
    for call in (lambda: cloud.has_disk(disk), lambda: cloud.delete_disk(disk)):
        with pytest.raises(errors.CloudError, match="is in the project bosh"):
            call()
    inside.delete_disk(disk)


def test_what_is_nowhere_is_gone(cloud: Cloud) -> None:
    """And is said to be."""
    assert not cloud.has_vm(VmCid("cpivm-00000000-0000-4000-8000-000000000001"))
    assert not cloud.has_disk(DiskCid("cpi-disk-00000000-0000-4000-8000-000000000001"))
    cloud.delete_vm(VmCid("cpivm-00000000-0000-4000-8000-000000000001"))
    cloud.delete_stemcell(StemcellCid("stemcell-00000000000000000000000"))


_UNAUTHORIZED = json.dumps({"queryasyncjobresultresponse": {"errorcode": 401, "errortext": "unable to verify user credentials"}})


@pytest.mark.parametrize(("strays", "ends"), [(1, True), (2, False)])
def test_a_stray_401_at_a_job_is_looked_past(cloudstack: Lab, cloud: Cloud, *, strays: int, ends: bool) -> None:
    """The keys have begun the job: once is no answer, twice in a row is one."""
    disk = cloud.create_disk(MiB(1024), {})
    refused = effects.answer(401, _UNAUTHORIZED.encode(), {"Content-Type": "application/json"})
    rule = Rule("queryAsyncJobResult", refused, times=strays)
    with cloudstack.rule(rule):
        if ends:
            cloud.resize_disk(disk, MiB(2048))
        else:
            with pytest.raises(errors.CpiError, match="does not take api_key"):
                cloud.resize_disk(disk, MiB(2048))
    assert rule.met == strays
    cloud.delete_disk(disk)


def _told(**answer: object) -> Effect:
    return effects.answer(200, json.dumps({"response": answer}).encode(), {"Content-Type": "application/json"})


def test_keys_that_may_not_expunge_are_told_what_to_set(cloudstack: Lab, cloud: Cloud, helper: Helper) -> None:
    """The job says so; the VM is there yet, and goes with the right."""
    vm = helper.vm(cloud).cid
    said = {"errorcode": 530, "errortext": "Parameter expunge can be passed by Admin only"}
    with (
        cloudstack.rule(Rule("destroyVirtualMachine", _told(jobid="job"))),
        cloudstack.rule(Rule("queryAsyncJobResult", _told(jobstatus=2, jobresultcode=530, jobresult=said))),
        pytest.raises(errors.CloudError, match=r"Admin only; these keys may not expunge VMs: set allow"),
    ):
        cloud.delete_vm(vm)
    assert cloud.has_vm(vm)
    cloud.delete_vm(vm)
