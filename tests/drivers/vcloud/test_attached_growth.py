"""grow_attached_disk: by the VM's hardware, for the disk itself cannot be changed while it is attached."""

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.units import MiB
from cpi_drivers.vcloud.cloud import VcloudCloud
from fixtures.clouds.vcloud.lab import Lab
from fixtures.proxy import Answer, Request, Rule, effects
from tests.drivers.vcloud.conftest import Helper

pytestmark = pytest.mark.slow

_SIZE, _LARGER = MiB(100), MiB(200)
_LOOK = {"GET /api/vApp/vm-{id}": 1, "GET /api/disk/{id}": 1}
_RECONFIGURE = "POST /api/vApp/vm-{id}/action/reconfigureVm"
_ABSENT = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def own(cloud: Cloud) -> VcloudCloud:
    """With what it offers beyond the CPI."""
    assert isinstance(cloud, VcloudCloud)
    return cloud


@pytest.fixture
def vm_cid(own: VcloudCloud, helper: Helper) -> VmCid:
    """One with a disk of its own, and one that outlives it."""
    return helper.vm(own, disk=1024).cid


def _attached(own: VcloudCloud, vm_cid: VmCid, **properties: str) -> DiskCid:
    disk_cid = own.create_disk(_SIZE, properties)
    own.attach_disk(vm_cid, disk_cid)
    return disk_cid


def _remove(own: VcloudCloud, vm_cid: VmCid, disk_cid: DiskCid) -> None:
    own.detach_disk(vm_cid, disk_cid)
    own.delete_disk(disk_cid)


def test_it_grows_attached_in_3_calls_and_again_in_2(vcloud: Lab, own: VcloudCloud, vm_cid: VmCid) -> None:
    """The disk and its VM have the size, and nothing else of the VM has changed."""
    disk_cid, other = _attached(own, vm_cid), _attached(own, vm_cid)
    before = vcloud.one("vms", vm_cid)
    vcloud.proxy.forget_calls()
    own.grow_attached_disk(vm_cid, disk_cid, _LARGER)
    assert vcloud.calls() == {**_LOOK, _RECONFIGURE: 1}
    vcloud.proxy.forget_calls()
    own.grow_attached_disk(vm_cid, disk_cid, _LARGER)
    assert vcloud.calls() == _LOOK
    assert [vcloud.one("disks", cid)["size_mb"] for cid in (disk_cid, other)] == [200, 100]
    after = vcloud.one("vms", vm_cid)
    assert [slot["size_mb"] for slot in after.pop("disks")] == [*(s["size_mb"] for s in before.pop("disks")[:-2]), 200, 100]
    assert after == before
    assert list(own.get_disks(vm_cid)) == [disk_cid, other]
    for cid in (disk_cid, other):
        _remove(own, vm_cid, cid)


def test_a_lost_answer_and_a_busy_cloud_are_no_failure(vcloud: Lab, own: VcloudCloud, vm_cid: VmCid) -> None:
    """The same once more changes nothing."""
    disk_cid = _attached(own, vm_cid)
    for size, effect in ((200, effects.lost_answer()), (300, effects.answer(503, b"busy"))):
        with vcloud.rule(Rule(_RECONFIGURE, effect, times=1)) as rule:
            own.grow_attached_disk(vm_cid, disk_cid, MiB(size))
        assert rule.met == 1
        assert vcloud.one("disks", disk_cid)["size_mb"] == size
    _remove(own, vm_cid, disk_cid)


def test_what_the_cloud_refuses_is_told_in_its_words(vcloud: Lab, own: VcloudCloud, vm_cid: VmCid) -> None:
    """An old cloud that grows no attached disk, and a profile that is full."""
    disk_cid = _attached(own, vm_cid, storage_profile="little")
    said = (
        b'<Error xmlns="http://www.vmware.com/vcloud/v1.5" majorErrorCode="400" minorErrorCode="BAD_REQUEST" message="not it"/>'
    )
    refused = Rule(_RECONFIGURE, effects.answer(400, said, {"Content-Type": "application/vnd.vmware.vcloud.error+xml"}))
    with vcloud.rule(refused), pytest.raises(errors.NotSupported, match=r"cannot do this while a VM uses it.*not it"):
        own.grow_attached_disk(vm_cid, disk_cid, _LARGER)
    with pytest.raises(errors.NoDiskSpace, match="little"):
        own.grow_attached_disk(vm_cid, disk_cid, MiB(30_000))
    _remove(own, vm_cid, disk_cid)


def test_a_disk_that_vms_may_share_is_refused(vcloud: Lab, own: VcloudCloud, vm_cid: VmCid) -> None:
    """Before anything is touched."""
    disk_cid = _attached(own, vm_cid)

    def shared(_: Request, answer: Answer) -> Answer:
        return Answer(answer.status, answer.body.replace(b'sharingType="None"', b'sharingType="DiskSharing"'), answer.headers)

    rule = Rule("GET /api/disk/{id}", effects.rewritten(shared))
    vcloud.proxy.forget_calls()
    with vcloud.rule(rule), pytest.raises(errors.NotSupported, match="shared by VMs"):
        own.grow_attached_disk(vm_cid, disk_cid, _LARGER)
    assert vcloud.calls() == _LOOK
    _remove(own, vm_cid, disk_cid)


def test_smaller_a_disk_that_is_detached_and_what_is_not_there(own: VcloudCloud, vm_cid: VmCid) -> None:
    """Each by its own error."""
    disk_cid = _attached(own, vm_cid)
    with pytest.raises(errors.NotSupported, match="cannot shrink to 50 MiB"):
        own.grow_attached_disk(vm_cid, disk_cid, MiB(50))
    own.detach_disk(vm_cid, disk_cid)
    with pytest.raises(errors.DiskNotAttached):
        own.grow_attached_disk(vm_cid, disk_cid, _LARGER)
    with pytest.raises(errors.VMNotFound):
        own.grow_attached_disk(VmCid(f"urn:vcloud:vm:{_ABSENT}"), disk_cid, _LARGER)
    with pytest.raises(errors.DiskNotFound):
        own.grow_attached_disk(vm_cid, DiskCid(f"urn:vcloud:disk:{_ABSENT}"), _LARGER)
    own.delete_disk(disk_cid)
