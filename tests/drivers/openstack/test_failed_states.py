"""Things that end in a state they cannot leave: told at once, with the cloud's own words, and nothing is left."""

import contextlib
import json
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.model import Network
from cpi.contract.units import MiB
from fixtures.clouds.openstack.lab import Lab
from fixtures.proxy import Answer, Effect, Request, Rule, effects
from tests.drivers.openstack.conftest import MakeVm

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.usefixtures("census_kept")]

_LOOKS = 2


def shown(kind: str | None, of: str, **changes: Any) -> Effect:
    """The thing is shown with the changes once it is in the state `of`."""

    def change(_: Request, answer: Answer) -> Answer:
        document = json.loads(answer.body)
        thing = document if kind is None else document.get(kind, {})
        if thing.get("status") == of:
            thing.update(changes)
        return Answer(answer.status, json.dumps(document).encode(), answer.headers)

    return effects.rewritten(change)


def test_a_server_in_error_is_told_with_novas_fault(project: Lab, cloud: Cloud, make_vm: MakeVm) -> None:
    """It was removed, so a repeat may succeed."""
    fault = {"code": 500, "message": "the hypervisor has no memory left for it"}
    rule = Rule("GET /v2.1/servers/{id}", shown("server", "ACTIVE", status="ERROR", fault=fault))
    with project.rule("nova", rule), pytest.raises(errors.VMCreationFailed, match="the hypervisor has no memory left") as caught:
        make_vm(cloud)
    assert caught.value.ok_to_retry


def test_a_vm_is_deleted_when_nova_has_forgotten_it(project: Lab, cloud: Cloud, make_vm: MakeVm) -> None:
    """One that is DELETED still holds its room on the host."""
    vm, shown_as_deleted = make_vm(cloud), list[Answer]()

    def late(_: Request, answer: Answer) -> Answer:
        if answer.status != HTTPStatus.NOT_FOUND or len(shown_as_deleted) == _LOOKS:
            return answer
        document = {"server": {"id": vm.cid, "status": "DELETED"}}
        shown_as_deleted.append(Answer(HTTPStatus.OK, json.dumps(document).encode(), answer.headers))
        return shown_as_deleted[-1]

    with project.rule("nova", Rule("GET /v2.1/servers/{id}", effects.rewritten(late))):
        cloud.delete_vm(vm.cid)
    assert len(shown_as_deleted) == _LOOKS


def test_a_disk_in_error_is_told_and_removed(project: Lab, cloud: Cloud) -> None:
    """Long before state_timeout."""
    rule = Rule("GET /v3/volumes/{id}", shown("volume", "available", status="error"))
    with project.rule("cinder", rule), pytest.raises(errors.CloudError, match="is in state 'error'"):
        cloud.create_disk(MiB(1024), {})


def test_a_snapshot_in_error_is_told_and_removed(project: Lab, cloud: Cloud) -> None:
    """The disk stays as it is."""
    disk_cid = cloud.create_disk(MiB(1024), {})
    rule = Rule("GET /v3/snapshots/{id}", shown("snapshot", "available", status="error"))
    with project.rule("cinder", rule), pytest.raises(errors.CloudError, match="is in state 'error'"):
        cloud.snapshot_disk(disk_cid, {})
    cloud.delete_disk(disk_cid)


def test_a_disk_that_fails_to_grow_is_told(project: Lab, cloud: Cloud) -> None:
    """It is not removed: it holds data."""
    disk_cid = cloud.create_disk(MiB(1024), {})
    rule = Rule("GET /v3/volumes/{id}", shown("volume", "available", status="error_extending"), skip=1)
    with project.rule("cinder", rule), pytest.raises(errors.CloudError, match="is in state 'error_extending'"):
        cloud.resize_disk(disk_cid, MiB(2048))
    assert cloud.has_disk(disk_cid)
    cloud.delete_disk(disk_cid)


def test_a_retype_that_cinder_gave_up_lets_the_director_copy(project: Lab, cloud: Cloud) -> None:
    """The disk is as it was: NotSupported."""
    disk_cid = cloud.create_disk(MiB(1024), {})
    rule = Rule("GET /v3/volumes/{id}", shown("volume", "available", volume_type="__DEFAULT__"), skip=1)
    with project.rule("cinder", rule), pytest.raises(errors.NotSupported, match="left the disk as it was"):
        cloud.update_disk(disk_cid, MiB(1024), {"type": "fast"})
    cloud.delete_disk(disk_cid)


def test_an_image_that_is_killed_is_told_and_removed(project: Lab, cloud: Cloud, image_path: str) -> None:
    """Glance did not like it."""
    rule = Rule("GET /v2/images/{id}", shown(None, "active", status="killed"))
    with project.rule("glance", rule), pytest.raises(errors.CloudError, match="is in state 'killed'"):
        cloud.create_stemcell(image_path, {"name": "tiny", "version": "5", "disk_format": "raw"}, {})


@contextlib.contextmanager
def used_up(limit: Callable[[int], object]) -> Iterator[None]:
    """Nothing more may be made in the block."""
    limit(0)
    try:
        yield
    finally:
        limit(-1)


@pytest.mark.parametrize("kind", ["servers", "ports"])
def test_a_quota_that_is_used_up_is_told_from_capacity(project: Lab, cloud: Cloud, make_vm: MakeVm, kind: str) -> None:
    """No repeat would help, and none is made."""
    mine = project.sdk.current_project_id
    owner = project.owner
    used = sum(1 for _ in project.owner.network.ports(project_id=mine))
    limits: dict[str, Callable[[int], object]] = {
        "servers": lambda number: owner.set_compute_quotas(mine, instances=number),
        "ports": lambda number: owner.set_network_quotas(mine, ports=number or used),
    }
    network = Network(type="dynamic", cloud_properties={"net_id": project.net_id})
    with used_up(limits[kind]), pytest.raises(errors.VMCreationFailed, match="quota") as caught:
        make_vm(cloud, networks={"default": network})
    assert not caught.value.ok_to_retry


def test_a_quota_of_disks_that_is_used_up_is_no_busy_service(project: Lab, cloud: Cloud) -> None:
    """Cinder says 413 to both: with a quota in its words the call is not repeated."""
    mine = project.sdk.current_project_id
    project.forget_calls()
    with used_up(lambda number: project.owner.set_volume_quotas(mine, volumes=number)), pytest.raises(errors.NoDiskSpace):
        cloud.create_disk(MiB(1024), {})
    assert project.calls()["cinder POST /v3/volumes"] == 1
