"""Disks that Cinder still has on a VM which Nova has forgotten: they are freed, and nothing else is."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.units import MiB
from fixtures.proxy import Answer, Request
from fixtures.web_server import web_server
from tests.drivers.openstack.stub import DISK, ID, JSON, OTHER, VM, Stub, connected, gone, refused, volume

_LEFT = {"server_id": OTHER, "attachment_id": f"{ID}9", "device": "/dev/vdb"}
_TAKEN = refused(400, {"badRequest": {"message": "Invalid volume: status must be available"}})


class _Cinder:
    """One disk, on a VM."""

    def __init__(self, stub: Stub) -> None:
        self.on: list[dict[str, Any]] = [_LEFT]
        self.size = 1
        self.exists = True
        attachments = f"/nova/v2/servers/{VM}/os-volume_attachments"
        stub.answers |= {
            f"GET /cinder/v2/volumes/{DISK}": self._told,
            f"DELETE /cinder/v2/attachments/{ID}9": self._freed,
            f"POST /cinder/v2/volumes/{DISK}/action": self._grown,
            f"DELETE /cinder/v2/volumes/{DISK}": self._deleted,
            "GET /cinder/v2/snapshots": {"snapshots": []},
            f"GET {attachments}": {"volumeAttachments": []},
            f"POST {attachments}": self._attached,
            f"GET /nova/v2/servers/{VM}": {"server": {"id": VM, "status": "ACTIVE"}},
        }

    def _told(self, _: Request) -> Any:
        return volume("in-use" if self.on else "available", *self.on, size=self.size) if self.exists else gone()

    def _freed(self, _: Request) -> Answer:
        self.on = []
        return Answer(200, b"{}", JSON)

    def _grown(self, _: Request) -> Answer:
        self.size = 2
        return Answer(202, b"")

    def _deleted(self, _: Request) -> Answer:
        if self.on:
            return _TAKEN
        self.exists = False
        return Answer(202, b"")

    def _attached(self, _: Request) -> Any:
        if self.on:
            return _TAKEN
        self.on = [{"server_id": VM, "attachment_id": "new", "device": "/dev/vdb"}]
        return {"volumeAttachment": {"volumeId": DISK, "device": "/dev/vdb"}}


@pytest.fixture
def stub() -> Iterator[Stub]:
    """Running."""
    told = Stub()
    with web_server(told) as told.url:
        yield told


@pytest.fixture
def cloud(stub: Stub, tmp_path: Path) -> Iterator[Cloud]:
    """The driver."""
    with connected(stub, tmp_path) as found:
        yield found


_CALLS: dict[str, Callable[[Cloud], object]] = {
    "attach_disk": lambda cloud: cloud.attach_disk(VM, DISK),
    "resize_disk": lambda cloud: cloud.resize_disk(DISK, MiB(2048)),
    "update_disk": lambda cloud: cloud.update_disk(DISK, MiB(2048), {}),
    "delete_disk": lambda cloud: cloud.delete_disk(DISK),
}


@pytest.mark.parametrize("call", _CALLS)
def test_a_disk_on_a_vm_that_is_gone_is_freed(stub: Stub, cloud: Cloud, call: str, caplog: pytest.LogCaptureFixture) -> None:
    """And the call does what it was asked for."""
    cinder = _Cinder(stub)
    with caplog.at_level(logging.WARNING):
        _CALLS[call](cloud)
    assert caplog.messages == [f"the disk {DISK} is attached to the VM {OTHER}, which is gone: it is freed"]
    assert {
        "attach_disk": [one["server_id"] for one in cinder.on] == [VM],
        "resize_disk": cinder.size == 2,
        "update_disk": cinder.size == 2,
        "delete_disk": not cinder.exists,
    }[call]


@pytest.mark.parametrize("call", _CALLS)
def test_a_disk_on_a_vm_that_is_there_stays_on_it(stub: Stub, cloud: Cloud, call: str) -> None:
    """In whatever state the VM is."""
    cinder = _Cinder(stub)
    stub.answers[f"GET /nova/v2/servers/{OTHER}"] = {"server": {"id": OTHER, "status": "ERROR"}}
    with pytest.raises(errors.CloudError, match=f"attached to the VM {OTHER}"):
        _CALLS[call](cloud)
    assert cinder.on == [_LEFT]


@pytest.mark.parametrize("call", _CALLS)
def test_a_cinder_that_does_not_let_go_says_why(stub: Stub, cloud: Cloud, call: str) -> None:
    """Newer ones let Nova alone do it, for VMs that are there."""
    _Cinder(stub)
    stub.answers[f"DELETE /cinder/v2/attachments/{ID}9"] = refused(409, {"conflictingRequest": {"message": "Nova has to do it"}})
    with pytest.raises(errors.CloudError, match=f"the VM {OTHER}, which is gone, and cannot be freed: Nova has to do it"):
        _CALLS[call](cloud)


@pytest.mark.parametrize("call", _CALLS)
def test_a_nova_that_cannot_be_asked_frees_nothing(stub: Stub, cloud: Cloud, call: str) -> None:
    """A proxy's 404 is no answer of Nova's."""
    cinder = _Cinder(stub)
    stub.answers[f"GET /nova/v2/servers/{OTHER}"] = refused(404, b"<html><body>404 Not Found</body></html>")
    with pytest.raises(errors.CloudError, match="not by the service itself"):
        _CALLS[call](cloud)
    assert cinder.on == [_LEFT]
