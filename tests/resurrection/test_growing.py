"""Disks of the local cloud that fill, and monitors that have them grow in time."""

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from cpi.contract import errors
from cpi.contract.encoding import to_plain
from cpi.contract.ids import DiskCid
from cpi.contract.units import MiB, bytes_from_mib
from cpi.demo.client import asked
from cpi.durable.database import Database
from cpi.durable.engine import works_of
from cpi.durable.works import Works
from cpi.kit.waiting import wait_until
from cpi.resurrection.alert import Kind
from cpi.resurrection.durable.runner import GROWTH
from cpi.resurrection.growth.report import GrowthOrder
from tests.dying_processes import DIED, DyingProcesses, dying_processes
from tests.resurrection.deployment import Deployment, Instance, deployment_in
from tests.resurrection.monitors import SECONDS, kept_in, monitor_process, watching

pytestmark = [pytest.mark.slow, pytest.mark.root]

_SIZE = 400
_GROWN = 600
_MORE = 352
"""Than the smaller one has room for: an xfs keeps 64 MiB for its log."""

_POLICY = {"when": "72%", "by": "50%", "at_least": "1M", "up_to": "1G", "per_day": 1}
_CHUNK = bytes_from_mib(MiB(16))


@pytest.fixture
def on_xfs(tmp_path: Path) -> Iterator[Deployment]:
    """Instances whose disks grow mounted."""
    with deployment_in(tmp_path, "loop") as made:
        made.env = {"persistent_disk_fs": "xfs"}
        made.more = {"groups": {"db": {"grow": _POLICY}}}
        yield made


@pytest.fixture(scope="module")
def growers() -> Iterator[DyingProcesses]:
    """Processes for every test."""
    with dying_processes("tests.resurrection.dying_grower") as made:
        yield made


def _fill(one: Instance, size: int) -> None:
    """Until its ballast has at least so many MiB; it is never told that there is no room."""
    filled = 0
    while filled < bytes_from_mib(MiB(size)):
        answer = asked(one.address, {"do": "fill", "bytes": _CHUNK})
        assert "fault" not in answer, answer
        filled = answer["filled"]


def _assert_grown(deployment: Deployment, one: Instance, size: int = _GROWN) -> None:
    """More is on the disk than it had room for, and not one write failed."""
    _fill(one, _MORE)
    deployment.assert_well(one)
    assert one.writer.faults == []
    assert deployment.disks() == {one.disk_cid}
    image = deployment.root / "disks" / one.disk_cid / "image"
    assert image.stat().st_size == bytes_from_mib(MiB(size))


def test_a_disk_that_fills_is_grown_once_by_two_monitors_one_of_which_is_killed(on_xfs: Deployment) -> None:
    """The writer never fails; what the killed one had begun is finished by the other."""
    one = on_xfs.add("db/0", _SIZE)
    file, kept = on_xfs.file, kept_in(on_xfs.folder)
    with ExitStack() as made:
        for _ in range(2):
            made.enter_context(monitor_process(file, kept))
        works = wait_until(lambda: _works(kept), "a database", deadline_seconds=SECONDS)
        made.callback(works.close)
        _fill(one, 256)
        (row,) = wait_until(lambda: works.rows(GROWTH) or None, "it grows", deadline_seconds=SECONDS, longest_pause_seconds=0.02)
        os.kill(int(row.executor_id.split("-")[-2]), signal.SIGKILL)
        wait_until(lambda: not works.rows(GROWTH)[0].is_open, "it has grown", deadline_seconds=SECONDS)
        _assert_grown(on_xfs, one)
        (ended,) = works.rows(GROWTH)
    assert ended.answer is not None
    assert (ended.answer["standing"], ended.answer["jobs_down_seconds"]) == ("grown", 0), ended
    kinds = [line["kind"] for line in _told(on_xfs)]
    assert (kinds.count("grown"), kinds.count("cannot grow")) == (1, 0)


