"""The recreate sequence, in a director's order. Each step looks at what is true before it acts, so that it can be repeated.

delete_vm comes with the disks attached and without a word to the agent: it is silent. The token of create_vm is made of the
VM that is replaced, so that whoever replaces it, however often, gets the same VM.
"""

import contextlib
import time
import uuid
from collections.abc import Callable
from typing import Any, Final

from cpi.agent import jobs
from cpi.agent.errors import AgentError
from cpi.agent.protocol import Agent, Deadlines
from cpi.agent.reaching import Reach, reached
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.encoding import from_plain
from cpi.contract.ids import AgentId, DiskCid, VmCid
from cpi.kit.redaction import scrubbed
from cpi.kit.retrying import repeated
from cpi.kit.secret_references import resolved
from cpi.resurrection.instance import Instance
from cpi.resurrection.report import Order, Report, Standing, StepTime, Verdict

STEPS: Final = (
    "ask", "delete_vm", "create_vm", "set_vm_metadata", "wait_for_agent", "attach_disks", "mount_disks", "apply", "start"
)  # fmt: skip
_ATTEMPTS: Final = 3
_STALE_SECONDS: Final = 30.0
_ALIVE: Final = "alive"

Keep = Callable[[str, Callable[[], Any]], Any]
"""Does a step, or tells what it answered when it was done; plain values."""

Way = Callable[[Reach, Cloud, VmCid, contextlib.ExitStack, Deadlines], Agent]
"""From what is known of an agent to the agent."""


def directly(_name: str, call: Callable[[], Any]) -> Any:
    """Here and now."""
    return call()


def _nobody(_step: str) -> None:
    """Nobody listens."""


def replaced_before(report: Report) -> bool:
    """Whether the next try has to replace the VM that this one made, rather than go on with it."""
    return report.standing is Standing.RECREATED or report.failed_step == "wait_for_agent"


