"""Groups' expressions and pools' members, as they are changed."""

from typing import Any

import pytest

from cpi_drivers.vsphere.api.nsxt.naming import one_of
from cpi_drivers.vsphere.vms.nsxt import groups, pools
from cpi_drivers.vsphere.vms.nsxt.pools import Member

_TAG = {"resource_type": "Condition", "member_type": "VirtualMachine", "key": "Tag", "operator": "EQUALS", "value": "web"}
_OR = {"resource_type": "ConjunctionOperator", "conjunction_operator": "OR"}


def _ids(*names: str, member_type: str = "VirtualMachine") -> dict[str, Any]:
    return {"resource_type": "ExternalIDExpression", "member_type": member_type, "external_ids": list(names)}


@pytest.mark.parametrize(
    ("without", "with_a"),
    [
        ([], [_ids("a")]),
        ([_ids("b")], [_ids("b", "a")]),
        ([_TAG], [_TAG, _OR, _ids("a")]),
        ([_TAG, _OR, _ids("b")], [_TAG, _OR, _ids("b", "a")]),
        ([_ids("port", member_type="SegmentPort")], [_ids("port", member_type="SegmentPort"), _OR, _ids("a")]),
    ],
)
def test_a_vm_in_an_expression_and_out_of_it_again(without: list[Any], with_a: list[Any]) -> None:
    """All else stays, and what is so already is no change."""
    group = {"id": "g", "_revision": 3, "expression": without}
    joined = groups.with_vm(group, "a")
    assert joined == {**group, "expression": with_a}
    assert groups.with_vm({"expression": with_a}, "a") is None
    assert groups.without_vm({**group, "expression": with_a}, "a") == group
    assert groups.without_vm(group, "a") is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([_ids("a"), _OR, _TAG], [_TAG]),
        ([_TAG, _OR, _ids("a"), _OR, _ids("b")], [_TAG, _OR, _ids("b")]),
        ([_ids("a"), _OR, _ids("a", "b")], [_ids("b")]),
        ([_ids("a"), _OR, _ids("a")], []),
    ],
)
def test_an_expression_of_nobody_goes_with_its_operator(before: list[Any], after: list[Any]) -> None:
    """What NSX would refuse is not left."""
    assert groups.without_vm({"expression": before}, "a") == {"expression": after}


def test_a_group_that_never_had_an_expression_can_be_joined() -> None:
    """NSX leaves the key out."""
    assert groups.with_vm({"id": "g"}, "a") == {"id": "g", "expression": [_ids("a")]}


def test_a_member_of_a_static_pool() -> None:
    """By its address and port; another VM that has the address now is left alone."""
    member = Member("/infra/lb-pools/p", "10.0.0.1", 80)
    joined = pools.with_member({"id": "p"}, "vm", member)
    assert joined is not None
    own = {"display_name": "vm", "ip_address": "10.0.0.1", "admin_state": "ENABLED", "port": "80"}
    assert joined["members"] == [own]
    assert pools.with_member(joined, "vm", member) is None
    assert pools.without_member(joined, "vm", member) == {"id": "p", "members": []}
    assert pools.without_member(joined, "vm", Member("/infra/lb-pools/p", "10.0.0.1")) is None
    assert pools.without_member({"members": [{**own, "display_name": "its successor"}]}, "vm", member) is None
    assert pools.without_member({"members": [{"ip_address": "10.0.0.1", "port": "80"}]}, "vm", member) == {"members": []}


def test_words_of_a_query_are_quoted() -> None:
    """A name is no query."""
    assert one_of(["a b", 'c" OR id:*', "d\\"]) == '("a b" OR "c\\" OR id:*" OR "d\\\\")'
