"""Moves of one disk by processes that die, and what must be true afterwards."""

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cpi.agent import jobs
from cpi.contract.capability import Capability
from cpi.contract.encoding import to_plain
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.units import MiB
from cpi.kit.waiting import wait_until
from cpi.migration.extent import shortfall
from cpi.migration.guest import Guest
from cpi.migration.plan import Facts, Order, plan
from cpi.migration.report import Strategy
from tests.dying_processes import DIED, DyingProcesses
from tests.migration.database_vm import PATIENT, DatabaseVm

_SECONDS = 120.0
_SIZES = (96, 128)
_WISHES: dict[Strategy, dict[str, Any]] = {
    Strategy.COPY: {"strategy": "copy"},
    Strategy.LIVE_COPY: {"strategy": "live_copy"},
    Strategy.NATIVE_RESIZE: {"strategy": "native_resize"},
    Strategy.NATIVE_UPDATE: {"strategy": "native_update"},
    Strategy.ONLINE: {"strategy": "online"},
}


def boundaries(strategy: Strategy) -> tuple[str, ...]:
    """The parts of a move, as the plan names them."""
    order = Order("m", VmCid("vm"), DiskCid("disk"), MiB(200), strategy=strategy)
    facts = Facts(frozenset(Capability), (DiskCid("disk"),), jobs_run=True, no_live_copy="", grows_attached=True, no_growth="")
    return ("claim", "plan", *plan(order, facts).steps)


