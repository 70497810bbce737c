"""In which zones a VM is tried."""

from types import SimpleNamespace
from typing import Any

import pytest

from cpi.contract import errors
from cpi_drivers.openstack.properties import VmProperties
from cpi_drivers.openstack.vms.placement import zones
from cpi_drivers.openstack.vms.server_groups import ServerGroups


def wish(**properties: Any) -> VmProperties:
    """A VM's."""
    return VmProperties(instance_type="m1", **properties)


def test_nova_chooses_where_nobody_says() -> None:
    """None is its own default."""
    assert zones(wish(), {}, ignore_server_zone=False) == [None]


def test_disks_draw_their_vm_into_their_zone() -> None:
    """It could not have them elsewhere."""
    assert zones(wish(), {"d1": "z1", "d2": "z1"}, ignore_server_zone=False) == ["z1"]
    assert zones(wish(availability_zone="z1"), {"d1": "z1"}, ignore_server_zone=False) == ["z1"]


@pytest.mark.parametrize("properties", [{"availability_zone": "z2"}, {}])
def test_a_contradiction_is_explained(properties: dict[str, str]) -> None:
    """Who says what."""
    disks = {"d1": "z1"} if properties else {"d1": "z1", "d2": "z2"}
    with pytest.raises(errors.CloudError, match="the disk d1 says z1") as caught:
        zones(wish(**properties), disks, ignore_server_zone=False)
    assert "z2" in caught.value.message


def test_disks_of_a_cloud_with_one_storage_zone_say_nothing() -> None:
    """ignore_server_availability_zone."""
    assert zones(wish(availability_zone="z2"), {"d1": "nova"}, ignore_server_zone=True) == ["z2"]


def test_several_zones_are_tried_each_once_in_any_order() -> None:
    """So that not all VMs crowd the first."""
    several = wish(availability_zones=("z1", "z2", "z3"))
    assert sorted(map(str, zones(several, {}, ignore_server_zone=True))) == ["z1", "z2", "z3"]
    assert len({tuple(zones(several, {}, ignore_server_zone=True)) for _ in range(200)}) == 6


def test_several_zones_need_disks_that_are_bound_to_none() -> None:
    """As in the official CPI."""
    with pytest.raises(errors.CloudError, match="ignore_server_availability_zone"):
        zones(wish(availability_zones=("z1", "z2")), {}, ignore_server_zone=False)


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"instance_type": "a", "instance_types": ("b",)},
        {"instance_type": "a", "availability_zone": "z", "availability_zones": ("y",)},
    ],
)
def test_one_word_or_the_list_but_not_both(properties: dict[str, Any]) -> None:
    """It would be a guess which wins."""
    with pytest.raises(errors.CpiError):
        VmProperties(**properties)


def test_the_name_of_a_server_group_is_as_long_as_nova_takes() -> None:
    """255 characters: one more, and Nova refuses the group, and the VMs go without anti-affinity."""
    made: list[str] = []

    def post(_service: str, _path: str, body: Any, **_: Any) -> Any:
        made.append(body["server_group"]["name"])
        return {"server_group": {"id": "g"}}

    client: Any = SimpleNamespace(get=lambda *_, **__: {"server_groups": []}, post=post)
    assert ServerGroups(client).for_instance_group({"bosh": {"group": "g" * 300}}) == "g"
    assert made == ["multicpi-" + "g" * 246]
