"""create_network and delete_network: subnets, their ranges and their place; nothing is left whatever happens on the way."""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import NetworkCid
from cpi.contract.model import CreatedNetwork, Network, NetworkDefinition
from cpi_drivers.aws.api import errors as api_errors
from fixtures.clouds.aws.answers import refusal
from fixtures.clouds.aws.lab import ZONES, Lab
from fixtures.proxy import Rule, effects
from fixtures.simulated_time import SimulatedTime
from tests.drivers.aws.conftest import Helper

_RANGE: Final = "172.31.99.0/24"
_PLACE: Final = {"availability_zone": ZONES[0]}


def _subnet(aws: Lab, cid: str) -> dict[str, Any]:
    found: dict[str, Any] = aws.ec2.describe_subnets(SubnetIds=[cid])["Subnets"][0]
    return found


def _made(cloud: Cloud, **properties: object) -> CreatedNetwork:
    return cloud.create_network(NetworkDefinition(range=_RANGE, cloud_properties={**_PLACE, **properties}))


@pytest.mark.parametrize(
    ("definition", "fault"),
    [
        (NetworkDefinition(range=_RANGE, gateway="172.31.99.9"), "the gateway of 172.31.99.0/24 is 172.31.99.1"),
        (NetworkDefinition(range="172.31.99.1/24"), "no IPv4 range"),
        (NetworkDefinition(range="172.31.99.0/29"), "EC2 has /16 to /28"),
        (NetworkDefinition(netmask_bits=15), "EC2 has /16 to /28"),
        (NetworkDefinition(), "a range or netmask_bits"),
    ],
)
def test_what_ec2_has_not_is_refused_before_any_call(aws: Lab, cloud: Cloud, definition: NetworkDefinition, fault: str) -> None:
    """With what there is instead."""
    with pytest.raises(errors.CpiError, match=fault):
        cloud.create_network(definition)
    assert aws.proxy.counts() == {}


def test_a_network_is_where_it_was_asked_for_and_says_who_made_it(aws: Lab, cloud: Cloud) -> None:
    """Its security groups go to the VMs on it, its route table is the one that was named."""
    vpc = aws.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    table = aws.ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    made = _made(cloud, vpc=vpc, route_table=table, security_groups=["sg-1"])
    subnet = _subnet(aws, made.cid)
    assert (subnet["VpcId"], subnet["AvailabilityZone"], subnet["CidrBlock"]) == (vpc, ZONES[0], _RANGE)
    assert made.cloud_properties == {"subnet": made.cid, "security_groups": ["sg-1"]}
    assert made.addresses.gateway == "172.31.99.1"
    assert made.addresses.reserved == ("172.31.99.0", "172.31.99.2", "172.31.99.3", "172.31.99.255")
    assert aws.tags(made.cid)["multicpi"] == "1"
    [associated] = aws.ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Associations"]
    assert associated["SubnetId"] == made.cid


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


def test_ranges_that_are_chosen_do_not_overlap(aws: Lab, cloud: Cloud) -> None:
    """Neither each other nor what was there; further blocks of the VPC serve as well."""
    vpc = aws.ec2.create_vpc(CidrBlock="10.9.0.0/27")["Vpc"]["VpcId"]
    definition = NetworkDefinition(netmask_bits=28, cloud_properties={**_PLACE, "vpc": vpc})
    assert [cloud.create_network(definition).addresses.range for _ in range(2)] == ["10.9.0.0/28", "10.9.0.16/28"]
    with pytest.raises(errors.CloudError, match=r"no range of /28 is free in vpc-\w+, which has 10\.9\.0\.0/27"):
        cloud.create_network(definition)
    aws.ec2.associate_vpc_cidr_block(VpcId=vpc, CidrBlock="10.10.0.0/28")
    assert cloud.create_network(definition).addresses.range == "10.10.0.0/28"


def test_a_range_that_another_process_took_meanwhile_is_passed_over(aws: Lab, cloud: Cloud) -> None:
    """It looks again, a few times."""
    taken = effects.decided(lambda _: refusal("InvalidSubnet.Conflict", "The CIDR conflicts with another subnet"))
    rule = Rule("CreateSubnet", taken, times=2)
    aws.proxy.inject(rule)
    assert cloud.create_network(NetworkDefinition(netmask_bits=26, cloud_properties=_PLACE)).cid
    assert rule.met == 2
    aws.proxy.inject(Rule("CreateSubnet", taken))
    with pytest.raises(errors.CloudError, match=r"conflicts"):
        cloud.create_network(NetworkDefinition(netmask_bits=26, cloud_properties=_PLACE))


