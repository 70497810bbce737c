"""Sizes, lengths and limits to the last byte; and what is said when something of a VM could not be removed."""

import json
import uuid
from types import SimpleNamespace
from typing import Any

import pytest

from cpi.contract import errors
from cpi.contract.ids import DiskCid
from cpi.contract.model import CallContext, VmResources
from cpi.contract.operator import ShowsDiskTags
from cpi.contract.units import MiB, bytes_from_mib
from cpi.kit.tagging import TOKEN
from cpi.kit.waiting import Overdue
from cpi_drivers.cloudstack.api import offerings
from cpi_drivers.cloudstack.disks import changes
from cpi_drivers.cloudstack.disks.snapshots import Snapshots
from cpi_drivers.cloudstack.properties import VmProperties
from cpi_drivers.cloudstack.vms import agent_settings
from cpi_drivers.cloudstack.vms.affinity import AffinityGroups
from fixtures.clouds.cloudstack.lab import Lab
from fixtures.proxy import Rule
from tests.drivers.cloudstack.conftest import Connect, Helper
from tests.drivers.cloudstack.test_faults import refused

_FIXED = {"id": "o", "name": "fixed-5", "disksize": 5}
_PIECE = 3
"""Bytes that become four characters as user data."""


def test_settings_are_taken_up_to_32767_characters() -> None:
    """As many as CloudStack takes; each three bytes more are four characters more."""
    most = 32764 // 4 * _PIECE - len(json.dumps({"k": ""}, separators=(",", ":")))
    assert len(agent_settings.encoded({"k": "x" * most})) == 32764
    with pytest.raises(errors.CpiError, match="are 32768 bytes as user data"):
        agent_settings.encoded({"k": "x" * (most + 1)})


def test_a_fixed_offering_of_just_the_size_is_taken() -> None:
    """A MiB more is too much for it; a free size is rounded up to GiB."""
    assert offerings.sized(_FIXED, MiB(5 * 1024)) == {"diskofferingid": "o"}
    with pytest.raises(errors.NoDiskSpace, match="have 5 GiB, not 6 GiB"):
        offerings.sized(_FIXED, MiB(5 * 1024 + 1))
    assert offerings.sized({"id": "c", "iscustomized": True}, MiB(1025))["size"] == 2


def test_a_customised_offering_goes_to_its_bounds() -> None:
    """As many cores and as much memory as it may have, and no more."""
    bounds = {"serviceofferingdetails": {"maxcpunumber": "8", "maxmemory": "4096"}}
    fitting = [
        offerings._may_be(bounds, VmResources(cpu=cpu, ram=MiB(ram), ephemeral_disk_size=MiB(0)))
        for cpu, ram in ((8, 4096), (9, 4096), (8, 4097))
    ]
    assert fitting == [True, False, False]


def test_a_disk_of_just_the_size_needs_not_grow() -> None:
    """And a change without an answer is done as soon as the disk has the size that was asked for."""
    assert changes._holds({"size": bytes_from_mib(MiB(2048))}, MiB(2048))
    assert not changes._holds({"size": bytes_from_mib(MiB(2048))}, MiB(2049))
    now = {"diskofferingid": "o", "size": bytes_from_mib(MiB(2048))}
    assert changes._fulfils(now, {"size": 2}, now)
    assert not changes._fulfils(now, {"size": 3}, now)


def test_the_longest_name_of_an_affinity_group_has_255_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    """An instance group's can be longer."""
    settings: Any = SimpleNamespace(enable_auto_anti_affinity=True, director_name="d", auto_anti_affinity_type="host")
    nothing: Any = SimpleNamespace()
    made: list[str] = []
    monkeypatch.setattr(AffinityGroups, "_ensure", lambda _self, name, _kind: made.append(name))
    groups = AffinityGroups(nothing, settings, nothing, CallContext())
    name = groups.of(VmProperties(compute_offering="small"), {"bosh": {"group": "g" * 300}})
    assert made == [name]
    assert len(str(name)) == 255


@pytest.mark.slow
@pytest.mark.parametrize("stays", [False, True], ids=["removed", "perhaps not removed"])
def test_no_vm_is_tried_again_while_something_of_the_last_may_be_there(
    cloudstack: Lab, connect: Connect, helper: Helper, *, stays: bool
) -> None:
    """There was no room, which may pass; whether something is left cannot be asked."""
    cloud = connect(max_attempts=1)
    none_left = cloudstack.rule(Rule("deployVirtualMachine", refused(533, "no room")))
    silent = cloudstack.rule(Rule("listVirtualMachines", refused(530), times=9 if stays else 0))
    with none_left, silent, pytest.raises(errors.VMCreationFailed, match="no room") as caught:
        helper.vm(cloud)
    assert caught.value.ok_to_retry is not stays


@pytest.mark.slow
def test_a_disk_that_was_left_without_tags_has_them_after_the_repeat(cloudstack: Lab, connect: Connect) -> None:
    """The call before this one could neither tag nor remove it."""
    cloud, token = connect(max_attempts=1), str(uuid.uuid4())
    untagged, kept = cloudstack.rule(Rule("createTags", refused(431))), cloudstack.rule(Rule("deleteVolume", refused(431)))
    with untagged, kept, pytest.raises(errors.CloudError, match="createTags"):
        cloud.create_disk(MiB(1024), {}, token=token)
    disk = cloud.create_disk(MiB(1024), {}, token=token)
    assert isinstance(cloud, ShowsDiskTags)
    assert cloud.disk_tags(disk)[TOKEN] == token
    cloud.delete_disk(disk)


def test_a_snapshot_that_comes_to_nothing_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was begun, and its job was not seen to end."""
    removed: list[str] = []
    volume = {"id": "v", "state": "Ready"}

    def begun(*_: object, **_wish: object) -> None:
        raise Overdue("the job has not ended")

    client: Any = SimpleNamespace(run=begun)
    inventory: Any = SimpleNamespace(existing_disk=lambda _: volume)
    monkeypatch.setattr(Snapshots, "_remove_named", lambda _self, name: removed.append(name))
    with pytest.raises(Overdue):
        Snapshots(client, inventory).create(DiskCid("cpi-disk-1"), {}, CallContext())
    assert len(removed) == 1
