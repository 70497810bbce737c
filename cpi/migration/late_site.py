"""A VM whose cloud, agent and shell are opened when they are first needed."""

import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Self

from cpi.agent.errors import AgentUnknownMessage
from cpi.agent.protocol import Agent, Deadlines
from cpi.agent.reaching import Reach, reached
from cpi.agent.shell import Shell, remove_users, shell_by_agent
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import VmCid
from cpi.migration.disks import Site
from cpi.migration.report import Progress

Connect = Callable[[], contextlib.AbstractContextManager[Cloud]]


class LateSite(Site):
    """What cannot be reached is reported by the first call."""

    def __init__(
        self, connect: Connect, reach: Reach, vm_cid: VmCid, deadlines: Deadlines | None = None, move_id: str | None = None
    ) -> None:
        """With the id of a move, no user that any of its processes made in the guest is left there at its end."""
        self._connect = connect
        self._reach = reach
        self._move_id = move_id and move_id.partition(".")[0]
        self._deadlines = deadlines
        self._made = contextlib.ExitStack()
        self._in_guest = contextlib.ExitStack()
        self._cloud: Cloud | None = None
        self._agent: Agent | None = None
        self._shells: list[Shell] = []
        self.vm_cid = vm_cid
        self.listener = _nobody

    def open(self) -> tuple[Cloud, Agent]:
        """Both of them. Raises CpiError, AgentError, what the cloud raises; a later call tries again."""
        return self.cloud, self.agent

    is_ours = False
    """Whether the VM's disk is this move's: then no other one has a user in the guest."""

    @property
    def cloud(self) -> Cloud:  # type: ignore[override]  # opened late
        """The cloud, also of a VM that is gone."""
        if self._cloud is None:
            self._cloud = self._made.enter_context(self._connect())
        return self._cloud

    @property
    def agent(self) -> Agent:  # type: ignore[override]  # opened late
        """The VM's agent."""
        if self._agent is None:
            with contextlib.ExitStack() as made:
                agent = made.enter_context(reached(self._reach, self.cloud, self.vm_cid, made, self._deadlines))
                self._made.enter_context(made.pop_all())
                self._agent = agent
        return self._agent

    @property
    def shell(self) -> Shell | None:  # type: ignore[override]  # opened late
        """A root shell in the guest; None if the agent offers none."""
        if not self._shells:
            with contextlib.suppress(AgentUnknownMessage):
                self._shells.append(self._in_guest.enter_context(shell_by_agent(self.agent, move_id=self._move_id)))
        return self._shells[0] if self._shells else None

    def leave_guest(self) -> None:
        """Let go of the shell; the next one who needs it is let in anew."""
        self._shells.clear()
        self._in_guest.pop_all().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None and self._move_id is not None and self.is_ours and not self._shells:
            # a process that was killed may have left one, and no step has needed the shell, or even the agent, since
            with contextlib.suppress(errors.Error):
                remove_users(self.agent)
        with self._made:
            self._in_guest.close()


def _nobody(progress: Progress) -> None:
    """No process listens yet."""
