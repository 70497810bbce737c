"""Moves of one disk by processes that die, and what must be true afterwards."""

import uuid
from pathlib import Path
from typing import Any

from cpi.agent import jobs
from cpi.contract.capability import Capability
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.units import MiB
from cpi.kit.waiting import wait_until
from cpi.migration.plan import Facts, Order, plan
from cpi.migration.report import Strategy
from tests.dying_processes import DIED, DyingProcesses
from tests.migration.database_vm import DatabaseVm

_SIZES = (96, 128)
_WISHES: dict[Strategy, dict[str, Any]] = {
    Strategy.COPY: {"strategy": "copy"},
    Strategy.LIVE_COPY: {"strategy": "live_copy"},
    Strategy.NATIVE_RESIZE: {"strategy": "native_resize"},
    Strategy.NATIVE_UPDATE: {"strategy": "native_update"},
}


def boundaries(strategy: Strategy) -> tuple[str, ...]:
    """The parts of a move, as the plan names them."""
    order = Order("m", VmCid("vm"), DiskCid("disk"), MiB(200), strategy=strategy)
    facts = Facts(frozenset(Capability), (DiskCid("disk"),), jobs_run=True, no_live_copy="")
    return ("claim", "plan", *plan(order, facts).steps)


class CrashScenario:
    """One VM whose disk is moved again and again."""

    def __init__(self, vm: DatabaseVm, processes: DyingProcesses, config: Path) -> None:
        self.vm = vm
        self._processes = processes
        self._config = config
        self._size = _SIZES[0]

    def cut_off(self, strategy: Strategy, at: str, when: str, hurt: str) -> None:
        """Hurt a move there; have it taken up; see that nothing is lost, and nothing is left over."""
        move_id = uuid.uuid4().hex[:12]
        there = f"{strategy.value}: {hurt} {when} {at}"
        first = self._run(move_id=move_id, entry=self._entry(strategy), at=at, when=when, hurt=hurt, **self._lock())
        outcome = first.get("outcome")
        if hurt == "process":
            assert first["status"] == DIED, f"{there}: {first}"
            outcome = self.finished(move_id, there)
            assert outcome["standing"] == "moved", f"{there}: {outcome}"
        assert outcome is not None, f"{there}: {first}"
        if hurt in {"agent", "vm"}:
            self.vm.cloud.reboot_vm(self.vm.vm_cid)
            self.vm.agent.wait_until_ready()
            if outcome["standing"] != "moved" or outcome["left"]:
                outcome = self._run(move_id=move_id, again=True)["outcome"]
                assert outcome["standing"] == "moved", f"{there}: {outcome}"
            wait_until(self._job_runs, f"{there}: the job after the reboot", deadline_seconds=30)
        self.assert_well(outcome, there)

    def killed_all_along(self, strategy: Strategy, when: str) -> None:
        """One move, each of whose parts kills the process that does it: the next one goes on from there."""
        move_id = uuid.uuid4().hex[:12]
        there = f"{strategy.value}: every process dies {when}"
        entry = {"entry": self._entry(strategy)}
        for name in boundaries(strategy):
            died = self._run(move_id=move_id, at=name, when=when, **entry)
            assert died["status"] == DIED, f"{there} {name}: {died}"
            entry = {}
        outcome = self.finished(move_id, there)
        assert outcome["standing"] == "moved", f"{there}: {outcome}"
        self.assert_well(outcome, there)

    def killed_after(self, strategy: Strategy, seconds: float) -> bool:
        """Kill a move after so long, and the process that goes on with it too; whether it was still under way at first."""
        move_id = uuid.uuid4().hex[:12]
        there = f"{strategy.value}: killed after {seconds:.2f} s"
        entry = self._entry(strategy)
        killed = self._run(move_id=move_id, entry=entry, kill_after=seconds)
        self._run(move_id=move_id, entry=entry, kill_after=seconds)
        # it may have been killed before it had written anything down
        outcome = self.finished(move_id, there, entry=entry)
        assert outcome["standing"] == "moved", f"{there}: {outcome}"
        self.assert_well(outcome, there)
        return bool(killed["status"] != 0)

    def finished(self, move_id: str, there: str, **more: Any) -> dict[str, Any]:
        """What another process makes of a move that was left."""
        again = self._run(move_id=move_id, **more)
        assert again["status"] == 0, f"{there}: {again}"
        outcome: dict[str, Any] = again["outcome"]
        return outcome

    def assert_well(self, outcome: dict[str, Any], there: str) -> None:
        """The job has all its rows on its one disk, and every other disk is an orphan of this move."""
        report = outcome.get("report") or {}
        assert outcome["left"] == [], f"{there}: {outcome}"
        orphans = {DiskCid(report["old_disk_cid"])} if report.get("orphaned_at") else set()
        if report:
            self.vm.disk_cid = DiskCid(report["disk_cid"])
        self.vm.assert_well()
        assert self.vm.disks() == {self.vm.disk_cid} | orphans, there
        for orphan in orphans:
            self.vm.cloud.delete_disk(orphan)

    def _job_runs(self) -> bool:
        return self.vm.agent.get_state().job_state == jobs.RUNNING

    def _run(self, **request: Any) -> dict[str, Any]:
        folder = str(self._config.parent)
        return self._processes.run(folder=folder, database=f"sqlite:///{folder}/state/moves.sqlite", **request)

    def _entry(self, strategy: Strategy) -> dict[str, Any]:
        self._size = next(size for size in _SIZES if size != self._size) if "copy" in strategy.value else self._size + 16
        wish = {"properties": {"name": f"n{self._size}"}} if strategy is Strategy.NATIVE_UPDATE else {}
        entry = {"config": str(self._config), "vm": str(self.vm.vm_cid), "disk": str(self.vm.disk_cid), "size": self._size}
        return {**entry, **_WISHES[strategy], **wish}

    def _lock(self) -> dict[str, str]:
        return {"agent_lock": str(self.vm.root / "vms" / self.vm.vm_cid / "agent.lock")}
