"""Networks that a director has made, in a real Neutron."""

import ipaddress
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import NetworkCid
from cpi.contract.model import NetworkDefinition
from fixtures.clouds.openstack.lab import Lab
from fixtures.proxy import Rule, effects

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.usefixtures("census_kept")]


@pytest.fixture
def router(project: Lab) -> Iterator[str]:
    """A router of the project's, without a subnet."""
    made = project.sdk.network.create_router(name="managed")
    yield str(made.id)
    project.sdk.network.delete_router(made.id)


def _joined(project: Lab, router: str) -> list[str]:
    ports = project.sdk.network.ports(device_id=router)
    return [fixed["ip_address"] for port in ports for fixed in port.fixed_ips]


def _on(router: str, **more: Any) -> NetworkDefinition:
    return NetworkDefinition(cloud_properties={"router_id": router, "security_groups": ["web"]}, **more)


def test_a_network_is_joined_to_a_router_and_leaves_it(project: Lab, cloud: Cloud, router: str) -> None:
    """The gateway is the router's; what Neutron takes for itself is told as reserved; a manifest keeps its groups."""
    made = cloud.create_network(_on(router, range="10.77.0.0/24", gateway="10.77.0.254"))
    assert made.cloud_properties == {"net_id": made.cid, "security_groups": ["web"]}
    assert made.addresses.reserved == ("10.77.0.251", "10.77.0.252", "10.77.0.253")
    assert _joined(project, router) == [made.addresses.gateway] == ["10.77.0.254"]
    [subnet] = project.sdk.network.subnets(network_id=made.cid)
    assert subnet.allocation_pools == [{"start": "10.77.0.251", "end": "10.77.0.253"}]
    with pytest.raises(errors.CloudError, match=r"the router .* cannot have it"):
        cloud.create_network(_on(router, range="10.77.0.0/25"))
    cloud.delete_network(made.cid)
    assert _joined(project, router) == []


def test_a_range_of_a_size_is_free_at_the_router(cloud: Cloud, router: str) -> None:
    """Each has its own."""
    made = [cloud.create_network(_on(router, netmask_bits=27)) for _ in range(3)]
    ranges = [ipaddress.ip_network(one.addresses.range) for one in made]
    assert {one.prefixlen for one in ranges} == {27}
    assert not any(one.overlaps(other) for one in ranges for other in ranges if one is not other)
    for one in made:
        cloud.delete_network(one.cid)


def test_ipv6_is_given_by_dhcp(project: Lab, cloud: Cloud) -> None:
    """Or a manual address could not be asked for."""
    made = cloud.create_network(NetworkDefinition(range="fd00:77::/64"))
    [subnet] = project.sdk.network.subnets(network_id=made.cid)
    assert (subnet.ipv6_address_mode, made.addresses.gateway) == ("dhcpv6-stateful", "fd00:77::1")
    cloud.delete_network(made.cid)


@pytest.mark.parametrize(("told", "why"), [("10.0.0.0/30", "/8 to /29"), ("10.0.0.1/24", "host bits"), ("ten", "no range")])
def test_a_range_that_is_none_is_refused(cloud: Cloud, told: str, why: str) -> None:
    """Before anything is made."""
    with pytest.raises(errors.CpiError, match=why):
        cloud.create_network(NetworkDefinition(range=told))
    with pytest.raises(errors.CpiError, match="gateway: "):
        cloud.create_network(NetworkDefinition(range="10.81.0.0/24", gateway=told))


def test_a_router_that_is_not_there_leaves_nothing(cloud: Cloud) -> None:
    """It is told by its id."""
    missing = str(uuid.uuid4())
    with pytest.raises(errors.CloudError, match=f"router_id: .*{missing}"):
        cloud.create_network(_on(missing, range="10.78.0.0/24"))


def test_a_network_that_is_an_operators_is_no_network_of_ours(project: Lab, cloud: Cloud) -> None:
    """It stays, whoever asks."""
    with pytest.raises(errors.NetworkNotFound, match="was not made by create_network"):
        cloud.delete_network(NetworkCid(project.net_id))
    assert project.sdk.network.find_network(project.net_id)


def test_what_a_lost_answer_made_is_found(project: Lab, cloud: Cloud, router: str) -> None:
    """One network, one subnet, joined once."""
    before = project.census()
    calls = ("POST /v2.0/networks", "POST /v2.0/subnets", "PUT /v2.0/routers/*", "DELETE /v2.0/networks/*")
    rules = [Rule(call, effects.lost_answer(), times=1) for call in calls]
    for rule in rules:
        project.proxies["neutron"].inject(rule)
    made = cloud.create_network(_on(router, range="10.80.0.0/24"))
    assert project.census() == {**before, "networks": before["networks"] + 1, "subnets": before["subnets"] + 1}
    cloud.delete_network(made.cid)
    assert [rule.met for rule in rules] == [1, 1, 1, 1]
    project.proxies["neutron"].withdraw_all()