def test_a_lost_answer_leads_to_the_subnet_that_was_made(aws: Lab, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """EC2 has no client token for subnets: the repeat meets its own range, known by its tag."""
    SimulatedTime().rule(monkeypatch)
    before = aws.census()
    aws.proxy.inject(Rule("CreateSubnet", effects.lost_answer(), times=1))
    made = _made(cloud)
    assert aws.census()["subnets"] == before["subnets"] + 1
    assert _subnet(aws, made.cid)["CidrBlock"] == _RANGE


def test_a_range_of_somebody_else_is_not_taken_for_ones_own(aws: Lab, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first try was not carried out, and its range is somebody's."""
    SimulatedTime().rule(monkeypatch)
    vpc = aws.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    aws.ec2.create_subnet(VpcId=vpc, CidrBlock=_RANGE, AvailabilityZone=ZONES[0])
    before = aws.census()
    aws.proxy.inject(Rule("CreateSubnet", effects.decided(lambda _: refusal("InternalError", "oops", 500)), times=1))
    with pytest.raises(errors.CloudError, match=r"InvalidSubnet\.Conflict"):
        _made(cloud)
    assert aws.census() == before


@pytest.mark.parametrize("call", ["CreateSubnet", "DescribeSubnets", "AssociateRouteTable"])
def test_nothing_is_left_whichever_call_fails(aws: Lab, cloud: Cloud, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """Refused, or carried out without an answer."""
    SimulatedTime().rule(monkeypatch)
    table = aws.ec2.describe_route_tables()["RouteTables"][0]["RouteTableId"]
    before = aws.census()
    for effect in _failures():
        rule = Rule(call, effect, when=lambda asked: "Filter.1.Name" not in asked.form)
        aws.proxy.inject(rule)
        with pytest.raises(errors.CloudError):
            _made(cloud, route_table=table, vpc=aws.ec2.describe_vpcs()["Vpcs"][0]["VpcId"])
        aws.proxy.withdraw(rule)
        assert aws.census() == before


def _failures() -> Iterator[Any]:
    yield effects.decided(lambda _: refusal("InjectedFault"))
    yield effects.lost_answer()


def test_a_network_goes_when_its_last_vm_goes(aws: Lab, cloud: Cloud, helper: Helper, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that lives is named at once; one that is going is waited for."""
    made = _made(cloud)
    vm = helper.vm(networks={"made": Network(ip="172.31.99.9", cloud_properties=made.cloud_properties)})
    with pytest.raises(errors.CloudError, match=f"the VM {vm.cid} is on the network {made.cid}: delete it first"):
        cloud.delete_network(made.cid)
    SimulatedTime().rule(monkeypatch)
    cloud.delete_vm(vm.cid)
    leaving = effects.decided(lambda _: refusal("DependencyViolation", "The subnet has dependencies"))
    aws.proxy.inject(Rule("DeleteSubnet", leaving, times=3))
    cloud.delete_network(made.cid)
    with pytest.raises(errors.NetworkNotFound):
        cloud.delete_network(made.cid)


def test_what_else_is_on_a_network_is_named(aws: Lab, cloud: Cloud) -> None:
    """An interface that no VM has: a load balancer's, say."""
    made = _made(cloud)
    nic = aws.ec2.create_network_interface(SubnetId=made.cid, Description="ELB app/web")["NetworkInterface"]
    with pytest.raises(errors.CloudError, match=rf"{nic['NetworkInterfaceId']} \(ELB app/web\) is on the network"):
        cloud.delete_network(made.cid)


def test_a_deletion_whose_answer_was_lost_is_none_of_a_missing_network(
    aws: Lab, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The repeat hears that it is gone."""
    SimulatedTime().rule(monkeypatch)
    made = _made(cloud)
    aws.proxy.inject(Rule("DeleteSubnet", effects.lost_answer(), times=1))
    cloud.delete_network(made.cid)
    with pytest.raises(errors.NetworkNotFound):
        cloud.delete_network(NetworkCid(made.cid))


def test_a_region_without_a_default_vpc_says_so(aws: Lab, cloud: Cloud) -> None:
    """And which property names one."""
    for subnet in aws.subnets().values():
        aws.ec2.delete_subnet(SubnetId=subnet)
    with pytest.raises(errors.CpiError, match=r"cloud_properties.vpc: is missing, and eu-west-1 has no default VPC"):
        _made(cloud)
    with pytest.raises(api_errors.NetworkMissing):
        cloud.create_network(NetworkDefinition(netmask_bits=26, cloud_properties={"vpc": "vpc-00000000000000000"}))
