"""What files say that is known, and for what they speak."""

import json
from pathlib import Path
from typing import Any

import pytest

from cpi.contract import errors
from cpi.contract.operator import Kind, TaggedResource
from cpi.sweeping.known import Known, kinds_in, of_answer, of_instances, of_list, of_nothing

_ANSWERS = Path(__file__).parents[3] / "fixtures" / "director_answers"


def _answer(name: str) -> Known:
    return of_answer((_ANSWERS / f"{name}.json").read_text(encoding="utf-8"), name)


def _resource(kind: Kind, id_: str, **tags: str) -> TaggedResource:
    return TaggedResource(kind=kind, id=id_, tags=tags)


@pytest.mark.parametrize(
    ("name", "known", "kinds"),
    [
        ("vms", {"vm-1", "vm-2"}, ["VM"]),
        ("instances", {"vm-1", "vm-2", "disk-1", "disk-2", "disk-3"}, ["VM"]),
        ("orphaned_disks", {"disk-4"}, []),
        ("no_orphaned_disks", set(), []),
        ("stemcells", {"stemcell-1"}, ["stemcell"]),
        ("snapshots_of_shop", {"snapshot-1"}, ["snapshot"]),
    ],
)
def test_an_answer_names_cids_and_speaks_for_a_kind(name: str, known: set[str], kinds: list[str]) -> None:
    """As `bosh … --json` prints it."""
    answer = _answer(name)
    assert {word for word in known if answer.names(word)} == known
    assert list(kinds_in(answer)) == kinds


def test_disks_are_known_only_by_both_of_their_lists() -> None:
    """Else every orphaned disk, or every attached one, would be left over."""
    disk = _resource("disk", "disk-9")
    assert "orphaned disks" in _answer("instances").lacks(disk)
    assert "disks of instances" in _answer("no_orphaned_disks").lacks(disk)
    both = _answer("instances") | _answer("no_orphaned_disks")
    assert (both.lacks(disk), list(kinds_in(both))) == ("", ["VM", "disk"])


def test_an_answer_for_one_deployment_speaks_for_it_alone() -> None:
    """A VM of another deployment, or of none yet, may be in a list that was not given."""
    known = _answer("instances_of_shop")
    assert known.lacks(_resource("VM", "vm-9", deployment="shop")) == ""
    assert known.lacks(_resource("VM", "vm-9", deployment="bank")) == "no list of VMs of deployment bank was given"
    assert known.lacks(_resource("VM", "vm-9")) == "no list of VMs was given"


def test_what_a_director_does_not_know_by_a_cid_needs_no_list() -> None:
    """It is judged by what it is attached to."""
    assert Known().lacks(_resource("interface", "eni-1")) == ""


def test_a_cid_may_hold_more_than_the_id() -> None:
    """A zone, a hint, or that a stemcell is light."""
    known = of_list(["ami-1 light", "disk-2.eyJhIjoiYiJ9", "zone-a/vm-3", "# a remark", ""], "a list")
    assert [known.names(word) for word in ("ami-1", "disk-2", "vm-3", "ami", "remark")] == [True, True, True, False, False]
    assert list(kinds_in(known)) == ["VM", "disk", "snapshot", "stemcell", "network"]


def _changed(**changes: Any) -> str:
    return json.dumps({**json.loads((_ANSWERS / "vms.json").read_text(encoding="utf-8")), **changes})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "not what `bosh"),
        ("{", "not what `bosh"),
        (_changed(Tables=[]), "it has no table"),
        (_changed(Lines=["Task 41. Done"]), "did not succeed"),
        (_changed(Tables=[{"Content": "vms", "Header": {"vm_cid": "VM CID"}, "Rows": [{"instance": "a"}]}]), "no 'vm_cid'"),
        (_changed(Tables=[{"Content": "instances", "Header": {"instance": "Instance"}, "Rows": []}]), "instances --details"),
    ],
)
def test_what_may_be_short_is_refused(text: str, told: str) -> None:
    """A list that was cut would make leftovers of what is in use."""
    with pytest.raises(errors.CpiError, match="a file") as caught:
        of_answer(text, "a file")
    assert told in caught.value.message


def test_an_empty_list_is_refused_and_in_writing_it_is_taken() -> None:
    """An empty list of known things would sweep everything."""
    with pytest.raises(errors.CpiError, match="empty"):
        of_list(["# nothing"], "a list")
    with pytest.raises(errors.CpiError, match="unknown kind cars"):
        of_nothing(["cars"])
    assert list(kinds_in(of_nothing(["vm", "Disk"]))) == ["VM", "disk"]
    assert list(kinds_in(of_instances([], [], []))) == []


def test_a_watch_file_speaks_for_vms_and_disks() -> None:
    """It names the stemcells of its VMs and not all that there are."""
    known = of_instances(["vm-1"], ["disk-1"], ["stemcell-1"])
    assert (known.names("stemcell-1"), list(kinds_in(known))) == (True, ["VM", "disk"])
