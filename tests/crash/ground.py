"""Moves of one place by processes that die, and what must be true afterwards."""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cpi.agent import jobs
from cpi.contract.capability import Capability
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.units import MiB
from cpi.kit.waiting import wait_until
from cpi.migration.plan import Facts, Order, plan
from cpi.migration.report import Strategy
from tests.crash.mother import DIED
from tests.migration.place import Place

_ROOT = Path(__file__).resolve().parents[2]
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


@contextmanager
def mother(module: str = "tests.crash.mother") -> Iterator["Mother"]:
    """A mother of processes, gone at the end of the block."""
    made = Mother(module)
    try:
        yield made
    finally:
        made.end()


class Mother:
    """Who has processes do things. One that was left in the middle of an answer is replaced: the next must not get that."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._process = _started(module)
        self._waits = False

    def run(self, **request: Any) -> dict[str, Any]:
        """One process: how it ended, and the outcome if it did."""
        if self._waits:
            self.end()
            self._process = _started(self._module)
        if self._process.stdin is None or self._process.stdout is None:
            raise ValueError("the mother was started without pipes")
        self._waits = True
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        self._waits = False
        return answer

    def end(self) -> None:
        """It ends when its input does, unless it still has a child."""
        if self._waits:
            self._process.kill()
        if self._process.stdin and self._process.stdout:
            self._process.stdin.close()
            self._process.wait(60)
            self._process.stdout.close()


def _started(module: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-W", "error", "-m", module]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT)


class Ground:
    """One VM whose disk is moved again and again."""

    def __init__(self, place: Place, mother: Mother, config: Path) -> None:
        self.place = place
        self._processes = mother
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
            self.place.cloud.reboot_vm(self.place.vm_cid)
            self.place.agent.wait_until_ready()
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
            self.place.disk_cid = DiskCid(report["disk_cid"])
        self.place.assert_well()
        assert self.place.disks() == {self.place.disk_cid} | orphans, there
        for orphan in orphans:
            self.place.cloud.delete_disk(orphan)

    def _job_runs(self) -> bool:
        return self.place.agent.get_state().job_state == jobs.RUNNING

    def _run(self, **request: Any) -> dict[str, Any]:
        folder = str(self._config.parent)
        return self._processes.run(folder=folder, database=f"sqlite:///{folder}/state/moves.sqlite", **request)

    def _entry(self, strategy: Strategy) -> dict[str, Any]:
        self._size = next(size for size in _SIZES if size != self._size) if "copy" in strategy.value else self._size + 16
        wish = {"properties": {"name": f"n{self._size}"}} if strategy is Strategy.NATIVE_UPDATE else {}
        entry = {"config": str(self._config), "vm": str(self.place.vm_cid), "disk": str(self.place.disk_cid), "size": self._size}
        return {**entry, **_WISHES[strategy], **wish}

    def _lock(self) -> dict[str, str]:
        return {"agent_lock": str(self.place.root / "vms" / self.place.vm_cid / "agent.lock")}
