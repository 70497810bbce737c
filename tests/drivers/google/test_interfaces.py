"""The interfaces of a VM: addresses inside and public, of both IP versions, ranges, several networks."""

from typing import Any

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.model import Network, NetworkDefinition, Networks
from fixtures.clouds.google.lab import REGION, Lab
from tests.drivers.google.conftest import Helper

_REGION = "projects/a-project/regions/europe-west1"
_ROOT = "https://www.googleapis.com/compute/v1/"


def _made(google: Lab, helper: Helper, **properties: Any) -> dict[str, Any]:
    made: dict[str, Any] = google.see("instances", helper.vm(**properties).cid)
    return made


def test_public_addresses_and_forwarding_come_from_the_vm_or_its_network(google: Lab, helper: Helper) -> None:
    """The VM's word counts more."""
    public = helper.manual(ephemeral_external_ip=True, ip_forwarding=True)
    vm = _made(google, helper, networks=public)
    assert vm["networkInterfaces"][0]["accessConfigs"][0]["natIP"]
    assert vm["canIpForward"] is True
    vm = _made(
        google, helper, networks=helper.manual(ephemeral_external_ip=True), ephemeral_external_ip=False, ip_forwarding=False
    )
    assert "accessConfigs" not in vm["networkInterfaces"][0]
    assert not vm.get("canIpForward")


def test_a_vip_is_the_vms_public_address(google: Lab, helper: Helper) -> None:
    """One that is not reserved is refused by Google, and nothing is left."""
    google.control("add", path=f"{_REGION}/addresses/an-address", item={"address": "198.51.100.7"})
    networks = {**helper.manual(), "vip": Network(type="vip", ip="198.51.100.7")}
    vm = _made(google, helper, networks=networks)
    assert vm["networkInterfaces"][0]["accessConfigs"][0]["natIP"] == "198.51.100.7"
    before = google.census()
    with pytest.raises(errors.VMCreationFailed, match=r"198\.51\.100\.8"):
        helper.vm(networks={**helper.manual(), "vip": Network(type="vip", ip="198.51.100.8")})
    assert google.census() == before


def _second_network(google: Lab, *, stack: str = "IPV4_ONLY", access: str = "INTERNAL") -> None:
    network = "projects/a-project/global/networks/second"
    google.control("add", path=network, item={"autoCreateSubnetworks": False})
    item = {"network": _ROOT + network, "ipCidrRange": "10.200.0.0/24", "gatewayAddress": "10.200.0.1", "stackType": stack}
    ranges = {"internalIpv6Prefix": "fd20:1::/64", "externalIpv6Prefix": "2600:1::/64"} if stack != "IPV4_ONLY" else {}
    told = {**item, **ranges, "ipv6AccessType": access} if ranges else item
    google.control("add", path=f"{_REGION}/subnetworks/second", item={**told, "region": _ROOT + _REGION, "purpose": "PRIVATE"})


def test_several_interfaces_are_told_to_the_agent_by_their_macs(google: Lab, helper: Helper) -> None:
    """The one with the gateway comes first; Google makes a MAC of the address."""
    _second_network(google)
    second = Network(ip="10.200.0.9", default=("gateway",), cloud_properties={"subnetwork_name": "second"})
    networks: Networks = {**helper.manual(), "second": second}
    vm = _made(google, helper, networks=networks)
    assert [nic["networkIP"] for nic in vm["networkInterfaces"]] == ["10.200.0.9", networks["default"].ip]
    assert helper.settings(vm["name"])["networks"]["second"]["mac"] == "42:01:0a:c8:00:09"
    with pytest.raises(errors.CpiError, match="needs a manual IPv4 address"):
        helper.vm(networks={**helper.manual(), "second": Network(type="dynamic")})


