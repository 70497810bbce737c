"""What a region holds of CPIs is found by its tags, with few calls; after a kill at any call a sweep finds everything."""

import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

import cpi
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import AgentId
from cpi.contract.model import CallContext, Network, NetworkDefinition
from cpi.contract.operator import ListsTaggedResources, TaggedResource
from cpi.contract.units import MiB
from fixtures.clouds.aws.images import bootable_image
from fixtures.clouds.aws.lab import ZONES, Lab
from tests.drivers.aws.conftest import Helper
from tests.drivers.conftest import ForkServers
from tests.drivers.each_kill import DIRECTOR, Method, Scene, kill_after_each_call

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_GIB: Final = MiB(1024)
_LISTING: Final = {
    "DescribeImages": 1,
    "DescribeInstances": 1,
    "DescribeNetworkInterfaces": 1,
    "DescribeSnapshots": 1,
    "DescribeSubnets": 1,
    "DescribeVolumes": 1,
}


def _listed(cloud: Cloud) -> list[TaggedResource]:
    assert isinstance(cloud, ListsTaggedResources)
    return list(cloud.tagged_resources())


def test_listing_makes_6_calls(aws: Lab, cloud: Cloud, helper: Helper) -> None:
    """However much there is on one page."""
    helper.vm()
    cloud.snapshot_disk(cloud.create_disk(_GIB, {}), {})
    aws.proxy.forget_calls()
    kinds = sorted(one.kind for one in _listed(cloud))
    assert aws.proxy.counts() == _LISTING
    assert kinds == ["VM", "disk", "disk", "disk", "snapshot"]


def test_networks_cost_a_seventh_call(aws: Lab, cloud: Cloud, helper: Helper) -> None:
    """To see what is on them; one with an interface on it is used."""
    made = cloud.create_network(NetworkDefinition(netmask_bits=26, cloud_properties={"availability_zone": ZONES[0]})).cid
    aws.proxy.forget_calls()
    (network,) = _listed(cloud)
    assert aws.proxy.counts() == {**_LISTING, "DescribeNetworkInterfaces": 2}
    assert (network.kind, network.id, network.attached_to, network.created is not None) == ("network", made, "", True)
    vm = helper.vm(networks={"default": Network(type="dynamic", cloud_properties={"subnet": made})})
    assert next(one.attached_to for one in _listed(cloud) if one.id == made) == vm.cid


@pytest.mark.parametrize(
    ("kind", "calls"),
    [
        ("disk", {"DescribeVolumes": 2, "DeleteVolume": 1}),
        ("snapshot", {"DescribeSnapshots": 1, "DescribeImages": 1, "DeleteSnapshot": 1}),
        ("interface", {"DescribeNetworkInterfaces": 1, "DeleteNetworkInterface": 1}),
    ],
)
def test_deleting_looks_once_more(aws: Lab, cloud: Cloud, helper: Helper, kind: str, calls: Mapping[str, int]) -> None:
    """And then deletes, as the contract's method does."""
    disk_cid = cloud.create_disk(_GIB, {})
    cloud.snapshot_disk(disk_cid, {})
    tags = [{"ResourceType": "network-interface", "Tags": [{"Key": "multicpi", "Value": "1"}]}]
    aws.ec2.create_network_interface(SubnetId=helper.subnet, TagSpecifications=tags)
    resource = next(one for one in _listed(cloud) if one.kind == kind)
    aws.proxy.forget_calls()
    assert isinstance(cloud, ListsTaggedResources)
    cloud.delete_tagged_resource(resource)
    assert aws.proxy.counts() == calls
    assert kind not in {one.kind for one in _listed(cloud)}


def test_what_a_director_tagged_by_an_official_cpi_is_found_and_what_others_made_is_not(aws: Lab, cloud: Cloud) -> None:
    """By the tag `director` that every director sets."""
    tagged = [{"ResourceType": "volume", "Tags": [{"Key": "director", "Value": "bosh"}, {"Key": "deployment", "Value": "shop"}]}]
    official = aws.ec2.create_volume(AvailabilityZone=ZONES[0], Size=1, TagSpecifications=tagged)["VolumeId"]
    aws.ec2.create_volume(AvailabilityZone=ZONES[0], Size=1)
    (found,) = _listed(cloud)
    assert (found.id, found.tags) == (official, {"director": "bosh", "deployment": "shop"})


