"""Which datacenter is meant, and what is said where it is not there: never that a VM or a disk is gone."""

import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import cpi
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid, SnapshotCid, StemcellCid, VmCid
from cpi.contract.units import MiB
from cpi.kit.settings import Secret
from cpi_drivers.vsphere.api.datacenters import Sites
from cpi_drivers.vsphere.settings import Datacenter, VCenter
from fixtures.clouds.vcsim.lab import Lab
from fixtures.proxy import Answer, Rule, effects
from tests.drivers.vsphere.conftest import Helper

_FOUND = re.compile(rb"<returnval.*?</returnval>", re.DOTALL)
_FCD = DiskCid("fcd-00000000-0000-4000-8000-000000000001")

CALLS: dict[str, Callable[[Cloud], object]] = {
    "has_vm": lambda cloud: cloud.has_vm(VmCid("vm-1")),
    "delete_vm": lambda cloud: cloud.delete_vm(VmCid("vm-1")),
    "reboot_vm": lambda cloud: cloud.reboot_vm(VmCid("vm-1")),
    "set_vm_metadata": lambda cloud: cloud.set_vm_metadata(VmCid("vm-1"), {"a": "b"}),
    "get_disks": lambda cloud: cloud.get_disks(VmCid("vm-1")),
    "create_disk": lambda cloud: cloud.create_disk(MiB(10), {}),
    "create_disk near a VM": lambda cloud: cloud.create_disk(MiB(10), {}, VmCid("vm-1")),
    "has_disk": lambda cloud: cloud.has_disk(DiskCid("disk-1")),
    "has_disk of a First Class Disk": lambda cloud: cloud.has_disk(_FCD),
    "delete_disk": lambda cloud: cloud.delete_disk(DiskCid("disk-1")),
    "delete_disk of a First Class Disk": lambda cloud: cloud.delete_disk(_FCD),
    "attach_disk": lambda cloud: cloud.attach_disk(VmCid("vm-1"), DiskCid("disk-1")),
    "detach_disk": lambda cloud: cloud.detach_disk(VmCid("vm-1"), DiskCid("disk-1")),
    "resize_disk": lambda cloud: cloud.resize_disk(DiskCid("disk-1"), MiB(20)),
    "update_disk": lambda cloud: cloud.update_disk(DiskCid("disk-1"), MiB(20), {}),
    "set_disk_metadata": lambda cloud: cloud.set_disk_metadata(DiskCid("disk-1"), {"a": "b"}),
    "snapshot_disk": lambda cloud: cloud.snapshot_disk(DiskCid("disk-1"), {}),
    "delete_snapshot": lambda cloud: cloud.delete_snapshot(SnapshotCid("snapshot-1")),
    "delete_stemcell": lambda cloud: cloud.delete_stemcell(StemcellCid("sc-1")),
}


@pytest.fixture
def elsewhere(vcenter: Lab) -> Iterator[Cloud]:
    """The driver, whose datacenter was renamed, or never was there."""
    with cpi.connect(vcenter.config(datacenter={"name": "DC9"})) as cloud:
        yield cloud


@pytest.mark.parametrize("call", CALLS)
def test_a_datacenter_that_is_not_there_is_an_error(elsewhere: Cloud, call: str) -> None:
    """What is asked for may well be there: it is not said to be gone, nor not to exist."""
    with pytest.raises(
        errors.CloudError, match=r"has no datacenter 'DC9', or administrator@vsphere\.local may not see it"
    ) as caught:
        CALLS[call](elsewhere)
    assert type(caught.value) is errors.CloudError


def test_a_vm_is_made_in_no_datacenter_that_is_not_there(elsewhere: Cloud, vcenter: Lab, helper: Helper) -> None:
    """The stemcell is not said to be missing."""
    with pytest.raises(errors.CloudError, match="has no datacenter 'DC9'"):
        helper.vm(cloud=elsewhere)