def test_ipv4_and_ipv6_lie_on_one_interface(google: Lab, helper: Helper) -> None:
    """Two networks of one nic_group, or one that says dual_stack."""
    _second_network(google, stack="IPV4_IPV6")
    properties = {"subnetwork_name": "second"}
    networks = {
        "four": Network(ip="10.200.0.9", nic_group="a", cloud_properties=properties),
        "six": Network(ip="fd20:1::9:0:0", nic_group="a", cloud_properties=properties),
    }
    nic = _made(google, helper, networks=networks)["networkInterfaces"][0]
    assert (nic["stackType"], nic["ipv6Address"], nic["networkIP"]) == ("IPV4_IPV6", "fd20:1::9:0:0", "10.200.0.9")
    dynamic = {"one": Network(type="dynamic", cloud_properties={**properties, "dual_stack": True})}
    assert _made(google, helper, networks=dynamic)["networkInterfaces"][0]["stackType"] == "IPV4_IPV6"


def test_a_shared_vpc_is_the_host_projects(google: Lab, helper: Helper) -> None:
    """Network and subnetwork."""
    networks = helper.manual(xpn_host_project_id="a-host-project", network_name="default")
    nic = _made(google, helper, networks=networks)["networkInterfaces"][0]
    assert "/a-host-project/regions/europe-west1/subnetworks/default" in nic["subnetwork"]


def _interface(google: Lab, helper: Helper, networks: Networks) -> dict[str, Any]:
    found: dict[str, Any] = _made(google, helper, networks=networks)["networkInterfaces"][0]
    return found


def test_a_public_ipv6_address_is_chosen_by_google_or_by_the_manifest(google: Lab, helper: Helper) -> None:
    """Of a subnetwork whose IPv6 is external; Google gives a whole /96 of it."""
    _second_network(google, stack="IPV4_IPV6", access="EXTERNAL")
    properties = {"subnetwork_name": "second", "external_ipv6": True}
    public = _interface(google, helper, {"one": Network(type="dynamic", cloud_properties=properties)})["ipv6AccessConfigs"][0]
    assert (public["externalIpv6"], public["externalIpv6PrefixLength"]) == ("2600:1::1:0:0", 96)
    networks = {
        "four": Network(ip="10.200.0.9", nic_group="a", cloud_properties=properties),
        "six": Network(ip="2600:1::7:0:0", prefix="96", nic_group="a", cloud_properties=properties),
    }
    nic = _interface(google, helper, networks)
    assert (nic["networkIP"], nic["ipv6AccessConfigs"][0]["externalIpv6"]) == ("10.200.0.9", "2600:1::7:0:0")
    with pytest.raises(errors.VMCreationFailed, match="already being used"):
        helper.vm(networks={**networks, "four": Network(ip="10.200.0.10", nic_group="a", cloud_properties=properties)})


def test_what_any_network_of_a_nic_group_asks_for_its_interface_has(google: Lab, helper: Helper) -> None:
    """A public IPv6 address, an external one, tags."""
    _second_network(google, stack="IPV4_IPV6", access="EXTERNAL")
    place = {"subnetwork_name": "second"}
    six = {**place, "external_ipv6": True, "ephemeral_external_ip": True, "tags": ["six", "all"]}
    networks = {
        "four": Network(ip="10.200.0.9", nic_group="a", cloud_properties={**place, "tags": ["all"]}),
        "six": Network(ip="2600:1::7:0:0", nic_group="a", cloud_properties=six),
    }
    vm = _made(google, helper, networks=networks)
    (nic,) = vm["networkInterfaces"]
    assert nic["ipv6AccessConfigs"][0]["externalIpv6"] == "2600:1::7:0:0"
    assert nic["accessConfigs"][0]["natIP"]
    assert vm["tags"]["items"] == ["all", "six"]


