"""A move between clouds by processes that die at each of its parts: whoever follows goes on, and no row is lost."""

import os
import random
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from cpi.contract.encoding import to_plain
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.units import MiB
from cpi.migration.between.steps import BETWEEN_STEPS
from cpi.migration.plan import Facts, Order, plan
from tests.dying_processes import DIED, DyingProcesses, dying_processes
from tests.migration.between.two_clouds import LARGER, TwoClouds

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(900)]

_CHAOS = int(os.environ.get("CHAOS", "0"))
_FEW = ("copy_across", "start_jobs_there")


@pytest.fixture(scope="module")
def processes() -> Iterator[DyingProcesses]:
    """Processes for every test."""
    with dying_processes("tests.crash.dying_mover") as made:
        yield made


class _Movers:
    """Processes that make one move."""

    def __init__(self, both: TwoClouds, processes: DyingProcesses) -> None:
        self._both = both
        self._processes = processes
        self._move_id = uuid.uuid4().hex[:12]
        to = to_plain(both.destination())
        vm = both.vm
        self._entry = {
            "config": str(both.old_config), "vm": str(vm.vm_cid), "disk": str(vm.disk_cid), "size": LARGER, "to": to,
        }  # fmt: skip

    @property
    def parts(self) -> tuple[str, ...]:
        """As the plan names them."""
        vm = self._both.vm
        order = Order("m", VmCid(vm.vm_cid), DiskCid(vm.disk_cid), MiB(LARGER), to=self._both.destination())
        facts = Facts(frozenset(), (vm.disk_cid,), jobs_run=True, no_live_copy="")
        return ("claim", "plan", *plan(order, facts).steps)

    def run(self, **request: Any) -> dict[str, Any]:
        """One process: it begins the move, or takes it up."""
        folder = str(self._both.folder)
        told: dict[str, Any] = {"database": f"sqlite:///{folder}/moves.sqlite", "move_id": self._move_id, "entry": self._entry}
        return self._processes.run(folder=folder, **told, **request)

    def finish(self) -> None:
        """The next process gets it to its end."""
        ended = self.run()
        assert ended["status"] == 0, ended
        outcome = ended["outcome"]
        assert (outcome["standing"], outcome["left"]) == ("moved", []), outcome
        self._both.assert_arrived(VmCid(outcome["report"]["new_vm_cid"]), DiskCid(outcome["report"]["disk_cid"]))


def _killed(both: TwoClouds, processes: DyingProcesses, when: str, names: Sequence[str] = ()) -> None:
    movers = _Movers(both, processes)
    for name in names or movers.parts:
        died = movers.run(at=name, when=when)
        assert died["status"] == DIED, f"{when} {name}: {died}"
    movers.finish()


def test_a_move_that_is_killed_at_some_of_its_parts_arrives(both: TwoClouds, processes: DyingProcesses) -> None:
    """Dead between a part's doing and its record: on either side of the point from which there is only forward."""
    assert set(_FEW) <= set(BETWEEN_STEPS)
    _killed(both, processes, "between", _FEW)


@pytest.mark.nightly
@pytest.mark.parametrize("when", ["before", "between", "after"])
def test_a_move_that_is_killed_at_every_part_arrives(both: TwoClouds, processes: DyingProcesses, when: str) -> None:
    """Every part kills the process that does it."""
    _killed(both, processes, when)


@pytest.mark.nightly
@pytest.mark.parametrize("number", range(max(1, _CHAOS)))
def test_a_move_that_is_killed_at_random_instants_arrives(both: TwoClouds, processes: DyingProcesses, number: int) -> None:
    """In the middle of passes, comparisons, and of making things; three times in a row."""
    movers = _Movers(both, processes)
    for _ in range(3):
        movers.run(kill_after=random.uniform(1, 12))  # noqa: S311 - not for secrets
    movers.finish()
    assert number >= 0
