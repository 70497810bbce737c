"""Monitors that die at every step, and monitors that all want to do the same."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from cpi.contract.encoding import to_plain
from cpi.durable.database import database
from cpi.durable.engine import works_of
from cpi.kit.waiting import wait_until
from cpi.resurrection.alert import Kind
from cpi.resurrection.durable.runner import WORK
from cpi.resurrection.report import Order, Standing, Verdict
from cpi.resurrection.sequence import STEPS
from tests.dying_processes import DIED, DyingProcesses, dying_processes
from tests.resurrection.deployment import Deployment, Instance
from tests.resurrection.monitors import kept_in, monitor_process, watching

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
_SOON = 120.0


@pytest.fixture(scope="module")
def processes() -> Iterator[DyingProcesses]:
    """Other processes."""
    with dying_processes("tests.resurrection.dying_recreator") as made:
        yield made


def _request(deployment: Deployment, one: Instance) -> dict[str, Any]:
    file, verdict = str(deployment.file), Verdict.UNRESPONSIVE
    order = Order(file=file, name=one.name, group="db", vm=one.first_vm, plugin="local", verdict=verdict)
    return {"folder": str(deployment.folder), "order": to_plain(order)}


@pytest.mark.parametrize("when", ["between", pytest.param("after", marks=pytest.mark.nightly)])
def test_a_recreation_gets_to_its_end_though_every_step_kills_its_process(
    deployment: Deployment, processes: DyingProcesses, when: str
) -> None:
    """Dead between a step's doing and its record, or after the record and before the next: one VM, every row."""
    one = deployment.add("db/0")
    request = _request(deployment, one)
    deployment.hurt(one)
    for name in (*STEPS, "tell"):
        died = processes.run(**request, at=name, when=when)
        assert died["status"] == DIED, f"{when} {name}: {died}"
        assert len(deployment.vms()) <= 1, f"{when} {name}"
    ended = processes.run(**request)
    assert ended["status"] == 0, ended
    outcome = ended["outcome"]
    assert (outcome["report"]["standing"], outcome["tries"]) == ("recreated", 1), outcome
    assert [step["name"] for step in outcome["report"]["steps"]] == list(STEPS)
    deployment.assert_well(one)
    deployment.assert_nothing_left_over()


_IN_EVERY_RUN = ("create_vm", "attach_disks", "apply", "start")
"""What a dead VM leaves is the same after the others, which are for `make nightly`: one without a disk, or one with its disk."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in _IN_EVERY_RUN else pytest.mark.nightly) for name in STEPS[2:]]
)
def test_a_new_vm_that_dies_under_way_is_replaced_in_its_turn(
    deployment: Deployment, processes: DyingProcesses, name: str
) -> None:
    """Whatever step it dies at, with the process that was at it: the next try finds what is to be done."""
    one = deployment.add("db/0")
    request = _request(deployment, one)
    deployment.hurt(one)
    died = processes.run(**request, at=name, when="after")
    assert died["status"] == DIED, died
    deployment.hurt(one)
    deployment.watch_for(ready=0.1, start=0.1)  # what died again does not answer, however long it is waited for
    ended = processes.run(**_request(deployment, one))
    assert ended["status"] == 0, ended
    assert ended["outcome"]["report"]["standing"] == ("recreated" if name == STEPS[-1] else "failed"), ended
    deployment.watch_for()
    with watching(deployment) as watch:
        watch.until(lambda: deployment.is_well(one) and watch.runner.is_idle, "it is well")
        watch.for_seconds(1.0)
    deployment.assert_well(one)
    deployment.assert_nothing_left_over()


def test_what_a_killed_monitor_began_on_postgresql_is_finished_by_another(deployment: Deployment, postgres: str) -> None:
    """Killed while the new VM is being made: the next process takes the same work up, and makes no second VM."""
    kept, one = database(postgres), deployment.add("db/0")
    deployment.hurt(one)
    with monitor_process(deployment.file, kept) as first:
        wait_until(
            lambda: bool(deployment.vms() - {one.first_vm}), "a VM is made", deadline_seconds=_SOON, longest_pause_seconds=0.05
        )
        first.kill()
        first.wait()
        works = works_of(kept)
        (left,) = works.rows(WORK)
        assert left.is_open
        assert f"-{first.pid}-" in left.executor_id
    with monitor_process(deployment.file, kept) as second:
        wait_until(lambda: not works.rows(WORK)[0].is_open, "it is finished", deadline_seconds=_SOON)
        deployment.assert_well(one)
        (ended,) = works.rows(WORK)
    works.close()
    assert (ended.work_id, ended.created) == (left.work_id, left.created)
    assert f"-{second.pid}-" in ended.executor_id
    assert ended.answer is not None
    assert ended.answer["standing"] == "recreated"
    deployment.assert_nothing_left_over()
    assert [line["kind"] for line in _told(deployment)].count("recreated") == 1


def _told(deployment: Deployment) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (deployment.folder / "told").read_text().splitlines() if line.startswith("{")]


def test_two_monitors_recreate_one_instance_once(deployment: Deployment) -> None:
    """Both see it die; one does it, the other sees that it is done. A busy machine's agent is silent, and found alive."""
    one = deployment.add("db/0")
    with monitor_process(deployment.file, kept_in(deployment.folder)), watching(deployment) as watch:
        watch.for_seconds(4.0)
        deployment.hurt(one)
        watch.until(lambda: deployment.is_well(one, one.first_vm), "it is well again")
        watch.for_seconds(3.0)
        tries = watch.runner.history().all()
    reports = [found.report for found in tries if found.report]
    (made,) = [report for report in reports if report.standing is not Standing.ALIVE]
    assert made.standing is Standing.RECREATED, tries
    ends = [kind.value for kind, _ in watch.told()] + [line["kind"] for line in _told(deployment)]
    assert ends.count(Kind.RECREATED.value) == 1
    assert deployment.vm_of(one) == made.vm
    deployment.assert_well(one)
    deployment.assert_nothing_left_over()
