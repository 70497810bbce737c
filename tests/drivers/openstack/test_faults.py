"""Each API call that a method makes fails once, in front of a real control plane: nothing is left, and a repeat succeeds."""

import uuid
from collections.abc import Callable, Sequence

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import StemcellCid
from cpi.contract.model import Network, NetworkDefinition, Vm
from cpi.contract.units import MiB
from fixtures.clouds.openstack.lab import Lab
from fixtures.proxy import Rule, effects
from tests.drivers.openstack.conftest import MakeVm, gone_after

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.usefixtures("census_kept")]

BROKEN = effects.answer(500, b'{"computeFault": {"code": 500, "message": "out of order"}}', {"Content-Type": "application/json"})
CREATE_VM = (
    "nova GET /v2.1/servers/detail",
    "nova GET /v2.1/flavors/detail",
    "neutron GET /v2.0/floatingips",
    "neutron GET /v2.0/security-groups",
    "neutron POST /v2.0/ports",
    "nova POST /v2.1/servers",
    "nova GET /v2.1/servers/{id}",
    "neutron PUT /v2.0/ports/{id}/tags/*",
    "neutron PUT /v2.0/floatingips/{id}",
)
DELETE_VM = (
    "nova GET /v2.1/servers/{id}",
    "neutron GET /v2.0/ports",
    "nova DELETE /v2.1/servers/{id}",
    "neutron DELETE /v2.0/ports/{id}",
)


def each_fails(project: Lab, calls: Sequence[str], method: Callable[[], object]) -> None:
    """The method fails by each call in turn, and says which; then it succeeds, and has made these calls and no others."""
    for call in calls:
        service, _, action = call.partition(" ")
        with project.rule(service, Rule(action, BROKEN, times=1)) as rule, pytest.raises(errors.CloudError, match="out of order"):
            method()
        assert rule.met == 1, call
    project.forget_calls()
    method()
    made = {call.partition("/tags/")[0] for call in project.calls()}
    assert made == {call.partition("/tags/")[0] for call in calls}


def test_whichever_call_of_create_vm_fails_nothing_is_left_and_the_token_serves_again(
    project: Lab, brittle_cloud: Cloud, make_vm: MakeVm, floating_address: str
) -> None:
    """As a director repeats it: one token all along, one VM in the end."""
    before, token, made = project.census(), str(uuid.uuid4()), []
    networks = {
        "default": Network(ip=project.free_address(), cloud_properties={"net_id": project.net_id}),
        "outside": Network(type="vip", ip=floating_address),
    }

    def create() -> None:
        assert project.census() == before
        project.forget_calls()
        made.append(make_vm(brittle_cloud, token, networks))

    each_fails(project, CREATE_VM, create)
    with gone_after(brittle_cloud, made[-1]):
        assert project.census()["servers"] == before["servers"] + 1
        assert make_vm(brittle_cloud, token, networks) == made[-1]


def test_whichever_call_of_delete_vm_fails_a_repeat_finishes(project: Lab, brittle_cloud: Cloud, make_vm: MakeVm) -> None:
    """Also when the server is gone and its port is not: that is found by its tag."""
    vm = make_vm(brittle_cloud)
    for call in DELETE_VM:
        service, _, action = call.partition(" ")
        with project.rule(service, Rule(action, BROKEN, times=1)) as rule, pytest.raises(errors.CloudError, match="out of order"):
            brittle_cloud.delete_vm(vm.cid)
        assert rule.met == 1, call
    assert not brittle_cloud.has_vm(vm.cid)
    brittle_cloud.delete_vm(vm.cid)


