"""From an entry to a cloud and an agent to talk to, opened when they are first needed."""

import contextlib
from types import TracebackType
from typing import Self

from cpi import connecting
from cpi.agent.errors import AgentUnknownMessage
from cpi.agent.protocol import Agent, Deadlines
from cpi.agent.reaching import reached
from cpi.agent.shell import Shell, remove_users, shell_by_agent
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import VmCid
from cpi.migration.disks import Site
from cpi.migration.durable.entry import Entry
from cpi.migration.report import Progress


class EntrySite(Site):
    """The VM of an entry. A configuration that cannot be read is told by whoever asks first."""

    def __init__(self, entry: Entry, deadlines: Deadlines | None = None, move_id: str | None = None) -> None:
        """With the id of a move, no user that any of its processes made in the guest is left there at its end."""
        self._entry = entry
        self._move_id = move_id and move_id.partition(".")[0]
        self._deadlines = deadlines
        self._made = contextlib.ExitStack()
        self._cloud: Cloud | None = None
        self._agent: Agent | None = None
        self._shells: list[Shell] = []
        self.vm_cid = VmCid(entry.vm)
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
            self._cloud = self._made.enter_context(connecting.connect(self._entry.config))
        return self._cloud

    @property
    def agent(self) -> Agent:  # type: ignore[override]  # opened late
        """The VM's agent."""
        if self._agent is None:
            with contextlib.ExitStack() as made:
                agent = made.enter_context(reached(self._entry.agent, self.cloud, self.vm_cid, made, self._deadlines))
                self._made.enter_context(made.pop_all())
                self._agent = agent
        return self._agent

    @property
    def shell(self) -> Shell | None:  # type: ignore[override]  # opened late
        """A root shell in the guest; None if the agent offers none."""
        if not self._shells:
            with contextlib.suppress(AgentUnknownMessage):
                self._shells.append(self._made.enter_context(shell_by_agent(self.agent, move_id=self._move_id)))
        return self._shells[0] if self._shells else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None and self._move_id is not None and self.is_ours and not self._shells:
            # a process that was killed may have left one, and no step has needed the shell, or even the agent, since
            with contextlib.suppress(errors.Error):
                remove_users(self.agent)
        self._made.close()


def _nobody(progress: Progress) -> None:
    """Nobody listens yet."""