def test_vips_of_both_versions_are_one_vms(google: Lab, helper: Helper) -> None:
    """On the interface of their nic_group."""
    _second_network(google, stack="IPV4_IPV6", access="EXTERNAL")
    google.control("add", path=f"{_REGION}/addresses/an-address", item={"address": "198.51.100.7"})
    networks = {
        **helper.manual(),
        "second": Network(ip="10.200.0.9", nic_group="b", cloud_properties={"subnetwork_name": "second"}),
        "vip": Network(type="vip", ip="198.51.100.7"),
        "vip6": Network(type="vip", ip="2600:1::8:0:0", nic_group="b"),
    }
    first, second = _made(google, helper, networks=networks)["networkInterfaces"]
    assert (first["accessConfigs"][0]["natIP"], "ipv6AccessConfigs" in first) == ("198.51.100.7", False)
    assert (second["ipv6AccessConfigs"][0]["externalIpv6"], "accessConfigs" in second) == ("2600:1::8:0:0", False)


def test_an_ipv4_prefix_is_an_alias_range_of_its_nic_groups_interface(google: Lab, helper: Helper) -> None:
    """Beside an address of its own."""
    four = helper.manual()["default"]
    delegated = Network(ip="10.132.8.16", prefix="28", nic_group="a", cloud_properties=four.cloud_properties)
    networks = {"own": Network(ip=four.ip, nic_group="a", cloud_properties=four.cloud_properties), "more": delegated}
    nic = _interface(google, helper, networks)
    assert (nic["networkIP"], nic["aliasIpRanges"]) == (four.ip, [{"ipCidrRange": "10.132.8.16/28"}])


@pytest.mark.parametrize(
    ("network", "fault"),
    [
        (Network(ip="10.132.8.17", prefix="28"), "begins there"),
        (Network(ip="fd20::", prefix="80"), "the /96 that an IPv6 interface has"),
        (Network(type="vip", ip="nowhere"), "'nowhere' is no IP address"),
    ],
)
def test_what_cannot_be_given_is_refused_before_any_call(google: Lab, helper: Helper, network: Network, fault: str) -> None:
    """With what there is instead."""
    with pytest.raises(errors.CpiError, match=fault):
        helper.vm(networks={**helper.manual(), "more": network})
    assert google.proxy.counts() == {}


def test_a_second_vip_of_one_version_is_refused(helper: Helper) -> None:
    """One IPv4, one IPv6."""
    vip = Network(type="vip", ip="198.51.100.7")
    with pytest.raises(errors.CpiError, match="one IPv4 vip"):
        helper.vm(networks={**helper.manual(), "vip": vip, "other": vip})


@pytest.mark.parametrize(("wish", "access"), [("dual_stack", "INTERNAL"), ("external_ipv6", "EXTERNAL")])
def test_a_network_of_both_stacks_is_made_and_its_vms_have_both(
    google: Lab, helper: Helper, cloud: Cloud, wish: str, access: str
) -> None:
    """What create_network answers leads VMs onto it with both."""
    google.control("add", path="projects/a-project/global/networks/six", item={"enableUlaInternalIpv6": True})
    properties = {"region": REGION, "network_name": "six", wish: True}
    made = cloud.create_network(NetworkDefinition(range="10.88.0.0/24", cloud_properties=properties))
    subnetwork = google.see("subnetworks", made.cid)
    assert (subnetwork["stackType"], subnetwork["ipv6AccessType"]) == ("IPV4_IPV6", access)
    nic = _interface(google, helper, {"one": Network(ip="10.88.0.7", cloud_properties=made.cloud_properties)})
    assert (nic["stackType"], nic["ipv6AccessType"]) == ("IPV4_IPV6", access)
    assert ("ipv6AccessConfigs" in nic) == (access == "EXTERNAL")


def test_a_network_that_has_no_ipv6_inside_says_so(cloud: Cloud) -> None:
    """In Google's words; nothing is left."""
    with pytest.raises(errors.CloudError, match="not supported in auto subnet mode"):
        cloud.create_network(NetworkDefinition(range="10.89.0.0/24", cloud_properties={"region": REGION, "dual_stack": True}))
