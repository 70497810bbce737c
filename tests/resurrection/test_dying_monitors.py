"""Monitors that die at every step, and monitors that all want to do the same."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cpi.contract.encoding import to_plain
from cpi.resurrection.alert import Kind
from cpi.resurrection.report import Order, Verdict
from cpi.resurrection.sequence import STEPS
from tests.crash.ground import Mother, mother
from tests.crash.mother import DIED
from tests.resurrection.ground import Ground, One
from tests.resurrection.watching import watching

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def processes() -> Iterator[Mother]:
    """Other processes."""
    with mother("tests.resurrection.mother") as made:
        yield made


def _request(ground: Ground, one: One) -> dict[str, Any]:
    order = Order(file=str(ground.file), name=one.name, group="db", vm=one.first_vm, plugin="local", verdict=Verdict.UNRESPONSIVE)
    return {"folder": str(ground.folder), "order": to_plain(order)}


@pytest.mark.parametrize("when", ["between", "after"])
def test_a_recreation_gets_to_its_end_though_every_step_kills_its_process(ground: Ground, processes: Mother, when: str) -> None:
    """Dead between a step's doing and its record, or after the record and before the next: one VM, every row."""
    one = ground.add("db/0")
    request = _request(ground, one)
    ground.hurt(one)
    for name in (*STEPS, "tell"):
        died = processes.run(**request, at=name, when=when)
        assert died["status"] == DIED, f"{when} {name}: {died}"
        assert len(ground.vms()) <= 1, f"{when} {name}"
    ended = processes.run(**request)
    assert ended["status"] == 0, ended
    outcome = ended["outcome"]
    assert (outcome["report"]["standing"], outcome["tries"]) == ("recreated", 1), outcome
    assert [step["name"] for step in outcome["report"]["steps"]] == list(STEPS)
    ground.assert_well(one)
    ground.assert_nothing_left_over()


@pytest.mark.parametrize("name", STEPS[2:])
def test_a_new_vm_that_dies_under_way_is_replaced_in_its_turn(ground: Ground, processes: Mother, name: str) -> None:
    """Whatever step it dies at, with the process that was at it: the next try finds what is to be done."""
    one = ground.add("db/0")
    request = _request(ground, one)
    ground.hurt(one)
    died = processes.run(**request, at=name, when="after")
    assert died["status"] == DIED, died
    ground.hurt(one)
    with watching(ground) as there:
        there.until(lambda: ground.is_well(one) and there.runner.is_idle, "it is well", 60)
        there.for_seconds(1.0)
    ground.assert_well(one)
    ground.assert_nothing_left_over()


def test_two_monitors_recreate_one_instance_once(ground: Ground) -> None:
    """Both see it die; one does it, the other sees that it is done."""
    one = ground.add("db/0")
    program = str(Path(sys.executable).with_name("cpi"))
    database = f"sqlite:///{ground.folder}/state/resurrections.sqlite"
    command = [program, "watch", str(ground.file), "--json", "--database", database]
    other = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        with watching(ground) as there:
            there.for_seconds(4.0)
            ground.hurt(one)
            there.until(lambda: ground.is_well(one, one.first_vm), "it is well again")
            there.for_seconds(3.0)
            tries = there.runner.history().all()
    finally:
        other.terminate()
        out = other.communicate(timeout=25)[0]
    assert len(tries) == 1, tries
    ends = [kind for kind, _ in there.told() if kind is Kind.RECREATED] + [
        line for line in out.splitlines() if '"recreated"' in line
    ]
    assert len(ends) == 1
    ground.assert_well(one)
    ground.assert_nothing_left_over()
