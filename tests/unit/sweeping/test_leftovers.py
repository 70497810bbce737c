"""Which resources are left over: never what is known, used, young, or another's."""

import datetime as dt
from typing import Any, get_args

import pytest

from cpi.contract.operator import Kind, TaggedResource
from cpi.kit.tagging import DIRECTOR, TOKEN
from cpi.sweeping.known import Known, of_cids, of_list
from cpi.sweeping.leftovers import Wish, director_of, directors_of, judged, leftovers

_NOW = dt.datetime(2026, 12, 1, tzinfo=dt.UTC)
_OLD = _NOW - dt.timedelta(days=9)
_WISH = Wish(before=_NOW - dt.timedelta(days=1), directors=frozenset({"d-1"}))
_KNOWN = of_list(["known"], "a list")


def _one(kind: Kind, id_: str, *, director: str = "d-1", created: dt.datetime | None = _OLD, **more: Any) -> TaggedResource:
    tags = {DIRECTOR: director, **more.pop("tags", {})}
    return TaggedResource(kind=kind, id=id_, created=created, tags={key: value for key, value in tags.items() if value}, **more)


def _kept(*listed: TaggedResource, known: Known = _KNOWN, wish: Wish = _WISH) -> dict[str, str]:
    """By id, why each is kept."""
    return {one.resource.id: one.kept for one in judged(listed, known, wish)}


@pytest.mark.parametrize(
    ("resource", "why"),
    [
        (_one("VM", "a"), ""),
        (_one("VM", "known"), "known"),
        (_one("VM", "a", director="d-2"), "of director d-2"),
        (_one("VM", "a", director=""), "of director none"),
        (_one("disk", "a", attached_to="vm-9"), "attached to vm-9"),
        (_one("interface", "a", attached_to="known"), "in use by what is known"),
        (_one("disk", "a", created=_NOW), "younger than --older-than"),
        (_one("interface", "a", created=None), "its age is unknown"),
        (_one("VM", "a", holds=("known",)), "has the disk known, which is known"),
        (_one("VM", "a", holds=("another",)), "has the disk another, which is not left over"),
    ],
)
def test_a_resource_is_left_over_or_it_is_told_why_not(resource: TaggedResource, why: str) -> None:
    """One by one."""
    assert _kept(resource) == {resource.id: why}


def test_what_was_made_after_the_lists_is_in_none_of_them() -> None:
    """Lists of last week do not know the VMs of this week, however old those are by now; the oldest list counts."""
    lists = _KNOWN | Known(as_of=_OLD) | Known(as_of=_NOW)
    later = _one("VM", "later", created=_OLD + dt.timedelta(hours=1))
    why = _kept(_one("VM", "before"), later, known=lists, wish=Wish(directors=frozenset({"d-1"})))
    assert why == {"before": "", "later": "made after the oldest list of what is known (2026-11-22 00:00 UTC)"}


def test_of_any_age_means_of_any_age() -> None:
    """Also of one that the cloud does not tell."""
    wish = Wish(directors=frozenset({"d-1"}))
    assert _kept(_one("interface", "a", created=None), _one("VM", "b", created=_NOW), wish=wish) == {"a": "", "b": ""}


def test_a_kind_of_which_no_list_was_given_is_shown_and_kept() -> None:
    """Nothing is left over of which nothing is known."""
    (found,) = judged([_one("VM", "a")], of_cids(["known"]), _WISH)
    assert (found.kept, found.hidden, found.is_left_over) == ("no list of VMs was given", False, False)


def test_what_a_leftover_vm_has_goes_with_it() -> None:
    """In the order in which it can go: first the VM."""
    vm, disk, nic = (
        _one("VM", "vm", holds=("disk",)),
        _one("disk", "disk", attached_to="vm"),
        _one("interface", "nic", attached_to="vm"),
    )
    assert [one.id for one in leftovers(judged([disk, nic, vm], _KNOWN, _WISH))] == ["vm", "nic", "disk"]


def test_what_stays_keeps_whatever_it_uses_and_whatever_has_it() -> None:
    """A young disk keeps its VM, and that VM keeps its interface."""
    listed = [
        _one("VM", "vm", holds=("young", "old")),
        _one("disk", "young", attached_to="vm", created=_NOW),
        _one("disk", "old", attached_to="vm"),
        _one("interface", "nic", attached_to="vm"),
    ]
    assert leftovers(judged(listed, _KNOWN, _WISH)) == []


def test_a_disk_that_has_the_name_of_its_vm_is_not_taken_for_it() -> None:
    """As Google calls a VM's own disk."""
    listed = [_one("VM", "same", created=_NOW), _one("disk", "same", attached_to="same")]
    assert leftovers(judged(listed, _KNOWN, _WISH)) == []
    assert len(leftovers(judged(listed, _KNOWN, Wish(directors=frozenset({"d-1"}))))) == 2


def test_the_directors_are_those_on_what_is_known() -> None:
    """By UUID: a name may be that of several."""
    mine = _one("VM", "known", tags={"director": "bosh"})
    assert directors_of([mine, _one("VM", "b", director="d-2")], _KNOWN) == {"d-1"}
    official = _one("VM", "c", director="", tags={"director": "bosh"})
    assert director_of(official) == "bosh"
    assert _kept(official, wish=Wish(directors=frozenset({"bosh"}))) == {"c": ""}
    assert _kept(official) == {"c": "of director bosh"}


def test_tokens_shows_only_what_calls_left_that_did_not_finish() -> None:
    """A call of which something is known has finished."""
    listed = [
        _one("VM", "known", tags={TOKEN: "t-1"}),
        _one("interface", "of a finished call", tags={TOKEN: "t-1"}),
        _one("interface", "of another", tags={TOKEN: "t-2"}),
        _one("interface", "of none"),
    ]
    wish = Wish(directors=frozenset({"d-1"}), only_unfinished=True)
    assert [one.id for one in leftovers(judged(listed, _KNOWN, wish))] == ["of another"]


def test_a_deployment_is_a_filter() -> None:
    """What carries no deployment is of none."""
    listed = [_one("VM", "a", tags={"deployment": "shop"}), _one("VM", "b", tags={"deployment": "bank"}), _one("VM", "c")]
    wish = Wish(directors=frozenset({"d-1"}), deployment="shop")
    assert [one.id for one in leftovers(judged(listed, _KNOWN, wish))] == ["a"]


def test_every_kind_has_its_place_in_the_order_of_deletion() -> None:
    """VMs before what they use, snapshots before their disks, networks when nothing is on them."""
    found = judged([_one(kind, "x") for kind in get_args(Kind)][::-1], _KNOWN, _WISH)
    kinds = [one.resource.kind for one in found]
    assert kinds == list(get_args(Kind))
    assert kinds.index("VM") < kinds.index("interface") < kinds.index("stemcell") < kinds.index("snapshot") < kinds.index("disk")
    assert kinds.index("disk") < kinds.index("network")
