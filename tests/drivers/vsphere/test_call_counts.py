"""How many SOAP calls each method makes: exact, so that a change that costs calls is seen. Looks at tasks are left out."""

import functools

import pytest

import cpi
from cpi.contract.cloud import Cloud
from cpi.contract.ids import VmCid
from cpi.contract.units import MiB
from fixtures.clouds.vcsim.lab import Lab, lab
from tests.drivers.vsphere.conftest import Counted, Helper, calls_of

pytestmark = pytest.mark.slow

_SIZE = MiB(100)
_LOOK = {"FindByInventoryPath": 1, "RetrievePropertiesEx": 1}
_RECORD = {"GET file": 1, "PUT file": 1}


def test_info_makes_no_call(vcenter: Lab, cloud: Cloud, counted: Counted) -> None:
    """Callers ask before nearly every call; the official CPI logs in for it."""
    assert counted(cloud.info) == {}
    assert counted(cloud.ping) == {}


def test_the_first_process_logs_in_and_the_next_does_not(vcenter: Lab, counted: Counted) -> None:
    """The session is kept in a file. Before a VM is said to be gone, it is looked for in the whole datacenter."""
    with cpi.connect(vcenter.config()) as first:
        assert counted(lambda: first.has_vm(VmCid("vm-x"))) == {
            "RetrieveServiceContent": 1,
            "Login": 1,
            "FindByInventoryPath": 2,
            "RetrievePropertiesEx": 1,
        }
    with cpi.connect(vcenter.config()) as second:
        assert counted(lambda: second.has_vm(VmCid("vm-x"))) == {"FindByInventoryPath": 2, "RetrievePropertiesEx": 1}


def test_every_method_keeps_its_number(vcenter: Lab, helper: Helper, counted: Counted) -> None:
    """Each by a process of its own, with a session that was kept and all folders there."""
    _proven(vcenter, helper, counted)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_with_1000_vms_every_method_makes_the_same_calls(tmp_path: str, monkeypatch: pytest.MonkeyPatch, image_path: str) -> None:
    """As with few."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with lab("-vm", "500") as crowded, cpi.connect(crowded.config()) as cloud:
        helper = Helper(crowded, cloud, cloud.create_stemcell(str(image_path), {}, {}))
        assert crowded.census()["VMs"] >= 1000
        _proven(crowded, helper, functools.partial(calls_of, crowded))


def _proven(vcenter: Lab, helper: Helper, counted: Counted) -> None:
    vm, disk_cid = helper.vm().cid, helper.cloud.create_disk(_SIZE, {})

    def calls(method: str, *arguments: object) -> dict[str, int]:
        with cpi.connect(vcenter.config()) as cloud:
            return dict(counted(lambda: getattr(cloud, method)(*arguments)))

    look = {"FindByInventoryPath": 1, "RetrievePropertiesEx": 1, "SearchDatastore_Task": 1}
    assert calls("has_vm", vm) == {"FindByInventoryPath": 1}
    assert calls("has_disk", disk_cid) == look
    assert calls("create_disk", _SIZE, {}) == {**_LOOK, "CreateVirtualDisk_Task": 1, "PUT file": 1}
    assert calls("create_disk", _SIZE, {}, vm) == {**_LOOK, "CreateVirtualDisk_Task": 1, "PUT file": 1}
    assert calls("attach_disk", vm, disk_cid) == {**look, "ReconfigVM_Task": 1, **_RECORD}
    assert calls("attach_disk", vm, disk_cid) == _LOOK
    assert calls("get_disks", vm) == _LOOK
    assert calls("detach_disk", vm, disk_cid) == {**_LOOK, "ReconfigVM_Task": 1, **_RECORD}
    assert calls("resize_disk", disk_cid, MiB(200)) == {**look, "ExtendVirtualDisk_Task": 1, "GET file": 1}
    assert calls("snapshot_disk", disk_cid, {}) == {**look, "CopyVirtualDisk_Task": 1, "PUT file": 1}
    assert calls("reboot_vm", vm) == {**_LOOK, "RebootGuest": 1}
    gone = {"PowerOffVM_Task": 1, "Destroy_Task": 1, "DeleteDatastoreFile_Task": 2}
    assert calls("delete_vm", vm) == {"FindByInventoryPath": 2, "RetrievePropertiesEx": 1, **gone}
    assert calls("delete_disk", disk_cid) == {**look, "DeleteVirtualDisk_Task": 1, "DeleteDatastoreFile_Task": 1, "GET file": 1}
    with cpi.connect(vcenter.config()) as cloud:
        made = counted(lambda: helper.vm(cloud=cloud))
    assert made == {
        "FindByInventoryPath": 4,
        "RetrievePropertiesEx": 3,
        "FindAllByIp": 1,
        "CloneVM_Task": 1,
        "PUT file": 2,
        "ReconfigVM_Task": 1,
        "UpgradeVM_Task": 1,
        "PowerOnVM_Task": 1,
    }
