"""What is said of a VM that was not made when something of it could not be removed: told by the test, on loopback."""

from pathlib import Path
from typing import Any

import pytest

from cpi.contract import errors
from cpi.contract.ids import AgentId, StemcellCid
from cpi.contract.model import Network
from fixtures.proxy import Answer, Request
from fixtures.web_server import web_server
from tests.drivers.openstack.stub import ID, Stub, connected, neutron, refused

_FLAVOR = {"id": "f", "name": "tiny", "disk": 1, "ram": 1, "vcpus": 1, "OS-FLV-EXT-DATA:ephemeral": 0, "swap": 0}


@pytest.mark.parametrize("stays", [False, True], ids=["removed", "not removed"])
def test_no_vm_is_tried_again_while_something_of_the_last_is_there(tmp_path: Path, *, stays: bool) -> None:
    """The second port finds no address, which may pass; the first port is removed, or cannot be."""
    stub = Stub()

    def port(request: Request) -> Any:
        if stub.calls("POST").count(request.path) > 1:
            return neutron("IpAddressGenerationFailure", "No more IP addresses available on network net-2.")
        return {"port": {"id": "port-1", "network_id": "net-1", "fixed_ips": [{"ip_address": "10.0.0.9"}]}}

    stub.answers |= {
        "GET /nova/v2/flavors/detail": {"flavors": [_FLAVOR]},
        "GET /neutron/v2/ports": {"ports": []},
        "POST /neutron/v2/ports": port,
        "DELETE /neutron/v2/ports/port-1": refused(403, {"message": "not yours"}) if stays else Answer(204, b""),
    }
    networks = {f"n{n}": Network(type="dynamic", cloud_properties={"net_id": f"net-{n}"}) for n in (1, 2)}
    told = pytest.raises(errors.VMCreationFailed, match="no port for n2")
    with web_server(stub) as stub.url, connected(stub, tmp_path) as cloud, told as caught:
        cloud.create_vm(AgentId("a"), StemcellCid(ID), {"instance_type": "tiny"}, networks)
    assert caught.value.ok_to_retry is not stays
    assert stub.calls("DELETE") == ["/neutron/v2/ports/port-1"]
