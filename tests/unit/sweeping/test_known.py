"""What files say that is known, and for what they speak."""

import json
from pathlib import Path
from typing import Any

import pytest

from cpi.contract import errors
from cpi.contract.operator import Kind, TaggedResource
from cpi.sweeping.known import KINDS, Known, of_answer, of_instances, of_list, of_nothing

_ANSWERS = Path(__file__).parents[3] / "fixtures" / "director_answers"


def _answer(name: str) -> Known:
    return of_answer((_ANSWERS / f"{name}.json").read_text(encoding="utf-8"), name)


def _kinds(known: Known, *, deployment: str = "shop", named: str = "vm-1") -> list[Kind]:
    """Of which kinds all is known that is in a deployment, where a VM of that deployment is named."""
    compared = known.compared([_resource("VM", named, deployment=deployment)])
    return [kind for kind in KINDS if not compared.lacks(_resource(kind, "left", deployment=deployment))]


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
    assert _kinds(answer) == kinds


def test_disks_are_known_only_by_both_of_their_lists() -> None:
    """Else every orphaned disk, or every attached one, would be left over."""
    disk = _resource("disk", "disk-9")
    assert "orphaned disks" in _answer("instances").lacks(disk)
    assert "disks of instances" in _answer("no_orphaned_disks").lacks(disk)
    both = _answer("instances") | _answer("no_orphaned_disks")
    assert _kinds(both) == ["VM", "disk"]


_OF_SHOP = _resource("VM", "vm-1", deployment="shop")
_OF_BANK = _resource("VM", "vm-9", deployment="bank")


@pytest.mark.parametrize("name", ["instances", "vms"])
def test_one_table_speaks_for_the_deployments_of_what_it_names(name: str) -> None:
    """`bosh -d shop vms --json` prints what `bosh vms --json` prints where there is one deployment: nothing tells them apart."""
    known = _answer(name).compared([_OF_SHOP, _OF_BANK])
    assert known.lacks(_resource("VM", "vm-8", deployment="shop")) == ""
    assert known.lacks(_OF_BANK) == "no list of VMs of deployment bank was given"
    assert known.lacks(_resource("VM", "vm-9")) == "no list of VMs was given"


def test_an_answer_with_a_table_for_each_deployment_speaks_for_all() -> None:
    """Only an answer for all deployments has several."""
    vms = json.loads((_ANSWERS / "vms.json").read_text(encoding="utf-8"))
    known = of_answer(json.dumps({**vms, "Tables": vms["Tables"] * 2}), "a file").compared([])
    assert known.lacks(_OF_BANK) == known.lacks(_resource("VM", "vm-9")) == ""


def test_one_table_speaks_for_all_where_there_is_one_deployment() -> None:
    """As `bosh deployments --json` says."""

    def deployments(*names: str) -> Known:
        table = {"Content": "deployments", "Header": {"name": "Name"}, "Rows": [{"name": name} for name in names]}
        return of_answer(json.dumps({"Tables": [table], "Lines": ["Succeeded"]}), "a file")

    assert (_answer("vms") | deployments("shop")).compared([]).lacks(_resource("VM", "vm-9")) == ""
    assert (_answer("vms") | deployments("shop", "bank")).compared([_OF_SHOP]).lacks(_resource("VM", "vm-9")) != ""


def test_orphaned_vms_are_not_all_vms() -> None:
    """They are known, and nothing more is."""
    table = {"Content": "orphaned_vms", "Header": {"vm_cid": "VM CID"}, "Rows": [{"vm_cid": "vm-1"}]}
    known = of_answer(json.dumps({"Tables": [table], "Lines": ["Succeeded"]}), "a file").compared([_OF_SHOP])
    assert (known.has(_OF_SHOP), known.lacks(_resource("VM", "vm-8", deployment="shop")) != "") == (True, True)


def test_snapshots_are_those_of_the_deployment_that_the_answer_names() -> None:
    """There is no answer for all of them."""
    known = _answer("snapshots_of_shop")
    assert known.lacks(_resource("snapshot", "s", deployment="shop")) == ""
    assert known.lacks(_resource("snapshot", "s", deployment="bank")) != ""


def test_what_a_director_does_not_know_by_a_cid_needs_no_list() -> None:
    """It is judged by what it is attached to."""
    assert Known().lacks(_resource("interface", "eni-1")) == ""


def test_a_cid_may_hold_more_than_the_id() -> None:
    """A zone, a hint, or that a stemcell is light."""
    known = of_list(["ami-1 light", "disk-2.eyJhIjoiYiJ9", "zone-a/vm-3", "# a remark", ""], "a list")
    assert [known.names(word) for word in ("ami-1", "disk-2", "vm-3", "ami", "remark")] == [True, True, True, False, False]
    assert _kinds(known) == ["VM", "disk", "snapshot", "stemcell", "network"]


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
    assert _kinds(of_nothing(["vm", "Disk"])) == ["VM", "disk"]
    assert _kinds(of_instances([], [], [])) == []


def test_a_watch_file_speaks_for_vms_and_disks() -> None:
    """It names the stemcells of its VMs and not all that there are."""
    known = of_instances(["vm-1"], ["disk-1"], ["stemcell-1"])
    assert (known.names("stemcell-1"), _kinds(known)) == (True, ["VM", "disk"])
    assert known.compared([_OF_SHOP]).lacks(_OF_BANK) == "no list of VMs of deployment bank was given"
    assert known.compared([_resource("VM", "vm-1")]).lacks(_resource("VM", "vm-9")) == ""
