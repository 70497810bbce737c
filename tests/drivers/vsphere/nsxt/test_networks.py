"""Networks that a director has made: a segment on a gateway of its own, and all of it gone again."""

from collections.abc import Callable
from typing import Any

import pytest

import cpi
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import NetworkCid
from cpi.contract.model import NetworkDefinition
from cpi.kit.waiting import Overdue
from fixtures.clouds.nsxt.lab import Lab as NsxLab
from fixtures.clouds.nsxt.lab import lab as nsx_lab
from fixtures.clouds.nsxt.seed import BLOCK, ROUTER, ZONE
from fixtures.clouds.vcsim.lab import Lab
from fixtures.proxy import Rule, effects
from tests.drivers.vsphere.conftest import Helper
from tests.drivers.vsphere.nsxt.conftest import on_segment

pytestmark = pytest.mark.slow

_WHERE = {"t0_router_id": ROUTER, "transport_zone_id": ZONE}
_ATTACHED = b'{"error_code": 503040, "error_message": "it has 1 VMs or VIFs attached"}'


def _ranged(**own: Any) -> NetworkDefinition:
    return NetworkDefinition(range="10.9.0.0/24", gateway="10.9.0.254", cloud_properties={**_WHERE, **own})


def test_a_network_with_a_range(nsx: NsxLab, cloud: Cloud) -> None:
    """A segment with that gateway, on a tier-1 gateway that tells the tier-0 of it; both have names and tags."""
    made = cloud.create_network(_ranged(switch_name="NSX-db", t1_name="db router"))
    assert (made.addresses.range, made.addresses.gateway) == ("10.9.0.0/24", "10.9.0.254")
    assert made.cloud_properties == {"name": "NSX-db"}
    segment, gateway = nsx.thing(f"/infra/segments/{made.cid}"), nsx.thing(f"/infra/tier-1s/{made.cid}")
    assert segment["subnets"] == [{"gateway_address": "10.9.0.254/24"}]
    assert segment["connectivity_path"] == gateway["path"]
    assert (gateway["display_name"], gateway["tier0_path"]) == ("db router", f"/infra/tier-0s/{ROUTER}")
    assert gateway["route_advertisement_types"] == ["TIER1_CONNECTED"]
    assert {"scope": "multicpi", "tag": "1"} in segment["tags"]
    cloud.delete_network(made.cid)


def test_networks_of_a_size_take_ranges_of_an_ip_block(nsx: NsxLab, cloud: Cloud) -> None:
    """Each another one, which is free again with the network."""
    before = nsx.census()
    sized = NetworkDefinition(netmask_bits=26, cloud_properties={**_WHERE, "ip_block_id": BLOCK})
    plain = NetworkDefinition(cloud_properties={**_WHERE, "ip_block_id": BLOCK})
    made = [cloud.create_network(sized), cloud.create_network(sized), cloud.create_network(plain)]
    assert [one.addresses.range for one in made] == ["10.200.0.0/26", "10.200.0.64/26", "10.200.1.0/24"]
    assert made[1].addresses.gateway == "10.200.0.65"
    for one in made:
        cloud.delete_network(one.cid)
    assert nsx.census() == before


def test_a_gateway_that_is_not_named_is_the_first_address(nsx: NsxLab, cloud: Cloud) -> None:
    """As everywhere."""
    made = cloud.create_network(NetworkDefinition(range="10.9.0.0/24", cloud_properties=_WHERE))
    assert made.addresses.gateway == "10.9.0.1"
    cloud.delete_network(made.cid)


@pytest.mark.parametrize(
    ("definition", "told"),
    [
        (NetworkDefinition(cloud_properties=_WHERE), "needs ip_block_id"),
        (NetworkDefinition(range="10.9.0.0/33", cloud_properties=_WHERE), "range and gateway"),
        (NetworkDefinition(range="10.9.0.0/24", gateway="10.8.0.1", cloud_properties=_WHERE), "is not in the range"),
        (NetworkDefinition(range="10.9.0.0/24"), "t0_router_id: is missing"),
    ],
)
def test_a_definition_that_cannot_be_is_refused(nsx: NsxLab, cloud: Cloud, definition: NetworkDefinition, told: str) -> None:
    """Nothing is asked of NSX."""
    with pytest.raises(errors.CpiError, match=told):
        cloud.create_network(definition)
    assert nsx.calls() == {}


@pytest.mark.parametrize("own", [{"t0_router_id": "none"}, {"transport_zone_id": "none"}])
def test_what_is_not_there_is_told_by_nsx_and_nothing_is_left(nsx: NsxLab, cloud: Cloud, own: dict[str, str]) -> None:
    """With NSX's words."""
    before = nsx.census()
    with pytest.raises(errors.CloudError, match="none is invalid"):
        cloud.create_network(_ranged(**own))
    assert nsx.census() == before


def test_a_network_that_the_vcenter_never_shows_is_removed_again(cloud: Cloud, vcenter: Lab) -> None:
    """Its transport zone has none of the vCenter's hosts."""
    with nsx_lab() as elsewhere, cpi.connect(vcenter.config(nsxt=elsewhere.block(realization_timeout=0.5))) as other:
        before = elsewhere.census()
        with pytest.raises(Overdue, match="the network segment-"):
            other.create_network(_ranged())
        assert elsewhere.census() == before


def test_a_network_is_not_deleted_under_a_vm(nsx: NsxLab, helper: Helper) -> None:
    """It is named, and NSX is not asked to delete anything."""
    made = helper.cloud.create_network(_ranged(switch_name="NSX-db"))
    vm = helper.vm(networks=on_segment(helper, "NSX-db")).cid
    with pytest.raises(errors.CloudError, match=f"in use by 1 VMs: {vm}"):
        helper.cloud.delete_network(made.cid)
    assert not [action for action in nsx.calls() if action.startswith("DELETE")]
    helper.cloud.delete_vm(vm)
    helper.cloud.delete_network(made.cid)


def test_nsx_is_given_time_to_hear_that_vms_are_gone(nsx: NsxLab, cloud: Cloud) -> None:
    """It refuses for a while."""
    before = nsx.census()
    made = cloud.create_network(_ranged())
    rule = Rule("DELETE segments/{id}", effects.answer(400, _ATTACHED), times=3)
    nsx.proxy.inject(rule)
    cloud.delete_network(made.cid)
    assert rule.met == 3
    assert nsx.census() == before


def test_what_keeps_a_segment_for_good_is_told(nsx: NsxLab, config: Callable[..., dict[str, Any]]) -> None:
    """In NSX's words, when the time is over."""
    with cpi.connect(config(realization_timeout=0.5)) as cloud:
        made = cloud.create_network(_ranged())
        nsx.proxy.inject(Rule("DELETE segments/{id}", effects.answer(400, _ATTACHED)))
        with pytest.raises(errors.CloudError, match="VIFs attached"):
            cloud.delete_network(made.cid)


@pytest.mark.parametrize("cid", ["segment", "segment-00000000-0000-4000-8000-000000000000", "no-such-network"])
def test_only_what_was_made_here_is_deleted(nsx: NsxLab, cloud: Cloud, cid: str) -> None:
    """An operator's segment is left alone."""
    before = nsx.census()
    with pytest.raises(errors.NetworkNotFound):
        cloud.delete_network(NetworkCid(cid))
    assert nsx.census() == before


def test_without_nsx_there_are_no_networks_to_make(vcenter: Lab) -> None:
    """As the contract has it for a cloud without the power."""
    with cpi.connect(vcenter.config()) as plain, pytest.raises(errors.NotImplemented):
        plain.create_network(_ranged())