def test_the_snapshot_of_an_image_is_in_use(aws: Lab, cloud: Cloud, tmp_path: Path) -> None:
    """It goes with its stemcell."""
    cloud.create_stemcell(str(bootable_image(tmp_path / "image")), {"name": "tiny", "version": "1", "disk": 1024}, {})
    listed = {one.kind: one for one in _listed(cloud)}
    assert listed["snapshot"].attached_to == listed["stemcell"].id
    assert isinstance(cloud, ListsTaggedResources)
    with pytest.raises(errors.CloudError, match="is attached to"):
        cloud.delete_tagged_resource(listed["snapshot"])
    for kind in ("stemcell", "snapshot"):
        cloud.delete_tagged_resource(listed[kind])
    assert _listed(cloud) == []


# ------------------------------------------------------------------ killed


@pytest.fixture
def scene(aws: Lab, helper: Helper, fork_servers: ForkServers, tmp_path: Path) -> Iterator[Scene]:
    """A region with a VM and a disk of this director that are known, and others' things."""
    config = tmp_path / "cpi.json"
    config.write_text(json.dumps(aws.config()))
    with (
        cpi.connect(aws.config(), CallContext(director_uuid=DIRECTOR)) as cloud,
        cpi.connect(aws.config(), CallContext(director_uuid="d-of-another")) as another,
    ):
        helper.cloud = another
        others = helper.vm().cid
        another.snapshot_disk(another.create_disk(_GIB, {}, others), {})
        aws.ec2.create_network_interface(SubnetId=helper.subnet)
        helper.cloud = cloud
        vm, disk = helper.vm().cid, cloud.create_disk(_GIB, {})
        yield Scene(cloud, config, fork_servers("aws").start, [aws.proxy], aws.census, [vm, disk])


def _new_vm(helper: Helper) -> Method:
    """Two interfaces, and a token, as a call has it."""
    first = helper.manual()["default"]

    def act(cloud: Cloud, _: Any) -> object:
        second = Network(ip=helper.manual()["default"].ip, nic_group="b", cloud_properties={"subnet": helper.subnet})
        networks = {"first": Network(ip=helper.manual()["default"].ip, cloud_properties=first.cloud_properties), "second": second}
        wanted = {"instance_type": "m5.large", "availability_zone": ZONES[0]}
        return cloud.create_vm(AgentId("agent"), helper.stemcell, wanted, networks, (), {}, str(uuid.uuid4()))

    return Method(act)


def _methods(helper: Helper, image: Path) -> Mapping[str, Method]:
    stemcell = {"name": "tiny", "version": "1", "disk": 1024}
    network = NetworkDefinition(netmask_bits=26, cloud_properties={"availability_zone": ZONES[0]})
    encrypted = {"encrypted": True}
    return {
        "create_vm": _new_vm(helper),
        "create_disk": Method(lambda cloud, _: cloud.create_disk(_GIB, {}, None, str(uuid.uuid4()))),
        "snapshot_disk": Method(lambda cloud, disk: cloud.snapshot_disk(disk, {"job": "db"}), lambda c: c.create_disk(_GIB, {})),
        "create_network": Method(lambda cloud, _: cloud.create_network(network)),
        "create_stemcell": Method(lambda cloud, _: cloud.create_stemcell(str(image), stemcell, {})),
        "update_disk": Method(lambda cloud, disk: cloud.update_disk(disk, _GIB, encrypted), lambda c: c.create_disk(_GIB, {})),
        "delete_vm": Method(lambda cloud, vm: cloud.delete_vm(vm), lambda _: helper.vm().cid),
        "delete_disk": Method(lambda cloud, disk: cloud.delete_disk(disk), lambda c: c.create_disk(_GIB, {})),
        "delete_snapshot": Method(
            lambda cloud, snapshot: cloud.delete_snapshot(snapshot), lambda c: c.snapshot_disk(c.create_disk(_GIB, {}), {})
        ),
        "delete_stemcell": Method(
            lambda cloud, cid: cloud.delete_stemcell(cid), lambda cloud: cloud.create_stemcell(str(image), stemcell, {})
        ),
    }


_CALLS: Final = {
    "create_vm": 10,
    "create_disk": 2,
    "snapshot_disk": 2,
    "create_network": 3,
    "create_stemcell": 6,
    "update_disk": 6,
    "delete_vm": 2,
    "delete_disk": 1,
    "delete_snapshot": 1,
    "delete_stemcell": 3,
}
_IN_EVERY_RUN: Final = {"create_disk"}


@pytest.mark.parametrize(
    "method", [pytest.param(name, marks=[] if name in _IN_EVERY_RUN else [pytest.mark.nightly]) for name in _CALLS]
)
def test_after_a_kill_at_any_call_a_sweep_finds_everything(scene: Scene, helper: Helper, tmp_path: Path, method: str) -> None:
    """0 left, and nothing of others touched."""
    image = bootable_image(tmp_path / "image") if "stemcell" in method else tmp_path
    assert kill_after_each_call(scene, _methods(helper, image)[method]) >= _CALLS[method]