def test_whichever_call_of_attach_and_detach_fails_a_repeat_does_it(project: Lab, brittle_cloud: Cloud, vm: Vm) -> None:
    """With the hint that the first would have given."""
    disk_cid = brittle_cloud.create_disk(MiB(1024), {})
    attachments = "/v2.1/servers/{id}/os-volume_attachments"
    attach = (f"nova GET {attachments}", f"nova POST {attachments}", "cinder GET /v3/volumes/{id}")
    hints = []
    for call in attach:
        service, _, action = call.partition(" ")
        with project.rule(service, Rule(action, BROKEN, times=1)), pytest.raises(errors.CloudError, match="out of order"):
            brittle_cloud.attach_disk(vm.cid, disk_cid)
        hints += [brittle_cloud.attach_disk(vm.cid, disk_cid), brittle_cloud.attach_disk(vm.cid, disk_cid)]
        brittle_cloud.detach_disk(vm.cid, disk_cid)
    assert len({hint.device for hint in hints}) == 1
    brittle_cloud.attach_disk(vm.cid, disk_cid)
    detach = (f"nova DELETE {attachments}/{{id}}", "cinder GET /v3/volumes/{id}")
    for call in detach:
        service, _, action = call.partition(" ")
        with project.rule(service, Rule(action, BROKEN, times=1)), pytest.raises(errors.CloudError, match="out of order"):
            brittle_cloud.detach_disk(vm.cid, disk_cid)
    brittle_cloud.detach_disk(vm.cid, disk_cid)
    assert list(brittle_cloud.get_disks(vm.cid)) == []
    brittle_cloud.delete_disk(disk_cid)


def test_whichever_call_of_update_disk_fails_a_repeat_does_it(project: Lab, brittle_cloud: Cloud) -> None:
    """The disk is of the wished size and type in the end, and the same."""
    disk_cid = brittle_cloud.create_disk(MiB(1024), {})
    calls = (
        "cinder GET /v3/volumes/{id}",
        "cinder GET /v3/types",
        "cinder POST /v3/volumes/{id}/action os-retype",
        "cinder POST /v3/volumes/{id}/action os-extend",
    )
    sizes = iter(range(2, 20))

    def update() -> None:
        size = next(sizes)
        kind = ("fast", "encrypted")[size % 2]
        assert brittle_cloud.update_disk(disk_cid, MiB(size * 1024), {"type": kind}) == disk_cid
        volume = project.sdk.block_storage.get_volume(disk_cid)
        assert (volume.size, volume.volume_type) == (size, kind)

    each_fails(project, calls, update)
    brittle_cloud.delete_disk(disk_cid)


def test_whichever_call_of_create_stemcell_fails_nothing_is_left(project: Lab, brittle_cloud: Cloud, image_path: str) -> None:
    """It is as large as a disk."""
    before, made = project.census(), []

    def create() -> None:
        assert project.census() == before
        made.append(brittle_cloud.create_stemcell(image_path, {"name": "tiny", "version": "3", "disk_format": "raw"}, {}))

    calls = ("glance POST /v2/images", "glance PUT /v2/images/{id}/file", "glance GET /v2/images/{id}")
    each_fails(project, calls, create)
    brittle_cloud.delete_stemcell(StemcellCid(made[-1]))


@pytest.mark.parametrize("kind", ["volumes", "snapshots"])
def test_whichever_call_of_create_disk_or_snapshot_disk_fails_nothing_is_left(
    project: Lab, brittle_cloud: Cloud, kind: str
) -> None:
    """A volume that nobody knows of costs money for ever."""
    disk_cid = brittle_cloud.create_disk(MiB(1024), {})
    before = project.census()

    def create() -> None:
        assert project.census() == before
        if kind == "volumes":
            brittle_cloud.delete_disk(brittle_cloud.create_disk(MiB(1024), {}))
        else:
            brittle_cloud.delete_snapshot(brittle_cloud.snapshot_disk(disk_cid, {}))

    for action in (f"POST /v3/{kind}", f"GET /v3/{kind}/{{id}}"):
        with (
            project.rule("cinder", Rule(action, BROKEN, times=1)) as rule,
            pytest.raises(errors.CloudError, match="out of order"),
        ):
            create()
        assert rule.met == 1
    create()
    brittle_cloud.delete_disk(disk_cid)


def test_whichever_call_of_create_network_fails_nothing_is_left(project: Lab, brittle_cloud: Cloud) -> None:
    """Networks that nobody knows of use up the quota."""
    before, made = project.census(), []
    router = project.sdk.network.create_router(name="for faults")
    definition = NetworkDefinition(range="10.79.0.0/24", cloud_properties={"router_id": router.id})

    def create() -> None:
        assert project.census() == before
        made.append(brittle_cloud.create_network(definition).cid)

    interface = "neutron PUT /v2.0/routers/{id}/add_router_interface"
    each_fails(project, ("neutron POST /v2.0/networks", "neutron POST /v2.0/subnets", interface), create)
    brittle_cloud.delete_network(made[-1])
    project.sdk.network.delete_router(router.id)