class Recreation:
    """One instance, recreated."""

    def __init__(
        self,
        instance: Instance,
        order: Order,
        cloud: Cloud,
        *,
        deadlines: Deadlines | None = None,
        keep: Keep = directly,
        on_step: Callable[[str], None] = _nobody,
        reach: Way = reached,
    ) -> None:
        self._instance = instance
        self._order = order
        self._cloud = cloud
        self._deadlines = deadlines or Deadlines()
        self._keep = keep
        self._on_step = on_step
        self._reach = reach
        self._times: list[StepTime] = []
        self._made: VmCid | None = None
        self._agent_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{order.plugin} {order.vm}"))

    def report(self) -> Report:
        """Do every step, and tell. Raises nothing that the cloud or the agent raises."""
        name = ""
        try:
            for name in STEPS:
                if self._done(name) == _ALIVE:
                    return self._told(Standing.ALIVE, "the agent answered a final ping")
        except errors.Error as error:
            return self._told(Standing.FAILED, f"{name}: {scrubbed(error.message)}", name)
        return self._told(Standing.RECREATED, "")

    def _done(self, name: str) -> Any:
        self._on_step(name)
        kept = self._keep(name, lambda: self._performed(name))
        self._times.append(StepTime(name, kept["began"], kept["seconds"]))
        if "fault" in kept:
            raise errors.CloudError(kept["fault"])
        if name == "create_vm":
            self._made = from_plain(kept["answer"], VmCid)
        return kept["answer"]

    def _performed(self, name: str) -> dict[str, Any]:
        began = time.time()
        try:
            answer = {"answer": getattr(self, f"_{name}")()}
        except errors.Error as error:
            answer = {"fault": scrubbed(error.message)}
        return {**answer, "began": began, "seconds": time.time() - began}

    # ------------------------------------------------------------------ the steps

    def _ask(self) -> str:
        if not self._order.ask or self._order.verdict is Verdict.MISSING:
            return ""
        with contextlib.suppress(AgentError, errors.VMNotFound):
            self._with_agent(self._order.vm, self._order.agent_id, lambda agent: agent.ping())
            return _ALIVE
        return ""

    def _delete_vm(self) -> str:
        asked = self._times[-1]
        if time.time() - asked.began - asked.seconds > _STALE_SECONDS and self._ask() == _ALIVE:
            return _ALIVE  # whoever asked died, and the agent was heard again since
        self._refuse_disks_in_doubt()
        with contextlib.suppress(errors.VMNotFound):
            self._cloud.delete_vm(self._order.vm)
        return ""

    def _refuse_disks_in_doubt(self) -> None:
        """A VM with another disk in the place of its own: a move may have put it there, of which nothing is known here."""
        wanted, attached = set(self._instance.disks), set[DiskCid]()
        with contextlib.suppress(errors.NotImplemented, errors.VMNotFound):
            attached.update(self._cloud.get_disks(self._order.vm))
        if attached - wanted and wanted - attached:
            raise errors.CloudError(
                f"the VM {self._order.vm} has {', '.join(sorted(attached - wanted))} attached and not"
                f" {', '.join(sorted(wanted - attached))}: find out which disk has the data, and name it in {self._order.file}"
            )

    def _create_vm(self) -> str:
        instance = self._instance
        made = self._cloud.create_vm(
            AgentId(self._agent_id),
            instance.stemcell,
            resolved(instance.properties),
            instance.revealed_networks(),
            instance.disks,
            resolved(instance.env),
            f"instead-of-{self._order.vm}",
        )
        return str(made.cid)

    def _set_vm_metadata(self) -> None:
        with contextlib.suppress(errors.NotImplemented):
            self._cloud.set_vm_metadata(self._vm, self._instance.metadata)

    def _wait_for_agent(self) -> None:
        self._with_new_agent(lambda agent: agent.wait_until_ready())

    def _attach_disks(self) -> None:
        def attach(agent: Agent) -> None:
            for disk_cid in self._instance.disks:
                hint = self._cloud.attach_disk(self._vm, disk_cid)
                agent.add_persistent_disk(disk_cid, hint)
                with contextlib.suppress(errors.NotImplemented):
                    self._cloud.set_disk_metadata(disk_cid, self._instance.metadata)

        self._again_and_again(attach)

    def _mount_disks(self) -> None:
        def mount(agent: Agent) -> None:
            mounted = agent.list_disk()
            for disk_cid in self._instance.disks:
                if disk_cid not in mounted:
                    agent.mount_disk(disk_cid)

        if self._instance.disks:
            self._again_and_again(mount)

    def _apply(self) -> None:
        spec = self._instance.spec
        if spec is not None:
            self._again_and_again(lambda agent: agent.apply(resolved(spec)))

    def _start(self) -> None:
        if self._instance.spec is not None:
            self._again_and_again(jobs.start if self._order.wait else _only_start)

    # ------------------------------------------------------------------ how

    @property
    def _vm(self) -> VmCid:
        if self._made is None:
            raise errors.CloudError("no VM was made yet")
        return self._made

    def _again_and_again(self, call: Callable[[Agent], None]) -> None:
        repeated(lambda: self._with_new_agent(call), on=errors.Error, unless=jobs.NotStarted, attempts=_ATTEMPTS)

    def _with_new_agent(self, call: Callable[[Agent], None]) -> None:
        self._with_agent(self._vm, self._agent_id, call)

    def _with_agent(self, vm_cid: VmCid, agent_id: str | None, call: Callable[[Agent], None]) -> None:
        with contextlib.ExitStack() as made:
            reach = self._instance.reach(agent_id)
            call(made.enter_context(self._reach(reach, self._cloud, vm_cid, made, self._deadlines)))

    def _told(self, standing: Standing, message: str, failed_step: str = "") -> Report:
        ended = self._times[-1].began + self._times[-1].seconds if self._times else time.time()
        down = ended - self._order.down_since if standing is Standing.RECREATED and self._order.down_since else None
        return Report(
            standing=standing,
            ended=ended,
            vm=self._made,
            agent_id=self._agent_id if self._made else None,
            message=message,
            failed_step=failed_step,
            jobs_down_seconds=down,
            steps=tuple(self._times),
        )


def _only_start(agent: Agent) -> None:
    agent.run_script("pre-start")
    agent.start()
