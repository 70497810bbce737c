"""One call has one deadline, whatever it touches: answers are told by a stub, and time passes by waiting alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cpi.contract import errors
from cpi.contract.ids import AgentId, StemcellCid
from cpi.contract.model import Network
from fixtures.proxy import Answer, Request
from fixtures.simulated_time import SimulatedTime
from fixtures.web_server import web_server
from tests.drivers.openstack.stub import ID, VM, Stub, connected, gone, refused

_POOLS = 12


@pytest.fixture
def stub() -> Iterator[Stub]:
    """Running."""
    told = Stub()
    with web_server(told) as told.url:
        yield told


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> SimulatedTime:
    """Of everything that waits."""
    simulated = SimulatedTime()
    simulated.rule(monkeypatch)
    return simulated


def _member(number: int) -> str:
    return f"/octavia/v2/lbaas/pools/pool-{number}/members/member-{number}"


def _balanced(stub: Stub) -> None:
    """A VM in many pools; its balancer takes every change, and is busy with it for ever."""
    metadata = {f"lbaas_pool_{number}": f"pool-{number}/member-{number}" for number in range(_POOLS)}
    server = {"server": {"id": VM, "status": "ACTIVE", "metadata": metadata, "OS-EXT-STS:task_state": None}}
    there = {"vm": True}

    def deleted(_: Request) -> Answer:
        there["vm"] = False
        return Answer(204, b"")

    stub.answers |= {
        f"GET /nova/v2/servers/{VM}": lambda _: server if there["vm"] else gone(),
        f"DELETE /nova/v2/servers/{VM}": deleted,
        "GET /neutron/v2/ports": {"ports": []},
        **{f"DELETE {_member(number)}": Answer(204, b"") for number in range(_POOLS)},
    }
    _pools_are(stub, "PENDING_UPDATE")


def _pools_are(stub: Stub, status: str) -> None:
    for number in range(_POOLS):
        stub.answers[f"GET /octavia/v2/lbaas/pools/pool-{number}"] = {"pool": {"provisioning_status": status}}


def test_a_vm_in_many_stuck_pools_is_kept_and_a_repeat_deletes_it(stub: Stub, tmp_path: Path, time: SimulatedTime) -> None:
    """Twelve pools of sixty seconds take no twelve minutes; what its metadata tell is not lost with it."""
    _balanced(stub)
    began = time.now()
    with connected(stub, tmp_path, wait_resource_poll_interval=5) as cloud:
        with pytest.raises(errors.CloudError, match=f"the VM {VM} is there yet; delete it again: pool pool-0 is still being"):
            cloud.delete_vm(VM)
        assert time.now() - began <= 120
        assert f"/nova/v2/servers/{VM}" not in stub.calls("DELETE")
        _pools_are(stub, "ACTIVE")
        stub.seen.clear()
        cloud.delete_vm(VM)
    assert stub.calls("DELETE") == [*(_member(number) for number in range(_POOLS)), f"/nova/v2/servers/{VM}"]


def test_a_pool_that_refuses_keeps_no_vm(stub: Stub, tmp_path: Path) -> None:
    """What no repeat would mend is told when the VM is gone."""
    _balanced(stub)
    _pools_are(stub, "ACTIVE")
    stub.answers[f"DELETE {_member(3)}"] = refused(403, {"faultstring": "Policy does not allow this request"})
    with (
        connected(stub, tmp_path) as cloud,
        pytest.raises(errors.CloudError, match=f"the VM {VM} is gone, but not all that was its own: .*Policy"),
    ):
        cloud.delete_vm(VM)
    assert stub.calls("DELETE")[-1] == f"/nova/v2/servers/{VM}"


def test_zones_are_tried_until_the_deadline_and_nothing_is_left(stub: Stub, tmp_path: Path, time: SimulatedTime) -> None:
    """Ten zones, in each of which a server is built for ever: each that was begun is removed."""
    flavor = {"id": "f", "name": "tiny", "disk": 1, "ram": 1, "vcpus": 1, "OS-FLV-EXT-DATA:ephemeral": 0, "swap": 0}
    port = {
        "id": "port-1",
        "network_id": "net-1",
        "mac_address": "m",
        "fixed_ips": [{"ip_address": "10.0.0.9"}],
        "status": "DOWN",
    }
    made: list[str] = []

    def build(_: Request) -> Any:
        made.append(f"server-{len(made)}")
        path = f"/nova/v2/servers/{made[-1]}"
        stub.answers[f"GET {path}"] = {"server": {"id": made[-1], "status": "BUILD", "metadata": {}}}
        stub.answers[f"DELETE {path}"] = lambda _: stub.answers.pop(f"GET {path}") and Answer(204, b"")
        return {"server": {"id": made[-1]}}

    stub.answers |= {
        "GET /nova/v2/flavors/detail": {"flavors": [flavor]},
        "POST /neutron/v2/ports": {"port": port},
        "DELETE /neutron/v2/ports/port-1": Answer(204, b""),
        "GET /nova/v2/servers/detail": {"servers": []},
        "POST /nova/v2/servers": build,
    }
    wish = {"instance_type": "tiny", "availability_zones": [f"zone-{number}" for number in range(10)]}
    networks = {"a": Network(type="dynamic", cloud_properties={"net_id": "net-1"})}
    began = time.now()
    with (
        connected(stub, tmp_path, wait_resource_poll_interval=5, ignore_server_availability_zone=True) as cloud,
        pytest.raises(errors.CloudError, match=r"call_timeout|not within"),
    ):
        cloud.create_vm(AgentId("a"), StemcellCid(ID), wish, networks)
    assert time.now() - began <= 2 * 120
    assert 2 <= len(made) <= 3
    assert {path.rpartition("/")[2] for path in stub.calls("DELETE")} == {*made, "port-1"}
