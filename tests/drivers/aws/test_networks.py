"""create_network and delete_network: subnets, their ranges, and what happens when an answer is lost or somebody was quicker."""

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import NetworkCid
from cpi.contract.model import Network, NetworkDefinition
from fixtures.clouds.aws.answers import refusal
from fixtures.clouds.aws.lab import ZONES, Lab
from fixtures.proxy import Rule, effects
from tests.drivers.aws.conftest import Helper

_PLACE = {"availability_zone": ZONES[0]}
_SIZED = NetworkDefinition(netmask_bits=26, cloud_properties=_PLACE)


def _subnets(aws: Lab) -> set[str]:
    return {one["SubnetId"] for one in aws.ec2.describe_subnets()["Subnets"]}


@pytest.mark.parametrize(
    ("definition", "fault"),
    [
        (NetworkDefinition(range="172.31.99.0/24", gateway="172.31.99.9"), "EC2's router has the first address"),
        (NetworkDefinition(range="172.31.99.1/24"), "no IPv4 range"),
        (NetworkDefinition(range="fd00::/64"), "no IPv4 range"),
        (NetworkDefinition(netmask_bits=29), "cannot be made: EC2 has /16 to /28"),
        (NetworkDefinition(), "a range or netmask_bits"),
    ],
)
def test_what_ec2_has_not_is_refused_before_any_call(aws: Lab, cloud: Cloud, definition: NetworkDefinition, fault: str) -> None:
    """With what there is instead."""
    with pytest.raises(errors.CpiError, match=fault):
        cloud.create_network(definition)
    assert aws.proxy.counts() == {}


def test_a_vm_lives_on_a_network_that_was_made(aws: Lab, cloud: Cloud, helper: Helper) -> None:
    """It has the tags of all that this CPI makes, and cannot be deleted under a VM."""
    made = cloud.create_network(NetworkDefinition(range="172.31.99.0/24", cloud_properties=_PLACE))
    assert made.addresses.gateway == "172.31.99.1"
    assert made.addresses.reserved == ("172.31.99.0", "172.31.99.2", "172.31.99.3", "172.31.99.255")
    vm = helper.vm(networks={"default": Network(ip="172.31.99.10", cloud_properties=made.cloud_properties)})
    with pytest.raises(errors.CloudError, match=f"the VM {vm.cid} is on the network {made.cid}: delete it first"):
        cloud.delete_network(made.cid)
    cloud.delete_vm(vm.cid)
    cloud.delete_network(made.cid)
    assert made.cid not in _subnets(aws)


def test_it_makes_2_calls_and_4_with_a_size(aws: Lab, cloud: Cloud) -> None:
    """The subnet and one look; a size asks for the VPC's ranges and those that are taken."""
    vpc = aws.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    aws.proxy.forget_calls()
    cloud.create_network(NetworkDefinition(range="172.31.99.0/24", cloud_properties={**_PLACE, "vpc": vpc}))
    assert aws.proxy.counts() == {"CreateSubnet": 1, "DescribeSubnets": 1}
    aws.proxy.forget_calls()
    made = cloud.create_network(NetworkDefinition(netmask_bits=26, cloud_properties={**_PLACE, "vpc": vpc}))
    assert aws.proxy.counts() == {"DescribeVpcs": 1, "CreateSubnet": 1, "DescribeSubnets": 2}
    aws.proxy.forget_calls()
    cloud.delete_network(made.cid)
    assert aws.proxy.counts() == {"DeleteSubnet": 1}


def test_ranges_that_are_chosen_do_not_overlap(cloud: Cloud) -> None:
    """Neither each other nor what was there: EC2 would refuse them."""
    first, second = cloud.create_network(_SIZED), cloud.create_network(_SIZED)
    assert first.addresses.range != second.addresses.range
    with pytest.raises(errors.CloudError, match="no range of /16 is free in vpc-"):
        cloud.create_network(NetworkDefinition(netmask_bits=16, cloud_properties=_PLACE))


def test_a_range_that_another_process_took_meanwhile_is_passed_over(aws: Lab, cloud: Cloud) -> None:
    """It looks again."""
    rule = Rule("CreateSubnet", effects.decided(lambda _: refusal("InvalidSubnet.Conflict")), times=2)
    aws.proxy.inject(rule)
    assert cloud.create_network(_SIZED).cid in _subnets(aws)
    assert rule.met == 2


def test_a_lost_answer_makes_one_subnet(aws: Lab, cloud: Cloud) -> None:
    """The repeat meets the first try's, by its tag."""
    before = _subnets(aws)
    aws.proxy.inject(Rule("CreateSubnet", effects.lost_answer(), times=1))
    made = cloud.create_network(NetworkDefinition(range="172.31.99.0/24", cloud_properties=_PLACE))
    assert _subnets(aws) - before == {made.cid}


def test_a_range_of_somebody_else_is_a_refusal(aws: Lab, cloud: Cloud) -> None:
    """Also after a lost answer: another's subnet is never taken for one's own."""
    cloud.create_network(NetworkDefinition(range="172.31.99.0/24", cloud_properties=_PLACE))
    before = _subnets(aws)
    with pytest.raises(errors.CloudError, match=r"InvalidSubnet\.Conflict"):
        cloud.create_network(NetworkDefinition(range="172.31.99.0/25", cloud_properties=_PLACE))
    assert _subnets(aws) == before


@pytest.mark.parametrize("operation", ["DescribeSubnets", "AssociateRouteTable"])
def test_what_fails_after_it_was_made_leaves_none(aws: Lab, cloud: Cloud, operation: str) -> None:
    """It is removed again."""
    before = _subnets(aws)
    aws.proxy.inject(Rule(operation, effects.decided(lambda _: refusal("InjectedFault")), times=1))
    properties = {**_PLACE, "route_table": "rtb-00000000000000000"}
    with pytest.raises(errors.CloudError, match="InjectedFault"):
        cloud.create_network(NetworkDefinition(range="172.31.99.0/24", cloud_properties=properties))
    assert _subnets(aws) == before


def test_one_that_is_gone_is_gone(cloud: Cloud) -> None:
    """Deleted twice, the second says so."""
    made = cloud.create_network(_SIZED)
    cloud.delete_network(made.cid)
    with pytest.raises(errors.NetworkNotFound):
        cloud.delete_network(NetworkCid(made.cid))
