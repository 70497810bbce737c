"""Networks made on request."""

import ipaddress
from typing import Any

import pytest

from cpi.contract import errors
from cpi.contract.model import NetworkDefinition
from tests.drivers.local.place import Place


def test_a_size_gets_a_free_range(place: Place) -> None:
    """Of loopback addresses, which overlaps with no other."""
    ranges = [ipaddress.ip_network(_made(place, netmask_bits=bits)) for bits in (24, 24, 20, 24)]
    assert all(made.is_loopback for made in ranges)
    assert not any(one.overlaps(other) for one in ranges for other in ranges if one is not other)


def test_a_range_in_use_is_refused_naming_its_network(place: Place) -> None:
    """Also one that only overlaps; once deleted it is free."""
    made = place.cloud.create_network(NetworkDefinition(range="10.5.0.0/16"))
    with pytest.raises(errors.CloudError, match=f"network {made.cid} has 10.5.0.0/16"):
        place.cloud.create_network(NetworkDefinition(range="10.5.9.0/24"))
    place.cloud.delete_network(made.cid)
    assert _made(place, range="10.5.9.0/24") == "10.5.9.0/24"


def test_the_gateway_is_the_first_address_unless_given(place: Place) -> None:
    """As everywhere."""
    assert place.cloud.create_network(NetworkDefinition(range="10.6.0.0/24")).addresses.gateway == "10.6.0.1"
    given = NetworkDefinition(range="10.7.0.0/24", gateway="10.7.0.254", cloud_properties={"a": 1})
    made = place.cloud.create_network(given)
    assert made.addresses.gateway == "10.7.0.254"
    assert made.cloud_properties == {"a": 1, "network_cid": made.cid}


@pytest.mark.parametrize(
    "definition",
    [
        {},
        {"netmask_bits": 31},
        {"netmask_bits": 4},
        {"range": "10.0.0.1/24"},
        {"range": "10.0.0.0/31"},
        {"range": "ten"},
        {"range": "10.0.0.0/24", "gateway": "10.0.1.1"},
        {"range": "10.0.0.0/24", "gateway": "first"},
        {"type": "dynamic", "range": "10.0.0.0/24"},
    ],
)
def test_a_definition_with_a_fault_is_refused(place: Place, definition: dict[str, Any]) -> None:
    """And nothing is on record."""
    with pytest.raises(errors.CpiError):
        place.cloud.create_network(NetworkDefinition(**definition))
    assert place.leftovers() == []


def _made(place: Place, **definition: Any) -> str:
    return place.cloud.create_network(NetworkDefinition(**definition)).addresses.range
