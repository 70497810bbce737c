"""What a project holds of CPIs is found by its labels, with few calls; after a kill at any call a sweep finds everything."""

import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

import cpi
from cpi.contract.cloud import Cloud
from cpi.contract.ids import AgentId
from cpi.contract.model import CallContext, NetworkDefinition
from cpi.contract.operator import ListsTaggedResources, TaggedResource
from fixtures.clouds.google.lab import ZONE, Lab
from fixtures.proxy import Request
from tests.drivers.conftest import ForkServers
from tests.drivers.each_kill import DIRECTOR, Method, Scene, kill_after_each_call
from tests.drivers.google.conftest import GIB, Helper

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_NETWORK: Final = NetworkDefinition(range="10.77.0.0/24", gateway="10.77.0.1", cloud_properties={"region": "europe-west1"})


def _listed(cloud: Cloud) -> list[TaggedResource]:
    assert isinstance(cloud, ListsTaggedResources)
    return list(cloud.tagged_resources())


def test_listing_makes_6_calls(google: Lab, cloud: Cloud, helper: Helper) -> None:
    """However much there is on one page; the VM's own disk is attached to it."""
    vm = helper.vm().cid
    cloud.snapshot_disk(helper.disk(), {})
    google.proxy.forget_calls()
    listed = _listed(cloud)
    assert sum(google.proxy.counts().values()) == 6, google.proxy.counts()
    assert sorted(one.kind for one in listed) == ["VM", "disk", "disk", "snapshot"]
    assert [one.attached_to for one in listed if one.kind == "disk" and one.attached_to] == [vm]


def test_what_others_made_is_not_listed(google: Lab, cloud: Cloud) -> None:
    """An image without our labels, and the networks that there are."""
    google.make_image("of-somebody-else")
    assert _listed(cloud) == []


# ------------------------------------------------------------------ killed


@pytest.fixture
def scene(google: Lab, helper: Helper, fork_servers: ForkServers, tmp_path: Path) -> Iterator[Scene]:
    """A project with a VM and a disk of this director that are known, and another's."""
    config = tmp_path / "cpi.json"
    config.write_text(json.dumps(google.config()))
    with (
        cpi.connect(google.config(), CallContext(director_uuid=DIRECTOR)) as cloud,
        cpi.connect(google.config(), CallContext(director_uuid="d-of-another")) as another,
    ):
        helper.cloud = another
        helper.vm()
        another.snapshot_disk(helper.disk(), {})
        helper.cloud = cloud
        vm, disk = helper.vm().cid, helper.disk()
        known = [vm, disk, helper.stemcell]
        yield Scene(cloud, config, fork_servers("google").start, [google.proxy], google.census, known, _is_look)


def _is_look(request: Request) -> bool:
    return request.path.partition("?")[0].endswith("/wait")


def _methods(helper: Helper, image: str) -> Mapping[str, Method]:
    stemcell = {"name": "tiny", "version": "1"}

    def new_vm(cloud: Cloud, _: Any) -> object:
        wanted = {"machine_type": "n1-standard-1", "zone": ZONE}
        return cloud.create_vm(AgentId("agent"), helper.stemcell, wanted, helper.manual(), (), {}, str(uuid.uuid4()))

    return {
        "create_vm": Method(new_vm),
        "create_disk": Method(lambda cloud, _: cloud.create_disk(GIB, {"zone": ZONE}, None, str(uuid.uuid4()))),
        "snapshot_disk": Method(lambda cloud, disk: cloud.snapshot_disk(disk, {"job": "db"}), lambda _: helper.disk()),
        "create_network": Method(lambda cloud, _: cloud.create_network(_NETWORK)),
        "create_stemcell": Method(lambda cloud, _: cloud.create_stemcell(image, stemcell, {})),
        "update_disk": Method(lambda cloud, disk: cloud.update_disk(disk, GIB, {"type": "pd-ssd"}), lambda _: helper.disk()),
        "delete_vm": Method(lambda cloud, vm: cloud.delete_vm(vm), lambda _: helper.vm().cid),
        "delete_disk": Method(lambda cloud, disk: cloud.delete_disk(disk), lambda _: helper.disk()),
        "delete_snapshot": Method(
            lambda cloud, snapshot: cloud.delete_snapshot(snapshot), lambda cloud: cloud.snapshot_disk(helper.disk(), {})
        ),
        "delete_stemcell": Method(
            lambda cloud, cid: cloud.delete_stemcell(cid), lambda cloud: cloud.create_stemcell(image, stemcell, {})
        ),
    }


_CALLS: Final = {
    "create_vm": 1,
    "create_disk": 1,
    "snapshot_disk": 1,
    "create_network": 1,
    "create_stemcell": 3,
    "update_disk": 4,
    "delete_vm": 2,
    "delete_disk": 1,
    "delete_snapshot": 1,
    "delete_stemcell": 1,
}
_IN_EVERY_RUN: Final = {"create_disk"}


@pytest.mark.parametrize(
    "method", [pytest.param(name, marks=[] if name in _IN_EVERY_RUN else [pytest.mark.nightly]) for name in _CALLS]
)
def test_after_a_kill_at_any_call_a_sweep_finds_everything(scene: Scene, helper: Helper, image: str, method: str) -> None:
    """0 left, and nothing of others touched."""
    assert kill_after_each_call(scene, _methods(helper, image)[method]) >= _CALLS[method]
