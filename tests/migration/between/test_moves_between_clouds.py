"""Disks that leave their cloud with their jobs: two local clouds, real disks, a job that writes all the time."""

from collections.abc import Mapping
from typing import Any

import pytest

from cpi.contract import errors
from cpi.contract.operator import ShowsDiskTags
from cpi.migration import Event, EventKind, MoveFailed, Strategy, Way
from cpi.migration.between import passing, scripts
from cpi.migration.between.crossing import Crossing
from cpi.migration.between.steps import BETWEEN_STEPS
from cpi.migration.report import Pass
from cpi.migration.stopping import Limits
from tests.migration import hostile, trees
from tests.migration.between.two_clouds import TwoClouds
from tests.migration.checker import judge

pytestmark = [pytest.mark.root, pytest.mark.slow]


def _tags(cloud: Any, disk_cid: Any) -> Mapping[str, str]:
    assert isinstance(cloud, ShowsDiskTags)
    return cloud.disk_tags(disk_cid)


def test_a_job_arrives_on_the_other_cloud_with_all_its_disk_holds(both: TwoClouds) -> None:
    """Every row, and a tree with names, modes, links, holes and attributes; both disks are marked, and it is made once only."""
    here = both.folder / "s"  # a socket's path has to be short
    here.symlink_to(both.store())
    trees.plant(here)
    before = both.picture()
    report = both.move(both.destination())
    assert (report.strategy, report.vm_cid) == (Strategy.BETWEEN_CLOUDS, both.vm.vm_cid)
    assert "the data went directly from the old guest to the new one" in report.notes
    assert report.new_vm_cid is not None
    assert judge(before, both.picture(report.new_vm_cid)) == []
    both.assert_arrived(report.new_vm_cid, report.disk_cid)
    old, new = _tags(both.vm.cloud, both.vm.disk_cid), _tags(both.cloud, report.disk_cid)
    assert (old["replaced_by"], old["kept_until"]) == (report.disk_cid, report.kept_until)
    assert (new["moved_from"], new["move_id"]) == (both.vm.disk_cid, "here")
    # whoever makes the move again finds it made, and what the job has written since is not overwritten
    again = both.move(both.destination(), start_jobs=True)
    assert (again.new_vm_cid, again.disk_cid, again.passes) == (report.new_vm_cid, report.disk_cid, ())
    both.assert_arrived(report.new_vm_cid, report.disk_cid)


@pytest.mark.nightly
@pytest.mark.parametrize("way", [Way.DIRECT, Way.WORKER])
def test_a_hostile_tree_arrives_as_it_was(both: TwoClouds, way: Way) -> None:
    """Names, bytes, owners, links, attributes, flags, devices, a file of a TiB that is a hole."""
    hostile.plant(both.store())
    before = both.picture()
    report = both.move(both.destination(way), limits=Limits(bandwidth_kib=200_000))
    assert report.new_vm_cid is not None
    assert judge(before, both.picture(report.new_vm_cid)) == []
    both.assert_arrived(report.new_vm_cid, report.disk_cid)


@pytest.mark.nightly
def test_a_connection_that_breaks_is_made_anew_and_what_is_copied_stays(both: TwoClouds, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through this machine, compressed: the first pass is cut off in the middle once."""
    monkeypatch.setattr(passing, "_FIRST_PAUSE", 0.01)
    bulk, tries = scripts.BULK, []

    def cut_off(crossing: Crossing, *given: Any) -> Pass:
        tries.append(crossing)
        monkeypatch.setattr(scripts, "BULK", bulk.replace("root\nexit", "exit 12\nexit") if len(tries) == 1 else bulk)
        return copied(crossing, *given)

    copied = passing.copy_all
    monkeypatch.setattr(passing, "copy_all", cut_off)
    report = both.move(both.destination(Way.WORKER, compress=True))
    first, second = tries
    assert first is not second
    assert "the data went through the machine that ran the move" in report.notes
    assert report.new_vm_cid is not None
    both.assert_arrived(report.new_vm_cid, report.disk_cid)


_LAST = "verify_last_across"
_ONLY_FORWARD = {"start_jobs_there", "release_old_disk", "leave_guests", "tag_disks"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name == _LAST else pytest.mark.nightly)
        for name in BETWEEN_STEPS
        if name not in _ONLY_FORWARD
    ],
)
def test_what_fails_before_the_jobs_start_there_is_undone_on_both_clouds(
    both: TwoClouds, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Its data passed through this machine. No VM, disk, key or user is left, and the job writes to its old disk."""

    def listen(event: Event) -> None:
        if (event.kind, event.step) == (EventKind.DONE, name):
            raise errors.CloudError("the listener has seen enough")

    with pytest.raises((MoveFailed, errors.CloudError), match="seen enough"):
        both.move(both.destination(Way.WORKER), on_event=listen)
    both.assert_undone()
