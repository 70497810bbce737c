"""What the driver makes of answers that a control plane gives seldom: each service's are told by the test, on loopback."""

import dataclasses
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import AgentId, StemcellCid
from cpi.contract.model import Network, Networks, Vm
from cpi.contract.units import MiB
from cpi_drivers.openstack.networks.ports import is_foreign
from fixtures.proxy import Answer, Request
from fixtures.web_server import web_server
from tests.drivers.openstack.stub import DISK, ID, JSON, OTHER, VM, Stub, connected, gone, neutron, refused, volume


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


# ---------------------------------------------------------------------- gone, or not

_PROXYS = refused(404, b"<html><head><title>404 Not Found</title></head><body><h1>404 Not Found</h1><hr>nginx</body></html>")
_CALLS: dict[str, Callable[[Cloud], object]] = {
    "has_vm": lambda cloud: cloud.has_vm(VM),
    "delete_vm": lambda cloud: cloud.delete_vm(VM),
    "reboot_vm": lambda cloud: cloud.reboot_vm(VM),
    "get_disks": lambda cloud: cloud.get_disks(VM),
    "has_disk": lambda cloud: cloud.has_disk(DISK),
    "delete_disk": lambda cloud: cloud.delete_disk(DISK),
    "attach_disk": lambda cloud: cloud.attach_disk(VM, DISK),
    "detach_disk": lambda cloud: cloud.detach_disk(VM, DISK),
    "resize_disk": lambda cloud: cloud.resize_disk(DISK, MiB(2048)),
    "delete_stemcell": lambda cloud: cloud.delete_stemcell(StemcellCid(ID)),
}


@pytest.mark.parametrize("call", _CALLS)
def test_a_404_that_is_not_the_services_own_makes_nothing_gone(stub: Stub, cloud: Cloud, call: str) -> None:
    """A proxy says so of every path while the service behind it is away."""
    stub.answers = {
        f"{method} {path}": _PROXYS
        for method in ("GET", "DELETE", "POST")
        for path in (
            f"/nova/v2/servers/{VM}",
            f"/nova/v2/servers/{VM}/os-volume_attachments",
            f"/nova/v2/servers/{VM}/os-volume_attachments/{DISK}",
            f"/cinder/v2/volumes/{DISK}",
            f"/glance/v2/images/{ID}",
        )
    }
    with pytest.raises(errors.CloudError, match="not by the service itself") as caught:
        _CALLS[call](cloud)
    assert type(caught.value).wire_name == errors.CloudError.wire_name


def test_a_vm_that_is_being_deleted_is_there_yet(stub: Stub, cloud: Cloud) -> None:
    """Nova may fail at it, and the VM's address is taken until then."""
    server = {"id": VM, "status": "ACTIVE", "OS-EXT-STS:task_state": "deleting", "metadata": {}}
    stub.answers[f"GET /nova/v2/servers/{VM}"] = {"server": server}
    assert cloud.has_vm(VM)
    for status in ("DELETED", "SOFT_DELETED"):
        stub.answers[f"GET /nova/v2/servers/{VM}"] = {"server": {**server, "status": status}}
        assert not cloud.has_vm(VM)


# ---------------------------------------------------------------------- disks

_HOST = {"server_id": None, "host_name": "compute-7", "device": "/dev/sdb"}


@pytest.mark.parametrize("call", ["attach_disk", "detach_disk", "resize_disk", "update_disk"])
def test_a_volume_attached_to_a_host_names_it(stub: Stub, cloud: Cloud, call: str) -> None:
    """Cinder attaches to hosts too: no VM has the disk then."""
    stub.answers |= {
        f"GET /cinder/v2/volumes/{DISK}": volume("in-use", _HOST),
        f"GET /nova/v2/servers/{VM}": {"server": {"id": VM, "status": "ACTIVE"}},
        f"GET /nova/v2/servers/{VM}/os-volume_attachments": {"volumeAttachments": []},
        f"POST /nova/v2/servers/{VM}/os-volume_attachments": refused(400, {"badRequest": {"message": "in-use"}}),
    }
    calls: dict[str, Callable[[], object]] = {
        "attach_disk": lambda: cloud.attach_disk(VM, DISK),
        "detach_disk": lambda: cloud.detach_disk(VM, DISK),
        "resize_disk": lambda: cloud.resize_disk(DISK, MiB(2048)),
        "update_disk": lambda: cloud.update_disk(DISK, MiB(2048), {}),
    }
    with pytest.raises(errors.CloudError, match="the host compute-7"):
        calls[call]()