class CrashScenario:
    """One VM whose disk is moved again and again."""

    def __init__(self, vm: DatabaseVm, processes: DyingProcesses, config: Path) -> None:
        self.vm = vm
        self._processes = processes
        self._config = config
        self._size = _SIZES[0]

    def hurt_along(self, strategy: Strategy, parts: Sequence[tuple[str, str, str]]) -> None:
        """Hurt one try after the other, each at its part: the next takes up what one leaves. No row is lost."""
        left: str | None = None
        for name, when, hurt in parts:
            there = f"{strategy.value}: {hurt} {when} {name}"
            outcome = self._hurt(strategy, left, there, at=name, when=when, hurt=hurt)
            if not outcome["struck"]:
                # what the one before had left was finished without this part
                self._assert_moved(outcome, there)
                outcome = self._hurt(strategy, None, there, at=name, when=when, hurt=hurt)
            assert outcome["struck"], f"{there}: {outcome}"
            if hurt != "answer":
                self.vm.cloud.reboot_vm(self.vm.vm_cid)
                self.vm.agent.wait_until_ready()
            is_over = hurt == "answer" or (outcome["standing"] == "moved" and not outcome["left"])
            if not is_over and outcome["swapped"]:
                assert outcome["left"], f"{there}: the report has to say what is left: {outcome}"
            left = None if is_over else outcome["move_id"]
            if is_over:
                self._wait_for_the_job(there)
                self.assert_well(outcome, there)
        if left is not None:
            self._assert_moved(self._run(move_id=left, again=True)["outcome"], f"{strategy.value}: after the last of {parts}")

    def _hurt(self, strategy: Strategy, left: str | None, there: str, **request: Any) -> dict[str, Any]:
        how = {"move_id": left, "again": True} if left else {"move_id": uuid.uuid4().hex[:12], "entry": self._entry(strategy)}
        ended = self._run(**how, **request, **self._lock())
        assert ended["status"] == 0, f"{there}: {ended}"
        outcome: dict[str, Any] = ended["outcome"]
        return outcome

    def _assert_moved(self, outcome: dict[str, Any], there: str) -> None:
        assert outcome["standing"] == "moved", f"{there}: {outcome}"
        self._wait_for_the_job(there)
        self.assert_well(outcome, there)

    def _wait_for_the_job(self, there: str) -> None:
        wait_until(self._job_runs, f"{there}: the job", deadline_seconds=_SECONDS)

    def killed_all_along(self, strategy: Strategy, when: str, parts: Sequence[str] = ()) -> None:
        """One move, each of whose parts, or those named, kills the process that does it: the next one goes on from there."""
        move_id = uuid.uuid4().hex[:12]
        there = f"{strategy.value}: every process dies {when}"
        entry = {"entry": self._entry(strategy)}
        for name in parts or boundaries(strategy):
            died = self._run(move_id=move_id, at=name, when=when, **entry)
            assert died["status"] == DIED, f"{there} {name}: {died}"
            entry = {}
        self._assert_moved(self.finished(move_id, there), there)

    def killed_after(self, strategy: Strategy, seconds: float) -> bool:
        """Kill a move after so long, and the process that goes on with it too; whether it was still under way at first."""
        move_id = uuid.uuid4().hex[:12]
        there = f"{strategy.value}: killed after {seconds:.2f} s"
        entry = self._entry(strategy)
        killed = self._run(move_id=move_id, entry=entry, kill_after=seconds)
        self._run(move_id=move_id, entry=entry, kill_after=seconds)
        # it may have been killed before it had written anything down
        self._assert_moved(self.finished(move_id, there, entry=entry), there)
        return bool(killed["status"] != 0)

    def filled(self, strategy: Strategy, name: str, state: Path) -> None:
        """The filesystem of the state folder gets full before this part; when there is room again, a resume finishes the move."""
        move_id, there = uuid.uuid4().hex[:12], f"{strategy.value}: no room from {name} on"
        move = {"database": f"sqlite:///{state}/moves.sqlite", "move_id": move_id}
        ended = self._run(**move, entry=self._entry(strategy), at=name, when="before", hurt="full", state=str(state))
        if ended["status"] == 0:  # what was there already had room for the rest of it
            assert ended["outcome"]["struck"], f"{there}: {ended}"
        else:
            assert "cannot be written down" in ended["said"], f"{there}: {ended}"
            assert "Traceback" not in ended["said"], f"{there}: {ended}"
            assert "left behind" not in ended["said"], f"{there}: {ended}"
        self._wait_for_the_job(there)
        self.vm.writer.wait_for_more(2)
        (state / "filling").unlink()
        again = self._run(**move, resume=True)
        assert again["status"] == 0, f"{there}: {again}"
        self._assert_moved(again["outcome"], there)

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
        self._assert_that_its_size_can_be_used(report, there)
        keys = self.vm.root / "vms" / self.vm.vm_cid / "state" / "ssh"
        assert list(keys.glob("*.keys")) == [], f"{there}: a user was left in the guest"
        assert self.vm.disks() == {self.vm.disk_cid} | orphans, there
        for orphan in orphans:
            self.vm.cloud.delete_disk(orphan)

    def _assert_that_its_size_can_be_used(self, report: dict[str, Any], there: str) -> None:
        if report.get("strategy") != Strategy.ONLINE.value:
            return
        assert report["jobs_down_seconds"] == 0, there
        guest = Guest(self.vm.shell(), report["move_id"])
        extent = guest.extent(guest.store)
        assert extent is None or not shortfall(extent, MiB(report["size"])), f"{there}: {extent}"

    def _job_runs(self) -> bool:
        return self.vm.agent.get_state().job_state == jobs.RUNNING

    def _run(self, **request: Any) -> dict[str, Any]:
        folder = str(self._config.parent)
        return self._processes.run(folder=folder, **{"database": f"sqlite:///{folder}/state/moves.sqlite", **request})

    def _entry(self, strategy: Strategy) -> dict[str, Any]:
        if "copy" in strategy.value:
            size = self._size = next(size for size in _SIZES if size != self._size)
        else:
            size = self.vm.largest = max(self.vm.largest, *_SIZES) + 16
        wish = {"properties": {"name": f"n{size}"}} if strategy is Strategy.NATIVE_UPDATE else {}
        entry = {"config": str(self._config), "vm": str(self.vm.vm_cid), "disk": str(self.vm.disk_cid), "size": size}
        entry["limits"] = to_plain(PATIENT)
        return {**entry, **_WISHES[strategy], **wish}

    def _lock(self) -> dict[str, str]:
        return {"agent_lock": str(self.vm.root / "vms" / self.vm.vm_cid / "agent.lock")}
