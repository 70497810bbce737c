"""Ids, sizes and the values that pass through the contract."""

import copy
import json
import pickle
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpi.contract import errors, units
from cpi.contract.encoding import from_json, from_plain, to_json, to_plain
from cpi.contract.ids import Cid, DiskCid, NetworkCid, VmCid
from cpi.contract.model import CreatedNetwork, DiskHint, Info, Network, NetworkAddresses, Vm, VmResources
from cpi.contract.units import MiB


def test_a_cid_is_a_string_in_every_way() -> None:
    """It can be a key, be joined, be pickled."""
    cid = VmCid("vm-1")
    assert cid == "vm-1"
    assert {"vm-1": 1}[cid] == 1
    assert f"{cid}/x" == "vm-1/x"
    assert pickle.loads(pickle.dumps(cid)) == cid == copy.deepcopy(cid)  # noqa: S301 - our own pickle
    assert isinstance(pickle.loads(pickle.dumps(cid)), VmCid)  # noqa: S301 - our own pickle


@pytest.mark.parametrize("value", ["", "  ", None, 1, b"vm-1", []])
def test_an_empty_cid_cannot_be_made(value: Any) -> None:
    """The director would record it."""
    with pytest.raises(errors.CpiError, match="DiskCid must be a non-empty string, got"):
        DiskCid(value)


@given(st.integers(1, 10**12))
def test_sizes_round_up_and_never_down(size: int) -> None:
    """What is made holds at least what was asked for, and less than one unit more."""
    gib = units.gib_from_mib(MiB(size))
    assert 0 <= units.mib_from_gib(gib) - size < 1024
    assert units.mib_from_bytes(units.bytes_from_mib(MiB(size))) == size
    assert units.mib_from_bytes(units.bytes_from_mib(MiB(size)) - 1) == size
    assert units.mib_from_bytes(units.bytes_from_mib(MiB(size)) + 1) == size + 1
    assert units.bytes_from_kib(size) == size * 1024


def test_a_network_comes_back_as_it_went() -> None:
    """Keys that are not known here too, and absent ones stay absent."""
    document = {
        "type": "manual",
        "ip": "10.0.0.6",
        "dns": ["10.0.0.2"],
        "cloud_properties": {"subnet": "s"},
        "routes": [{"a": 1}],
    }
    network = Network.from_document(document)
    assert network.extra == {"routes": [{"a": 1}]}
    assert to_plain(network.to_document()) == document


def test_a_network_without_a_type_is_manual() -> None:
    """So says the director's own code; type and cloud_properties are always told."""
    assert Network.from_document({}).to_document() == {"type": "manual", "cloud_properties": {}}
    assert Network.from_document({"extra": 1}).to_document() == {"type": "manual", "cloud_properties": {}, "extra": 1}


@pytest.mark.parametrize("document", [{"type": "static"}, {"ip": 1}, {"dns": "10.0.0.2"}, {"cloud_properties": []}])
def test_a_network_of_wrong_types_is_refused(document: dict[str, Any]) -> None:
    """Naming the key."""
    with pytest.raises(msgspec.ValidationError, match=r"\$\." + next(iter(document))):
        Network.from_document(document)


@pytest.mark.parametrize(
    "hint",
    ["/dev/sdf", {"path": "/dev/x"}, {"id": "6000c29"}, {"lun": "0", "host_device_id": "{x}"}, {"iscsi_settings": {"a": "b"}}],
)
def test_a_hint_comes_back_as_it_went(hint: str | dict[str, Any]) -> None:
    """A string or a hash of strings."""
    assert DiskHint.from_wire(hint).to_wire() == hint


@pytest.mark.parametrize("hint", [None, "", {}, 3, [], {"lun": 0}, {"path": None}, {"iscsi_settings": {"a": 1}}, {"path": ""}])
def test_a_hint_that_the_agent_could_not_use_is_refused(hint: object) -> None:
    """A number makes it panic, an empty one makes the director fail."""
    with pytest.raises(errors.CpiError, match="hint"):
        DiskHint.from_wire(hint)


