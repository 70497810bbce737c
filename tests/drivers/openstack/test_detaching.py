"""When a disk counts as detached: the states on the way are told by the test, on loopback."""

from pathlib import Path
from typing import Any

from fixtures.proxy import Answer, Request
from fixtures.web_server import web_server
from tests.drivers.openstack.stub import DISK, VM, Stub, connected, volume


def test_a_disk_is_detached_once_the_vm_no_longer_has_it(tmp_path: Path) -> None:
    """Nova may begin after it has answered: until then Cinder has the disk in use as before."""
    stub = Stub()
    states = [volume("in-use", {"server_id": VM, "device": "/dev/sdb"}), volume("detaching"), volume("available")]

    def looked(_: Request) -> Any:
        return states.pop(0) if len(states) > 1 else states[0]

    stub.answers |= {
        f"DELETE /nova/v2/servers/{VM}/os-volume_attachments/{DISK}": Answer(202, b""),
        f"GET /cinder/v2/volumes/{DISK}": looked,
    }
    with web_server(stub) as stub.url, connected(stub, tmp_path) as cloud:
        cloud.detach_disk(VM, DISK)
    assert states == [volume("available")]
