"""The recreate sequence: its order, and what it does not do."""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from cpi.agent.errors import AgentUnreachable
from cpi.agent.protocol import Agent, Deadlines
from cpi.agent.reaching import Reach
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid, StemcellCid, VmCid
from cpi.contract.model import DiskHint, Vm
from cpi.resurrection.instance import Instance
from cpi.resurrection.report import Order, Report, Standing, Verdict
from cpi.resurrection.sequence import STEPS, Recreation, directly

_INSTANCE = Instance(
    name="db/0",
    config="/c.json",
    vm=VmCid("vm-1"),
    stemcell=StemcellCid("s"),
    networks={"default": {"type": "manual", "ip": "10.0.0.5"}},
    group="db",
    disks=(DiskCid("disk-1"),),
    env={"secret": {"from_env": "A_SECRET_OF_THE_TEST"}},
    spec={"jobs": []},
)


class _World:
    """A cloud and an agent that write down what they are asked, and fail where the test says."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.faults: dict[str, errors.Error] = {}
        self.mounted: list[str] = []
        self.attached: list[str] = []
        self.env: Any = None
        self.token: Any = None

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def called(*arguments: Any) -> Any:
            self.calls.append(f"C {method}")
            if method in self.faults:
                raise self.faults[method]
            if method == "create_vm":
                self.env, self.token = arguments[5], arguments[6]
            answers = {
                "create_vm": Vm(VmCid("vm-2"), {}),
                "attach_disk": DiskHint(device="/dev/sdb"),
                "get_disks": self.attached,
            }
            return answers.get(method)

        return called


class _Line:
    def __init__(self, world: _World, vm_cid: VmCid) -> None:
        self._world = world
        self._vm_cid = vm_cid

    def exchange(self, request: Mapping[str, Any], deadline_seconds: float) -> Mapping[str, Any]:
        method = request["method"]
        if self._vm_cid == "vm-1" and "old agent" in self._world.faults:
            raise AgentUnreachable("silent")
        self._world.calls.append(f"A {method}")
        if method == "mount_disk":
            self._world.mounted.append(request["arguments"][0])
        answers: dict[str, Any] = {"list_disk": self._world.mounted, "get_state": {"job_state": "running"}}
        return {"value": answers.get(method, {})}

    def close(self) -> None:
        """Nothing is open."""


def _report(world: Any, verdict: Verdict = Verdict.UNRESPONSIVE, keep: Any = directly) -> Report:
    def reach(_reach: Reach, _cloud: Cloud, vm_cid: VmCid, _made: ExitStack, _deadlines: Deadlines) -> Agent:
        return Agent(_Line(world, vm_cid))

    order = Order("/f.yml", "db/0", VmCid("vm-1"), "local", verdict, down_since=time.time() - 60)
    return Recreation(_INSTANCE, order, world, keep=keep, reach=reach).report()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> _World:
    """Where the old agent is silent."""
    monkeypatch.setenv("A_SECRET_OF_THE_TEST", "revealed")
    made = _World()
    made.faults["old agent"] = errors.CloudError("silent")
    return made


def test_cloud_and_agent_are_called_in_a_directors_order(world: _World) -> None:
    """No word to the old agent after it was asked; no disk is detached or deleted; secrets are read when they are used."""
    report = _report(world)
    assert (report.standing, report.vm) == (Standing.RECREATED, "vm-2")
    assert world.calls == [
        "C get_disks", "C delete_vm", "C create_vm", "C set_vm_metadata", "A ping",
        "C attach_disk", "A add_persistent_disk", "C set_disk_metadata", "A list_disk", "A mount_disk",
        "A apply", "A run_script", "A start", "A get_state", "A run_script",
    ]  # fmt: skip
    assert (world.env, world.token) == ({"secret": "revealed"}, "instead-of-vm-1")
    assert report.jobs_down_seconds is not None
    assert report.jobs_down_seconds >= 60


def test_an_agent_that_answers_after_all_is_left_alone(world: _World) -> None:
    """Nothing was done."""
    del world.faults["old agent"]
    assert (_report(world).standing, world.calls) == (Standing.ALIVE, ["A ping"])


def test_an_agent_that_came_back_while_nobody_went_on_is_left_alone(world: _World) -> None:
    """Asked long ago by a process that died then: asked again before the VM is deleted."""
    del world.faults["old agent"]

    def kept(name: str, call: Callable[[], Any]) -> Any:
        return {"answer": "", "began": time.time() - 100, "seconds": 0.0} if name == "ask" else call()

    assert (_report(world, keep=kept).standing, world.calls) == (Standing.ALIVE, ["A ping"])


def test_a_missing_vm_has_no_agent_to_ask(world: _World) -> None:
    """That the VM is not found when it is deleted is fine; so is a cloud without metadata."""
    world.faults |= {name: errors.VMNotFound("no VM") for name in ("get_disks", "delete_vm")}
    world.faults |= {name: errors.NotImplemented("no tags") for name in ("set_vm_metadata", "set_disk_metadata")}
    assert _report(world, Verdict.MISSING).standing is Standing.RECREATED


@pytest.mark.parametrize(
    ("method", "step"), [("delete_vm", "delete_vm"), ("create_vm", "create_vm"), ("attach_disk", "attach_disks")]
)
def test_what_fails_ends_it_and_is_told_with_its_step(world: _World, method: str, step: str) -> None:
    """The VM that was made is named, if there is one."""
    world.faults[method] = errors.CloudError("no capacity")
    report = _report(world)
    assert (report.standing, report.failed_step, report.message) == (Standing.FAILED, step, f"{step}: no capacity")
    assert report.vm == (None if step in STEPS[:3] else "vm-2")


def test_a_vm_with_another_disk_in_the_place_of_its_own_is_left_as_it_is(world: _World) -> None:
    """A move may have put it there, of which nothing is known here: the named one may be older."""
    world.attached = ["disk-2"]
    report = _report(world)
    assert (report.standing, report.failed_step) == (Standing.FAILED, "delete_vm")
    assert "has disk-2 attached and not disk-1" in report.message
    assert world.calls == ["C get_disks"]


@pytest.mark.parametrize("attached", [[], ["disk-1"], ["disk-1", "disk-2"]])
def test_a_vm_with_its_own_disks_or_with_none_is_recreated(world: _World, attached: list[str]) -> None:
    """Whatever else it has."""
    world.attached = attached
    assert _report(world).standing is Standing.RECREATED