def _reserving(server: str, status: str = "reserved") -> dict[str, Any]:
    return {"id": f"{ID}9", "instance": server, "status": status, "volume_id": DISK}


def test_a_reservation_of_a_vm_that_is_gone_is_removed(stub: Stub, cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    """Cinder keeps it for ever; the disk is free without it, and grows."""
    state = {"status": "reserved", "size": 1}

    def freed(_: Request) -> Answer:
        state["status"] = "available"
        return Answer(200, b"{}", JSON)

    def grown(_: Request) -> Answer:
        state["size"] = 2
        return Answer(202, b"")

    stub.answers |= {
        f"GET /cinder/v2/volumes/{DISK}": lambda _: volume(str(state["status"]), size=state["size"]),
        "GET /cinder/v2/attachments/detail": {"attachments": [_reserving(OTHER)]},
        f"DELETE /cinder/v2/attachments/{ID}9": freed,
        f"POST /cinder/v2/volumes/{DISK}/action": grown,
    }
    with caplog.at_level(logging.WARNING):
        cloud.resize_disk(DISK, MiB(2048))
    assert caplog.messages == [f"the disk {DISK} was reserved for the VM {OTHER}, which is gone: it is freed"]


def test_a_reservation_of_a_vm_that_is_there_is_told(stub: Stub, tmp_path: Path) -> None:
    """Who has it, when the wait is over."""
    stub.answers |= {
        f"GET /cinder/v2/volumes/{DISK}": volume("reserved"),
        "GET /cinder/v2/attachments/detail": {"attachments": [_reserving(OTHER)]},
        f"GET /nova/v2/servers/{OTHER}": {"server": {"id": OTHER, "status": "ACTIVE"}},
    }
    with connected(stub, tmp_path, state_timeout=0.1) as cloud, pytest.raises(errors.CloudError, match=f"for the VM {OTHER}"):
        cloud.resize_disk(DISK, MiB(2048))
    assert stub.calls("DELETE") == []


@pytest.mark.parametrize("status", ["reserved", "error", "available", "error_extending"])
def test_detaching_what_is_not_attached_is_done_at_once(stub: Stub, cloud: Cloud, status: str) -> None:
    """Whatever else is wrong with the disk."""
    stub.answers |= {
        f"GET /cinder/v2/volumes/{DISK}": volume(status),
        f"GET /nova/v2/servers/{VM}": {"server": {"id": VM, "status": "ACTIVE"}},
    }
    cloud.detach_disk(VM, DISK)


def test_a_disk_that_nova_lists_a_moment_too_long_is_attached_anew(stub: Stub, cloud: Cloud) -> None:
    """After a detach_disk: Cinder has let it go, and Nova forgets it a little later."""
    on_vm = {"server_id": VM, "device": "/dev/sdb"}
    lists = iter([[{"volumeId": DISK, "device": "/dev/sdb"}], [{"volumeId": DISK, "device": "/dev/sdb"}], []])
    state: list[dict[str, Any]] = [volume("available")]

    def made(_: Request) -> Any:
        state.append(volume("in-use", on_vm))
        return {"volumeAttachment": {"volumeId": DISK, "device": "/dev/sdb"}}

    stub.answers |= {
        f"GET /nova/v2/servers/{VM}/os-volume_attachments": lambda _: {"volumeAttachments": next(lists)},
        f"POST /nova/v2/servers/{VM}/os-volume_attachments": made,
        f"GET /cinder/v2/volumes/{DISK}": lambda _: state[-1],
    }
    assert cloud.attach_disk(VM, DISK).device == "/dev/sdb"
    assert len(state) == 2


def test_a_disk_in_the_wrong_state_is_told_in_a_sentence(stub: Stub, cloud: Cloud) -> None:
    """What it must be, and what it is."""
    stub.answers[f"GET /cinder/v2/volumes/{DISK}"] = volume("error")
    with pytest.raises(errors.CloudError, match=f"to resize it, the disk {DISK} must be available; it is in state 'error'"):
        cloud.resize_disk(DISK, MiB(2048))


def test_a_disk_that_has_snapshots_says_so_when_it_is_deleted(stub: Stub, cloud: Cloud) -> None:
    """Cinder names every reason that there might be."""
    stub.answers |= {
        f"GET /cinder/v2/volumes/{DISK}": volume("available"),
        f"DELETE /cinder/v2/volumes/{DISK}": refused(400, {"badRequest": {"message": "Invalid volume: must be available"}}),
        "GET /cinder/v2/snapshots": {"snapshots": [{"id": "snapshot-1"}]},
    }
    with pytest.raises(errors.CloudError, match="it has the snapshots snapshot-1: delete them first: Invalid volume"):
        cloud.delete_disk(DISK)


# ---------------------------------------------------------------------- VMs

_NET = {"net_id": "net-1"}
_OURS = "vm-7b1f6d0e-6f0c-4bd3-9d3e-6e1f3f1f3a51/a"


def _ready(stub: Stub, **more: Any) -> None:
    port = {
        "id": "port-1",
        "network_id": "net-1",
        "mac_address": "m",
        "fixed_ips": [{"ip_address": "10.0.0.9"}],
        "status": "DOWN",
    }
    server: dict[str, Any] = {"id": VM, "status": "ACTIVE", "metadata": {}, "OS-EXT-STS:task_state": None}
    flavor = {"id": "f", "name": "tiny", "disk": 1, "ram": 1, "vcpus": 1, "OS-FLV-EXT-DATA:ephemeral": 0, "swap": 0}
    stub.answers |= {
        "GET /nova/v2/flavors/detail": {"flavors": [flavor]},
        "GET /nova/v2/flavors": {"flavors": [flavor]},
        "GET /neutron/v2/ports": {"ports": []},
        "POST /neutron/v2/ports": {"port": port},
        "GET /nova/v2/servers/detail": {"servers": []},
        "POST /nova/v2/servers": {"server": server},
        f"GET /nova/v2/servers/{VM}": {"server": server},
        "DELETE /neutron/v2/ports/port-1": Answer(204, b""),
        f"DELETE /nova/v2/servers/{VM}": Answer(204, b""),
        **more,
    }


def _make(cloud: Cloud, networks: Networks | None = None, **more: Any) -> Vm:
    wanted = networks or {"a": Network(type="dynamic", cloud_properties=_NET)}
    return cloud.create_vm(AgentId("a"), StemcellCid(ID), {"instance_type": "tiny", **more}, wanted)


_MANUAL: Networks = {"a": Network(ip="10.0.0.9", cloud_properties=_NET)}
_DYNAMIC: Networks = {"a": Network(type="dynamic", cloud_properties=_NET)}


@pytest.mark.parametrize(
    ("networks", "kind", "told", "retried"),
    [
        (_MANUAL, "IpAddressAlreadyAllocated", "the address 10.0.0.9 is taken", False),
        (_MANUAL, "OverQuota", "no port in net-1: the project's quota: Quota exceeded", False),
        (_DYNAMIC, "OverQuota", "no port in net-1: the project's quota: Quota exceeded", False),
        (_DYNAMIC, "IpAddressGenerationFailure", "no port for a in the network net-1: ", True),
        (_MANUAL, "MacAddressInUse", "no port for a in the network net-1: ", False),
    ],
)
def test_a_conflict_is_told_as_what_it_is(
    stub: Stub, cloud: Cloud, networks: Networks, kind: str, told: str, *, retried: bool
) -> None:
    """A quota is no address that is taken, and neither is a network without any."""
    message = "Quota exceeded for resources: ['port']." if kind == "OverQuota" else f"{kind}."
    _ready(stub, **{"POST /neutron/v2/ports": neutron(kind, message)})
    with pytest.raises(errors.CloudError, match=told) as caught:
        _make(cloud, networks)
    assert getattr(caught.value, "ok_to_retry", False) == retried
    assert ("is taken" in caught.value.message) == ("is taken" in told)


@pytest.mark.parametrize(
    ("port", "foreign"),
    [
        ({"name": "", "description": ""}, False),
        ({"name": _OURS, "description": "director=d"}, False),
        ({"name": "renamed", "description": "", "tags": [f"multicpi-vm-{VM}"]}, False),
        ({"name": "router-uplink", "description": ""}, True),
        ({"name": "", "description": "kept for the firewall"}, True),
        ({"name": "vm-7", "description": "", "tags": ["team-a"]}, True),
    ],
)
def test_a_port_is_known_by_our_name_and_tag(port: dict[str, Any], *, foreign: bool) -> None:
    """Those of the official CPIs have neither, nor a name of anybody else's."""
    assert is_foreign(port) is foreign


def test_a_port_that_somebody_has_put_by_keeps_its_address(stub: Stub, cloud: Cloud) -> None:
    """It is named, so that its owner can be asked."""
    held = {"id": "port-7", "name": "kept", "status": "DOWN", "device_id": "", "device_owner": "", "description": "firewall"}
    refusal = neutron("IpAddressAlreadyAllocated", "IP address 10.0.0.9 already allocated")
    _ready(stub, **{"POST /neutron/v2/ports": refusal, "GET /neutron/v2/ports": {"ports": [held]}})
    with pytest.raises(errors.VMCreationFailed, match=r"the address 10\.0\.0\.9 is taken by the port port-7 kept"):
        _make(cloud, _MANUAL)
    assert stub.calls("DELETE") == []


def test_a_port_that_somebody_plugged_in_outlives_the_vm(stub: Stub, cloud: Cloud) -> None:
    """The VM's own go."""
    ports = [{"id": "port-1", "name": _OURS}, {"id": "port-2", "name": ""}, {"id": "port-7", "name": "uplink"}]
    deleted = False

    def removed(_: Request) -> Answer:
        nonlocal deleted
        deleted = True
        return Answer(204, b"")

    server = {"server": {"id": VM, "status": "ACTIVE", "metadata": {}}}
    stub.answers |= {
        f"GET /nova/v2/servers/{VM}": lambda _: gone() if deleted else server,
        f"DELETE /nova/v2/servers/{VM}": removed,
        "GET /neutron/v2/ports": {"ports": ports},
        **{f"DELETE /neutron/v2/ports/port-{number}": Answer(204, b"") for number in (1, 2, 7)},
    }
    cloud.delete_vm(VM)
    assert [path.rpartition("/")[2] for path in stub.calls("DELETE")] == [VM, "port-1", "port-2"]


def test_an_address_that_comes_when_the_vm_runs_is_waited_for(stub: Stub, cloud: Cloud) -> None:
    """And IPv4 goes first."""
    bare = {"id": "port-1", "network_id": "net-1", "mac_address": "m", "fixed_ips": [], "status": "DOWN"}
    both = [{"ip_address": "fd00::9", "subnet_id": "6"}, {"ip_address": "10.0.0.9", "subnet_id": "4"}]
    looks = iter([bare, {**bare, "fixed_ips": both}])
    _ready(stub, **{"POST /neutron/v2/ports": {"port": bare}, "GET /neutron/v2/ports/port-1": lambda _: {"port": next(looks)}})
    assert _make(cloud).networks["a"].ip == "10.0.0.9"


def test_every_port_has_the_groups_of_all_networks(stub: Stub, tmp_path: Path) -> None:
    """As the official CPIs give them: networks' groups together, on each; the project's own go before others' of the name."""
    own = [{"id": "web-own", "name": "web"}, {"id": "db-own", "name": "db"}]
    all_of_them = [{"id": "web-other", "name": "web"}, {"id": "shared-1", "name": "shared"}, *own]

    def groups(request: Request) -> Any:
        asked = parse_qs(request.query)
        assert asked["fields"] == ["id", "name"]  # on each page
        found = own if "project_id" in asked else all_of_them
        start = int(asked.get("marker", ["0"])[-1])
        more = f"{stub.url}/neutron/v2/security-groups?{request.query}&marker={start + 1}"
        links = [{"rel": "next", "href": more}] if start + 1 < len(found) else []
        return {"security_groups": found[start : start + 1], "security_groups_links": links}

    _ready(stub, **{"GET /neutron/v2/security-groups": groups})
    networks: Networks = {
        "a": Network(type="dynamic", cloud_properties={**_NET, "security_groups": ["web"]}),
        "b": Network(type="dynamic", cloud_properties={**_NET, "security_groups": ["db", "shared"]}),
    }
    with connected(stub, tmp_path) as cloud:
        _make(cloud, networks)
    made = [json.loads(request.body)["port"]["security_groups"] for request in stub.seen if request.path == "/neutron/v2/ports"]
    assert [one for one in made if one] == [["web-own", "db-own", "shared-1"]] * 2


def test_a_zone_that_there_is_not_is_not_tried_again(stub: Stub, cloud: Cloud) -> None:
    """A repeat ends the same way."""
    said = "The requested availability zone is not available"
    _ready(stub, **{"POST /nova/v2/servers": refused(400, {"badRequest": {"message": said}})})
    with pytest.raises(errors.VMCreationFailed, match="tiny in typo: The requested") as caught:
        _make(cloud, availability_zone="typo")
    assert not caught.value.ok_to_retry


@pytest.mark.parametrize(
    ("message", "retried"),
    [
        ("VolumeSizeExceedsAvailableQuota: Requested volume exceeds allowed gigabytes quota", False),
        ("Exceeded maximum number of retries. Exhausted all hosts available", True),
        ("No valid host was found", True),
    ],
)
def test_a_quota_in_the_servers_fault_is_told_as_one(stub: Stub, cloud: Cloud, message: str, *, retried: bool) -> None:
    """It is Cinder's, of the root disk; a repeat does not help."""
    made, shown = {"id": VM, "status": "BUILD", "metadata": {}}, {"message": message}
    going = iter([{"server": {"id": VM, "status": "ERROR", "fault": shown, "metadata": {}}}])
    _ready(stub, **{"POST /nova/v2/servers": {"server": made}, f"GET /nova/v2/servers/{VM}": lambda _: next(going, gone())})
    with pytest.raises(errors.VMCreationFailed, match=message[:20]) as caught:
        _make(cloud)
    assert caught.value.ok_to_retry is retried


# ---------------------------------------------------------------------- what an error says


def test_an_error_has_the_id_by_which_the_clouds_owner_finds_the_call(stub: Stub, cloud: Cloud) -> None:
    """As has the log."""
    body = {"forbidden": {"message": "Policy does not allow it"}}
    stub.answers[f"GET /nova/v2/servers/{VM}"] = refused(403, body, **{"x-openstack-request-id": "req-1234"})
    with pytest.raises(errors.CloudError, match=r"403 Policy does not allow it \[request req-1234\]"):
        cloud.has_vm(VM)


def test_a_region_that_there_is_not_is_told_with_those_that_there_are(stub: Stub, tmp_path: Path) -> None:
    """The catalogue knows them."""
    with connected(stub, tmp_path, region="three") as cloud, pytest.raises(errors.CpiError, match="in the regions: one, two"):
        cloud.has_vm(VM)


@pytest.mark.parametrize(("bypassed", "by_proxy"), [("", True), ("127.0.0.1", False)])
def test_without_a_setting_the_environment_names_the_proxy(
    stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bypassed: str, *, by_proxy: bool
) -> None:
    """As the official jobs export it. A proxy is asked for whole URLs."""
    asked: list[str] = []

    def proxy(request: Request) -> Answer:
        asked.append(request.path)
        return stub(dataclasses.replace(request, path=request.path.removeprefix(stub.url)))

    with web_server(proxy) as url:
        monkeypatch.setenv("http_proxy", url)
        monkeypatch.setenv("no_proxy", bypassed)
        with connected(stub, tmp_path) as cloud:
            assert not cloud.has_vm(VM)
    wanted = [f"{stub.url}/identity/v3/auth/tokens", f"{stub.url}/nova/v2/servers/{VM}"]
    assert asked == (wanted if by_proxy else [])
