"""Which VM holds which address."""

import ipaddress

import pytest

from cpi.contract import errors
from cpi.contract.ids import VmCid
from cpi.contract.model import Network, NetworkDefinition
from cpi_drivers.local.host.state import State
from tests.drivers.local.place import Place


def test_each_vm_has_a_loopback_address_of_its_own(place: Place) -> None:
    """A dynamic network gets it."""
    stemcell_cid = place.stemcell()
    found = {place.vm(stemcell_cid).networks["net"].ip or "" for _ in range(3)}
    assert len(found) == 3
    assert all(ipaddress.ip_address(address) in ipaddress.ip_network("127.64.0.0/10") for address in found)


def test_a_manual_address_is_refused_to_a_second_vm(place: Place) -> None:
    """Naming who holds it, however it is written; not to be tried again."""
    stemcell_cid = place.stemcell()
    holder = place.vm(stemcell_cid, {"a": Network(ip="fd00::1"), "b": Network(ip="10.0.0.5")}).cid
    for taken in ("fd00:0::1", "10.0.0.5"):
        with pytest.raises(errors.VMCreationFailed, match=f"is held by VM {holder}") as caught:
            place.vm(stemcell_cid, {"a": Network(ip="10.0.0.6"), "b": Network(ip=taken)})
        assert not caught.value.ok_to_retry
    assert place.vm(stemcell_cid, {"a": Network(ip="10.0.0.6")}).networks["a"].ip == "10.0.0.6"


@pytest.mark.parametrize("wrong", [None, "", "10.0.0", "10.0.0.300", "host"])
def test_a_manual_network_without_an_address_is_refused(place: Place, wrong: str | None) -> None:
    """Naming the network."""
    with pytest.raises(errors.CpiError, match=r"networks\.front\.ip: a manual network needs an IP address"):
        place.vm(networks={"front": Network(ip=wrong)})
    assert place.count("addresses") == 0


def test_one_address_twice_in_a_vm_is_refused(place: Place) -> None:
    """It is a fault of the request, not a lack."""
    with pytest.raises(errors.CpiError, match=r"10\.0\.0\.5 is given twice"):
        place.vm(networks={"a": Network(ip="10.0.0.5"), "b": Network(ip="10.0.0.5")})


def test_networks_come_back_as_they_were_given(place: Place) -> None:
    """With what no version of this CPI knows."""
    given = Network(ip="10.0.0.9", netmask="255.255.255.0", gateway="10.0.0.1", dns=("10.0.0.2",), extra={"new": {"key": 1}})
    vip = Network(type="vip", ip="203.0.113.5")
    assert place.vm(networks={"a": given, "v": vip}).networks == {"a": given, "v": vip}


def test_a_vip_may_move_from_one_vm_to_the_next(place: Place) -> None:
    """It is no address of the VM."""
    stemcell_cid = place.stemcell()
    for _ in range(2):
        place.vm(stemcell_cid, {"v": Network(type="vip", ip="203.0.113.5")})


@pytest.mark.parametrize(("ip", "times"), [("10.0.0.6", 1), ("127.64.7.6", 0)])
def test_who_calls_an_agent_elsewhere_than_it_listens_is_told_where_it_does(
    place: Place, caplog: pytest.LogCaptureFixture, ip: str, times: int
) -> None:
    """create-env asks for all addresses of the machine, and calls that of its manifest."""
    env = {"bosh": {"mbus": {"urls": ["https://u:p@0.0.0.0:6868"]}}}
    place.vm(networks={"a": Network(ip=ip)}, env=env)
    said = [message for message in caplog.messages if "bosh create-env needs a static IP" in message]
    assert len(said) == times
    assert all(f"and not at {ip}" in message and "u:p" not in message for message in said)


def test_a_manual_loopback_address_is_where_the_agent_listens(place: Place) -> None:
    """That of the network with the default gateway first."""
    first, second = place.vm().networks["net"].ip or "", "127.70.1.1"
    place.cloud.delete_vm(next(iter(_cids(place))))
    networks = {"a": Network(ip=second), "b": Network(ip=first, default=("dns", "gateway"))}
    assert place.row("vms", place.vm(networks=networks).cid)["address"] == first


def test_a_made_network_gives_addresses(place: Place) -> None:
    """The gateway's is not for VMs; when all are taken that is said."""
    made = place.cloud.create_network(NetworkDefinition(range="127.200.0.0/30"))
    stemcell_cid, on = place.stemcell(), Network(type="dynamic", cloud_properties=made.cloud_properties)
    vm = place.vm(stemcell_cid, {"a": on})
    assert vm.networks["a"].ip == "127.200.0.2"
    with pytest.raises(errors.VMCreationFailed, match="has no free address"):
        place.vm(stemcell_cid, {"a": on})
    with pytest.raises(errors.CloudError, match=f"VM {vm.cid} is on it"):
        place.cloud.delete_network(made.cid)
    place.cloud.delete_vm(vm.cid)
    place.cloud.delete_network(made.cid)
    with pytest.raises(errors.NetworkNotFound):
        place.cloud.delete_network(made.cid)


@pytest.mark.parametrize("address", ["10.9.0.1", "10.8.0.5"])
def test_a_manual_address_outside_of_its_network_is_refused(place: Place, address: str) -> None:
    """The gateway's too."""
    made = place.cloud.create_network(NetworkDefinition(range="10.9.0.0/24"))
    with pytest.raises(errors.CpiError, match=f"{address} is not for VMs in network {made.cid}: 10.9.0.0/24, gateway 10.9.0.1"):
        place.vm(networks={"a": Network(ip=address, cloud_properties=made.cloud_properties)})


def _cids(place: Place) -> list[VmCid]:
    return [VmCid(row["cid"]) for row in State(place.layout).rows("SELECT cid FROM vms")]