def test_cids_in_hints_and_networks_are_strings_on_the_wire() -> None:
    """Drivers have them at hand: an id of a disk, a network that create_network made."""
    for hint in (DiskHint(id=DiskCid("disk-1"), path="/dev/x"), DiskHint(device=DiskCid("disk-1"))):
        wire = hint.to_wire()
        assert from_json(json.dumps(wire), type(wire)) == wire
        assert {type(value) for value in (wire.values() if isinstance(wire, dict) else [wire])} == {str}
    network = Network(cloud_properties={"network": NetworkCid("network-1")}, dns=("10.0.0.2",), extra={"cid": VmCid("vm-1")})
    document = network.to_document()
    assert document == json.loads(json.dumps(document))
    assert type(document["cloud_properties"]["network"]) is type(document["cid"]) is str


def test_numbers_that_people_write_are_taken_for_their_strings() -> None:
    """A manifest says `nic_group: 1`, the director sends "1"; true is no number."""
    assert Network.from_document({"nic_group": 1, "prefix": 24}) == Network(nic_group="1", prefix="24")
    for key in ("nic_group", "prefix"):
        with pytest.raises(msgspec.ValidationError, match=key):
            Network.from_document({key: True})


def test_a_key_of_a_network_that_is_null_is_absent() -> None:
    """In process as on the wire."""
    assert Network.from_document({"type": None, "cloud_properties": None, "dns": None, "further": None}) == Network()


def test_a_hint_cannot_be_both_a_device_and_more() -> None:
    """The agent reads one or the other."""
    with pytest.raises(errors.CpiError, match="either a device or keyed fields"):
        DiskHint(device="/dev/sdf", path="/dev/x")


def test_values_cannot_be_changed() -> None:
    """They are shared between threads."""
    for value, field in ((Network(), "ip"), (Info(()), "api_version"), (DiskHint("x"), "path")):
        with pytest.raises(AttributeError):
            setattr(value, field, "y")


@pytest.mark.parametrize(
    "value",
    [
        Vm(VmCid("vm-1"), {"web": Network(ip="10.0.0.6")}),
        VmResources(1, MiB(2), MiB(3)),
        CreatedNetwork(Cid("network-1"), NetworkAddresses("10.0.0.0/24", "10.0.0.1", ("10.0.0.2",)), {"a": 1}),  # type: ignore[arg-type]  # any kind of CID will do
        DiskHint(path="/dev/x"),
    ],
)
def test_values_survive_the_wire(value: msgspec.Struct) -> None:
    """As plain types, and as bytes."""
    assert from_plain(to_plain(value), type(value)) == value
    assert from_json(to_json(value), type(value)) == value


def test_plain_means_what_json_knows() -> None:
    """Lists rather than tuples, strings rather than CIDs, so that what was written and read equals what was not."""
    plain = to_plain({"cid": VmCid("vm-1"), "pair": ((1,), (2,))})
    assert plain == {"cid": "vm-1", "pair": [[1], [2]]}
    assert type(plain["cid"]) is str


def test_what_is_no_value_of_the_contract_is_refused() -> None:
    """By its type, in both directions."""
    with pytest.raises(NotImplementedError, match="object is not a type of the contract"):
        to_plain(object())
    with pytest.raises(NotImplementedError, match="_Odd is not a type of the contract"):
        from_plain([], _Odd)


class _Odd(int):
    """Not a type that msgspec or the contract knows."""


@pytest.mark.parametrize(
    ("value", "came"), [("", "an empty one"), (None, "`null`"), ({}, "`object`"), ([], "`array`"), (1, "`int`")]
)
def test_a_wrong_cid_is_refused_with_what_came(value: object, came: str) -> None:
    """By its kind only."""
    with pytest.raises(msgspec.ValidationError, match=rf"Expected a non-empty `str`, got {came} - at `\$\[0\]`"):
        from_plain([value], list[VmCid])