def test_a_right_that_is_withdrawn_makes_no_vm_gone(vcenter: Lab, helper: Helper) -> None:
    """Who may not see a datacenter finds nothing at any path in it."""
    vm, stemcell = helper.vm().cid, helper.stemcell
    blind = Rule("FindByInventoryPath", effects.rewritten(lambda _, answer: Answer(200, _FOUND.sub(b"", answer.body))))
    vcenter.proxy.inject(blind)
    with cpi.connect(vcenter.config()) as cloud:
        for call in (lambda: cloud.has_vm(vm), lambda: cloud.delete_vm(vm), lambda: cloud.delete_stemcell(stemcell)):
            with pytest.raises(
                errors.CloudError, match=r"has no datacenter 'DC0', or administrator@vsphere\.local may not see it"
            ):
                call()
    assert blind.met
    vcenter.proxy.withdraw(blind)
    assert helper.cloud.has_vm(vm)


def test_what_is_in_one_datacenter_is_found_though_another_is_not_there(vcenter: Lab, helper: Helper) -> None:
    """Only what is found nowhere cannot be known to be gone."""
    vm = helper.vm().cid
    document = vcenter.config()
    [known] = document["cloud"]["properties"]["vcenters"][0]["datacenters"]
    document["cloud"]["properties"]["vcenters"][0]["datacenters"] = [{**known, "name": "DC9"}, known]
    with cpi.connect(document) as cloud:
        assert cloud.has_vm(vm)
        with pytest.raises(errors.CloudError, match="has no datacenter 'DC9'"):
            cloud.has_vm(VmCid("vm-1"))


# ---------------------------------------------------------------------- the datacenter of an AZ


@pytest.mark.parametrize(
    "place",
    [
        {"clusters": [{"DC0_C1": {}}]},
        {"clusters": [{"DC0_C1": None}], "name": None},
        {"name": "", "clusters": ["DC0_C1"]},
        {"name": "DC0", "clusters": ["DC0_C1"]},
    ],
)
def test_an_az_need_not_name_its_datacenter(helper: Helper, place: dict[str, Any]) -> None:
    """As in the cloud-config that everyone begins with: the configuration's is meant."""
    vm = helper.real(helper.vm(datacenters=[place]).cid)
    assert vm.resourcePool.owner.name == "DC0_C1"


def _sites(*names: str) -> Sites:
    datacenters = tuple(Datacenter(name, ("c",), datastore_pattern="a", persistent_datastore_pattern="b") for name in names)
    document = VCenter("v.example", "user", Secret("password"), datacenters)
    return Sites([document])


def test_with_one_datacenter_another_name_is_logged_and_means_it(caplog: pytest.LogCaptureFixture) -> None:
    """The official CPI never looks at it."""
    with caplog.at_level(logging.WARNING):
        assert _sites("F0/DC0").named("DC1").datacenter.name == "F0/DC0"
    assert caplog.messages == ["the AZ names the datacenter 'DC1'; the one of the configuration is used: 'F0/DC0'"]


@pytest.mark.parametrize(
    ("names", "asked", "meant"),
    [
        (("F0/DC0", "DC1"), None, "F0/DC0"),
        (("F0/DC0", "DC1"), "DC1", "DC1"),
        (("F0/DC0", "DC1"), "DC0", "F0/DC0"),
        (("DC0", "DC1"), "F0/DC1", "DC1"),
        (("F0/DC0", "F1/DC0"), "F1/DC0", "F1/DC0"),
    ],
)
def test_a_datacenter_is_named_by_its_name_or_its_path(
    names: tuple[str, ...], asked: str | None, meant: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is said of it."""
    with caplog.at_level(logging.WARNING):
        assert _sites(*names).named(asked).datacenter.name == meant
    assert caplog.messages == []


@pytest.mark.parametrize("asked", ["DC2", "DC0"])
def test_with_several_datacenters_a_name_must_tell_them_apart(asked: str) -> None:
    """Those that there are, are listed."""
    with pytest.raises(errors.CloudError, match=f"the configuration has no datacenter '{asked}', it has: F0/DC0, F1/DC0"):
        _sites("F0/DC0", "F1/DC0").named(asked)