def _works(kept: Database) -> Works | None:
    with contextlib.suppress(errors.CpiError):
        return works_of(kept) if kept.exists() else None
    return None


def _told(deployment: Deployment) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (deployment.folder / "told").read_text().splitlines() if line.startswith("{")]


def test_a_runaway_writer_is_not_fed_for_ever(on_xfs: Deployment) -> None:
    """Grown as often as the policy says; then it is told, once, and shown."""
    one = on_xfs.add("db/0", _SIZE)
    with watching(on_xfs) as watch:
        _fill(one, 256)
        watch.until(lambda: (Kind.GROWN, "db/0") in watch.told(), "it grows")
        _fill(one, 400)
        watch.until(lambda: (Kind.CANNOT_GROW, "db/0") in watch.told(), "it may not grow again")
        watch.for_seconds(1.0)
        (view,) = watch.monitor.views()
    growths = [Kind.FILLING, Kind.GROWN, Kind.CANNOT_GROW]
    assert [kind for kind, _ in watch.told() if kind in growths] == growths
    assert any("per_day: 1" in alert.message for alert in watch.alerts)
    assert view.fill is not None
    assert (view.fill.size, view.fill.growths) == (_GROWN, 1)
    _assert_grown(on_xfs, one)


_OFTEN = ("grow_attached_disk", "grow_in_guest")
_STEPS = [
    pytest.param(name, marks=() if name in _OFTEN else pytest.mark.nightly) for name in ("look", "plan", *_OFTEN, "ended", "tell")
]


@pytest.mark.parametrize("name", _STEPS)
def test_a_monitor_that_dies_at_a_step_grows_the_disk_once(on_xfs: Deployment, growers: DyingProcesses, name: str) -> None:
    """Dead between the step's doing and its record: the next process finds what is done."""
    one = on_xfs.add("db/0", _SIZE)
    _fill(one, 256)
    order = GrowthOrder(
        file=str(on_xfs.file), name="db/0", group="db", plugin="local", vm=one.first_vm, disk=one.disk_cid,
        size=MiB(_GROWN), reason="77 % used",
    )  # fmt: skip
    request = {"folder": str(on_xfs.folder), "order": to_plain(order)}
    assert growers.run(**request, at=name, when="between")["status"] == DIED
    ended = growers.run(**request)
    assert ended["status"] == 0, ended
    (report,) = ended["outcome"]["reports"]
    assert (report["standing"], report["size"]) == ("grown", _GROWN), report
    _assert_grown(on_xfs, one)


@pytest.mark.nightly
def test_a_disk_that_cannot_grow_in_use_is_copied_where_that_is_wanted(tmp_path: Path) -> None:
    """As an ext4 of a root without CAP_SYS_RESOURCE; the next VM gets the disk that has the data now."""
    with deployment_in(tmp_path, "loop") as deployment:
        deployment.more = {"groups": {"db": {"grow": {**_POLICY, "when": "60%", "or_copy": True}}}}
        one = deployment.add("db/0", 128)
        old = one.disk_cid
        with watching(deployment) as watch:
            _fill(one, 80)
            watch.until(lambda: (Kind.GROWN, "db/0") in watch.told(), "it grows")
            watch.until(lambda: watch.monitor.views()[0].disks != (old,) or old in _mounted(deployment, one), "it is seen")
            one.disk_cid = DiskCid(watch.monitor.views()[0].disks[0])
            deployment.assert_well_but_for(one, set())
            _fill(one, 130)
            deployment.hurt(one)
            watch.until(lambda: (Kind.RECREATED, "db/0") in watch.told(), "it is recreated")
        deployment.assert_well(one)
        assert one.writer.faults == []


def _mounted(deployment: Deployment, one: Instance) -> tuple[DiskCid, ...]:
    with deployment.agent(one.first_vm) as agent:
        return agent.list_disk()
