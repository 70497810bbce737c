"""A VM that is born onto a message bus, as a director's are."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cpi.agent.nats import BusTls, NatsBus
from cpi.contract.ids import AgentId
from cpi.contract.model import Network
from fixtures.nats_server import nats_server
from tests.drivers.local.place import Place


def test_a_vm_joins_the_bus_it_is_given(place: Place, tmp_path: Path) -> None:
    """With env.bosh.mbus as the director makes it; the settings tell the VM's own address, which no URL does."""
    folder = tmp_path / "nats"
    folder.mkdir()
    with nats_server(folder) as server:
        pair, own = server.authority.signed("a-1.agent.bosh-internal"), server.client
        cert = {"ca": server.authority.certificate, "certificate": pair.certificate, "private_key": pair.private_key}
        env = {"bosh": {"mbus": {"urls": [server.url], "cert": cert}}}
        cloud = place.connect(agent={"command": []})
        vm = cloud.create_vm(AgentId("a-1"), place.stemcell(), {}, {"net": Network(type="dynamic")}, (), env)
        settings = cloud.agent_settings(vm.cid)
        assert (settings["mbus"], settings["env"]["bosh"]["mbus"]) == (server.url, env["bosh"]["mbus"])
        assert settings["address"] == vm.networks["net"].ip
        with NatsBus([server.url], BusTls(server.authority.certificate, own.certificate, own.private_key)) as bus:
            agent = bus.agent(AgentId("a-1"))
            agent.wait_until_ready(20)
            assert agent.get_state().document["vm"] == {"name": str(vm.cid)}


def test_a_bus_without_certificates_is_left_without(place: Place) -> None:
    """A certificate of the cloud's own authority would mean nothing there."""
    env = {"bosh": {"mbus": {"urls": ["nats://127.0.0.1:1"]}}}
    vm_cid = place.vm(env=env).cid
    assert place.cloud.agent_settings(vm_cid)["env"]["bosh"]["mbus"] == {"urls": ["nats://127.0.0.1:1"], "cert": {}}
    assert place.cloud.has_vm(vm_cid)


@pytest.mark.parametrize(
    "url", ["https://user:a-password@0.0.0.0:6868", "https://0.0.0.0:6868", "https://[::]:6868", "https://user@10.0.0.6"]
)
def test_an_agent_listens_on_its_own_loopback_address_for_callers_with_a_password(place: Place, url: str) -> None:
    """Whatever a document says: with 0.0.0.0 and no password, everyone on the network would be root in the VM."""
    vm_cid = place.vm(env={"bosh": {"mbus": {"urls": [url]}}}).cid
    settings = place.cloud.agent_settings(vm_cid)
    for written in (settings["mbus"], settings["env"]["bosh"]["mbus"]["urls"][0]):
        served = urlsplit(written)
        assert (served.hostname, served.port) == (settings["address"], urlsplit(url).port or served.port)
        assert served.password
        assert served.password == (urlsplit(url).password or served.password)
