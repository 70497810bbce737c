"""Two processes at the same time: neither change of one thing is lost, and of what one token names there is one."""

import pytest

from cpi.contract.cloud import Cloud
from fixtures.clouds.google.lab import ZONE, Lab
from tests.drivers.google.conftest import AtOnce, Helper, meeting

pytestmark = pytest.mark.slow


def _refused_as_stale(google: Lab) -> int:
    return [call.status for call in google.proxy.calls].count(412)


def test_two_disks_are_attached_to_one_vm(google: Lab, helper: Helper, cloud: Cloud, at_once: AtOnce) -> None:
    """The settings in its metadata tell of both."""
    vm, disk_cids = helper.vm(), [helper.disk(), helper.disk()]
    google.proxy.inject(meeting("POST instances/{name}/setMetadata"))
    at_once(*(("attach_disk", [vm.cid, cid]) for cid in disk_cids))
    assert set(helper.settings(vm.cid)["disks"]["persistent"]) == set(cloud.get_disks(vm.cid)) == set(disk_cids)
    google.proxy.inject(meeting("POST instances/{name}/setMetadata"))
    at_once(*(("detach_disk", [vm.cid, cid]) for cid in disk_cids))
    assert helper.settings(vm.cid)["disks"]["persistent"] == {}
    assert _refused_as_stale(google) == 2


def test_a_vm_is_labelled_twice(google: Lab, helper: Helper, at_once: AtOnce) -> None:
    """It has the labels of both, and the metadata of both."""
    vm = helper.vm()
    google.proxy.inject(meeting("POST instances/{name}/setLabels"), meeting("POST instances/{name}/setMetadata"))
    at_once(("set_vm_metadata", [vm.cid, {"job": "db"}]), ("set_vm_metadata", [vm.cid, {"index": "3"}]))
    labels = google.labels(vm.cid)
    items = {one["key"]: one["value"] for one in google.see("instances", vm.cid)["metadata"]["items"]}
    assert _refused_as_stale(google) == 2
    assert (items["job"], items["index"]) == ("db", "3")
    assert (labels["job"], labels["index"], labels["multicpi"]) == ("db", "3", "1")


def test_a_disk_is_labelled_twice(google: Lab, helper: Helper, at_once: AtOnce) -> None:
    """It has the labels of both."""
    disk_cid = helper.disk()
    google.proxy.inject(meeting("POST disks/{name}/setLabels"))
    at_once(("set_disk_metadata", [disk_cid, {"job": "db"}]), ("set_disk_metadata", [disk_cid, {"index": "3"}]))
    labels = google.labels(disk_cid)
    assert _refused_as_stale(google) == 1
    assert (labels["job"], labels["index"]) == ("db", "3")


def test_one_token_makes_one_vm_and_one_disk(google: Lab, helper: Helper, at_once: AtOnce) -> None:
    """Both asked for it before there was any."""
    google.proxy.inject(meeting("POST instances"), meeting("POST disks"))
    networks = {name: network.to_document() for name, network in helper.manual().items()}
    wish = ["agent", helper.stemcell, {"machine_type": "n1-standard-1", "zone": ZONE}, networks, [], {}]
    first, second = at_once(*[("create_vm", wish)] * 2, token="a token")  # noqa: S106 - not secret
    assert first == second
    assert list(google.all("instances")) == [f"projects/a-project/zones/{ZONE}/instances/{first[0]}"]
    first, second = at_once(*[("create_disk", [1024, {"zone": ZONE}, None])] * 2, token="a token")  # noqa: S106 - not secret
    assert first == second
    assert google.see("disks", first)
