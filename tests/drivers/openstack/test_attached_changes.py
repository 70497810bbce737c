"""grow_attached_disk, change_attached_disk: what Cinder does to a volume in use, and what is said where it cannot."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cpi.contract import errors
from cpi.contract.units import MiB
from cpi_drivers.openstack.cloud import OpenStackCloud
from fixtures.proxy import Answer, Request
from fixtures.web_server import web_server
from tests.drivers.openstack.stub import DISK, JSON, OTHER, VM, Stub, connected, refused, volume

_TWO = MiB(2048)
_VOLUME, _ACTION = f"GET /cinder/v2/volumes/{DISK}", f"POST /cinder/v2/volumes/{DISK}/action"


class Cinder:
    """One volume, attached to the VM, that does what it is asked for at the second look."""

    def __init__(self, stub: Stub) -> None:
        self.stub = stub
        self.state: dict[str, Any] = {"status": "in-use", "size": 1, "volume_type": "slow"}
        self.holders: list[dict[str, str | None]] = [{"server_id": str(VM), "device": "/dev/vdb"}]
        self.asked: list[dict[str, Any]] = []
        self.versions: list[str] = []
        self._pending: dict[str, Any] = {}
        types = [{"name": name, "id": f"id-{name}"} for name in ("slow", "fast")]
        stub.answers |= {_VOLUME: self.look, _ACTION: self.act, "GET /cinder/v2/types": {"volume_types": types}}
        stub.answers[f"GET /nova/v2/servers/{VM}"] = {"server": {"id": VM, "status": "ACTIVE"}}

    def look(self, _: Request) -> dict[str, Any]:
        shown = volume(self.state["status"], *self.holders, **{k: v for k, v in self.state.items() if k != "status"})
        self.state |= self._pending
        self._pending = {}
        return shown

    def act(self, request: Request) -> Answer:
        wish = json.loads(request.body)
        self.asked.append(wish)
        self.versions.append(request.headers.get("OpenStack-API-Version", ""))
        if "os-extend" in wish:
            self.state["status"] = "extending"
            self._pending = {"status": "in-use", "size": wish["os-extend"]["new_size"]}
        else:
            self.state["status"] = "retyping"
            self._pending = {"status": "in-use", "volume_type": wish["os-retype"]["new_type"]}
        return Answer(202, b"", JSON)


@pytest.fixture
def stub() -> Iterator[Stub]:
    """Running."""
    told = Stub()
    with web_server(told) as told.url:
        yield told


@pytest.fixture
def cinder(stub: Stub) -> Cinder:
    """With one volume."""
    return Cinder(stub)


@pytest.fixture
def cloud(stub: Stub, tmp_path: Path) -> Iterator[OpenStackCloud]:
    """The driver; it grows disks that it was not configured to resize attached, for here that is what is asked."""
    with connected(stub, tmp_path) as found:
        assert isinstance(found, OpenStackCloud)
        yield found


def test_it_grows_in_use_and_again_only_looks(cinder: Cinder, cloud: OpenStackCloud) -> None:
    """By the API that can."""
    cloud.grow_attached_disk(VM, DISK, _TWO)
    cloud.grow_attached_disk(VM, DISK, _TWO)
    assert cinder.asked == [{"os-extend": {"new_size": 2}}]
    assert cinder.versions == ["volume 3.42"]


def test_it_is_retyped_and_grows_in_use(cinder: Cinder, cloud: OpenStackCloud) -> None:
    """Each once; a type that there is none of is refused before anything is done."""
    with pytest.raises(errors.NotSupported, match="there is none; known: fast, slow"):
        cloud.change_attached_disk(VM, DISK, _TWO, {"type": "nosuch"})
    for _ in range(2):
        cloud.change_attached_disk(VM, DISK, _TWO, {"type": "fast"})
    retype = {"os-retype": {"new_type": "fast", "migration_policy": "on-demand"}}
    assert cinder.asked == [retype, {"os-extend": {"new_size": 2}}]


@pytest.mark.parametrize(
    "answer",
    [
        refused(406, {"computeFault": {"code": 406, "message": "Version 3.42 is not supported by the API."}}),
        refused(400, {"badRequest": {"code": 400, "message": "Volume driver does not support extending in-use volume."}}),
    ],
)
def test_an_old_cinder_or_a_driver_that_cannot_is_named(
    stub: Stub, cinder: Cinder, cloud: OpenStackCloud, answer: Answer
) -> None:
    """With what Cinder said, so that another strategy is taken."""
    stub.answers[_ACTION] = answer
    with pytest.raises(errors.NotSupported, match=r"while it is in use \(Cinder can from API 3\.42 on.*support") as caught:
        cloud.grow_attached_disk(VM, DISK, _TWO)
    assert str(DISK) in caught.value.message


def test_a_growth_that_the_cloud_gave_up_is_told(stub: Stub, cinder: Cinder, cloud: OpenStackCloud) -> None:
    """As a host that did not take the new size does."""

    def fails(_: Request) -> Answer:
        cinder.state["status"] = "error_extending"
        return Answer(202, b"", JSON)

    stub.answers[_ACTION] = fails
    with pytest.raises(errors.CloudError, match="is in state 'error_extending'"):
        cloud.grow_attached_disk(VM, DISK, _TWO)


def test_a_growth_that_a_killed_call_began_is_waited_for(cinder: Cinder, cloud: OpenStackCloud) -> None:
    """It is not asked for again."""
    cinder.act(Request("POST", "", "", {}, b'{"os-extend": {"new_size": 2}}'))
    cinder.asked.clear()
    cloud.grow_attached_disk(VM, DISK, _TWO)
    assert cinder.asked == []


@pytest.mark.parametrize("other", [{"server_id": str(OTHER)}, {"server_id": None, "host_name": "compute-7"}])
def test_a_shared_disk_is_refused_with_who_else_has_it(
    cinder: Cinder, cloud: OpenStackCloud, other: dict[str, str | None]
) -> None:
    """A VM, or a host."""
    cinder.holders.append(other)
    with pytest.raises(errors.NotSupported, match=f"shared: .*{OTHER}|shared: .*compute-7"):
        cloud.grow_attached_disk(VM, DISK, _TWO)
    assert cinder.asked == []


def test_smaller_a_quota_and_a_disk_that_is_attached_elsewhere(stub: Stub, cinder: Cinder, cloud: OpenStackCloud) -> None:
    """Each by its own error."""
    cinder.holders[0]["server_id"] = str(OTHER)
    with pytest.raises(errors.DiskNotAttached):
        cloud.grow_attached_disk(VM, DISK, _TWO)
    del stub.answers[f"GET /nova/v2/servers/{VM}"]
    with pytest.raises(errors.VMNotFound):
        cloud.grow_attached_disk(VM, DISK, _TWO)
    cinder.holders[0]["server_id"] = str(VM)
    cinder.state["size"] = 4
    with pytest.raises(errors.NotSupported, match="cannot shrink"):
        cloud.grow_attached_disk(VM, DISK, _TWO)
    stub.answers[_ACTION] = refused(
        413, {"overLimit": {"code": 413, "message": "VolumeSizeExceedsAvailableQuota: exceeds quota"}}
    )
    with pytest.raises(errors.NoDiskSpace, match="quota"):
        cloud.grow_attached_disk(VM, DISK, MiB(8192))
    del stub.answers[_VOLUME]
    with pytest.raises(errors.DiskNotFound):
        cloud.grow_attached_disk(VM, DISK, _TWO)
