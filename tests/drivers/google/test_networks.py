"""create_network and delete_network: subnetworks, their ranges and their place."""

import pytest

from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import NetworkCid
from cpi.contract.model import Network, NetworkDefinition
from fixtures.clouds.google.lab import REGION, Lab
from fixtures.proxy import Rule, effects
from tests.drivers.google.conftest import Helper, refusal

_PLACE = {"region": REGION}


@pytest.mark.parametrize(
    ("definition", "fault"),
    [
        (NetworkDefinition(range="10.9.0.0/24"), "region: is missing"),
        (NetworkDefinition(range="10.9.0.0/24", gateway="10.9.0.9", cloud_properties=_PLACE), "Google takes the first address"),
        (NetworkDefinition(range="10.9.0.1/24", cloud_properties=_PLACE), "no IPv4 range"),
        (NetworkDefinition(netmask_bits=30, cloud_properties=_PLACE), "cannot be made"),
        (NetworkDefinition(cloud_properties=_PLACE), "a range or netmask_bits"),
    ],
)
def test_what_google_has_not_is_refused_before_any_call(
    google: Lab, cloud: Cloud, definition: NetworkDefinition, fault: str
) -> None:
    """With what there is instead."""
    with pytest.raises(errors.CpiError, match=fault):
        cloud.create_network(definition)
    assert google.proxy.counts() == {}


def test_ranges_that_are_chosen_do_not_overlap(cloud: Cloud) -> None:
    """Neither each other nor what was there."""
    definition = NetworkDefinition(netmask_bits=9, cloud_properties=_PLACE)
    assert cloud.create_network(definition).addresses.range == "10.0.0.0/9"
    with pytest.raises(errors.CloudError, match="no range of /9 is free"):
        cloud.create_network(definition)


def test_a_range_that_another_process_took_meanwhile_is_passed_over(google: Lab, cloud: Cloud) -> None:
    """It looks again."""
    taken = refusal("invalid", message="Invalid IPCidrRange: 10.0.0.0/26 conflicts with existing subnetwork 'other'")
    rule = Rule("POST subnetworks", effects.decided(lambda _: taken), times=2)
    google.proxy.inject(rule)
    assert cloud.create_network(NetworkDefinition(netmask_bits=26, cloud_properties=_PLACE)).addresses.range == "10.0.0.0/26"
    assert rule.met == 2


def test_a_network_of_a_shared_vpc_is_the_host_projects(google: Lab, cloud: Cloud, helper: Helper) -> None:
    """Its CID tells, so that it is deleted there."""
    properties = {**_PLACE, "xpn_host_project_id": "a-host-project"}
    before = google.census()
    made = cloud.create_network(NetworkDefinition(range="10.9.0.0/24", cloud_properties=properties))
    assert made.addresses.reserved == ("10.9.0.0", "10.9.0.254", "10.9.0.255")
    vm = helper.vm(networks={"default": Network(ip="10.9.0.5", cloud_properties=made.cloud_properties)})
    assert "/a-host-project/" in google.see("instances", vm.cid)["networkInterfaces"][0]["subnetwork"]
    cloud.delete_vm(vm.cid)
    cloud.delete_network(made.cid)
    assert google.census() == before


def test_a_network_whose_name_does_not_tell_its_region_is_looked_for(google: Lab, cloud: Cloud) -> None:
    """One that somebody made by hand."""
    path = f"projects/a-project/regions/{REGION}/subnetworks/by-hand"
    root = "https://www.googleapis.com/compute/v1/projects/a-project"
    google.control("add", path=path, item={"network": f"{root}/global/networks/default", "region": f"{root}/regions/{REGION}"})
    cloud.delete_network(NetworkCid("by-hand"))
    assert google.all("subnetworks", "by-hand") == {}
    with pytest.raises(errors.NetworkNotFound):
        cloud.delete_network(NetworkCid("by-hand"))
