"""From an entry to a cloud and an agent to talk to, opened when they are first needed."""

import contextlib
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlsplit

from cpi import connecting
from cpi.agent import https
from cpi.agent.errors import AgentUnknownMessage
from cpi.agent.protocol import Agent, Deadlines
from cpi.agent.shell import Shell, shell_by_agent
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.ids import VmCid
from cpi.contract.operator import ShowsAgentSettings
from cpi.migration.disks import Site
from cpi.migration.durable.entry import Entry, Reach
from cpi.migration.report import Progress


class EntrySite(Site):
    """The VM of an entry. A configuration that can not be read is told by whoever asks first."""

    def __init__(self, entry: Entry, deadlines: Deadlines | None = None) -> None:
        self._entry = entry
        self._deadlines = deadlines
        self._made = contextlib.ExitStack()
        self._parts: tuple[Cloud, Agent] | None = None
        self._shells: list[Shell] = []
        self.vm_cid = VmCid(entry.vm)
        self.listener = _nobody

    def open(self) -> tuple[Cloud, Agent]:
        """Both of them. Raises CpiError, AgentError, what the cloud raises; a later call tries again."""
        if self._parts is None:
            with contextlib.ExitStack() as made:
                cloud = made.enter_context(connecting.connect(self._entry.config))
                agent = made.enter_context(reached(self._entry.agent, cloud, self.vm_cid, made, self._deadlines))
                self._made, self._parts = made.pop_all(), (cloud, agent)
        return self._parts

    @property
    def cloud(self) -> Cloud:  # type: ignore[override]  # opened late
        """The cloud."""
        return self.open()[0]

    @property
    def agent(self) -> Agent:  # type: ignore[override]  # opened late
        """The VM's agent."""
        return self.open()[1]

    @property
    def shell(self) -> Shell | None:  # type: ignore[override]  # opened late
        """A root shell in the guest; None if the agent offers none."""
        if not self._shells:
            with contextlib.suppress(AgentUnknownMessage):
                self._shells.append(self._made.enter_context(shell_by_agent(self.agent)))
        return self._shells[0] if self._shells else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._made.close()


def reached(reach: Reach, cloud: Cloud, vm_cid: VmCid, made: contextlib.ExitStack, deadlines: Deadlines | None = None) -> Agent:
    """The agent of a VM. Raises CpiError if nothing says how to reach it; made keeps what has to be closed after it."""
    if reach.url is None:
        return _by_cloud(cloud, vm_cid, deadlines)
    if urlsplit(reach.url).scheme == "https":
        return _by_https(reach, deadlines)
    return _by_bus(reach, made, deadlines)


def _by_cloud(cloud: Cloud, vm_cid: VmCid, deadlines: Deadlines | None) -> Agent:
    if not isinstance(cloud, ShowsAgentSettings):
        raise errors.CpiError(
            f"the driver {cloud.name} can not tell how its agents are reached: name the agent's URL (--agent-url)"
        )
    return https.from_settings(cloud.agent_settings(vm_cid), deadlines)


def _by_https(reach: Reach, deadlines: Deadlines | None) -> Agent:
    user, colon, password = _text(reach.login).strip().partition(":")
    if not (user and colon and password):
        raise errors.CpiError(f"{reach.login} does not hold USER:PASSWORD")
    address = urlsplit(reach.url or "")
    where = address._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{address.netloc}").geturl()
    return Agent(https.HttpsTransport(where, _text(reach.ca) if reach.ca else None), deadlines)


def _by_bus(reach: Reach, made: contextlib.ExitStack, deadlines: Deadlines | None) -> Agent:
    from cpi.agent.nats import BusTls, NatsBus

    tls = None
    if reach.ca is not None:
        tls = BusTls(ca_certificate=_text(reach.ca), certificate=_text(reach.certificate), private_key=_text(reach.key))
    bus = made.enter_context(NatsBus([reach.url or ""], tls))
    return bus.agent(reach.agent_id or "", deadlines)


def _text(path: str | None) -> str:
    if path is None:
        raise errors.CpiError("the agent's certificate, key or login file is not named")
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise errors.CpiError(f"{path} can not be read: {reason}") from error


def _nobody(progress: Progress) -> None:
    """Nobody listens yet."""
