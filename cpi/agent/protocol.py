"""The BOSH agent's messages as typed methods, over any transport.

A request is {"protocol": 3, "method", "arguments"}; a transport adds where the answer shall go. The answer is {"value"} or
{"exception": {"message"}}. Long work answers with a task first, and is asked for with get_task until it is done.
"""

import contextlib
import re
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self, TypeVar

import msgspec

from cpi.agent.errors import AgentError, AgentTaskFailed, AgentTimeout, AgentUnknownMessage, AgentUnreachable
from cpi.contract.encoding import from_plain
from cpi.contract.ids import DiskCid
from cpi.contract.model import DiskHint
from cpi.kit.retrying import repeated
from cpi.kit.waiting import Overdue, wait_until

T = TypeVar("T")

PROTOCOL: Final = 3

_TASK_FAULT = re.compile(r"^Action Failed \w+: (?:Task \S+ result: )?", re.ASCII)
_PING_SECONDS: Final = 5.0
_FIRST_POLL_SECONDS: Final = 0.02
_LONGEST_POLL_SECONDS: Final = 1.0
_ATTEMPTS: Final = {"get_task": 5, "get_state": 3, "ping": 2}
_LOST: Final = (AgentTimeout, AgentUnreachable)


class Transport(Protocol):
    """How documents get to one agent and back."""

    def exchange(self, request: Mapping[str, Any], deadline_seconds: float) -> Mapping[str, Any]:
        """The agent's answer to one request. Raises AgentTimeout, AgentUnreachable."""

    def close(self) -> None:
        """Let go of connections."""


class Deadlines(msgspec.Struct, frozen=True):
    """How long an agent may take, in seconds."""

    message: float = 45
    """Until it answers a message: what a director grants."""

    ready: float = 600
    """Until it answers at all, in a VM that boots."""

    task: float = 3600
    """Until a task is done: a script, a drain, a stop, a mount with its mkfs."""

    start: float = 600
    """Until the jobs run that it was told to start."""

    copy: float = 7 * 24 * 3600
    """Until migrate_disk has copied a disk."""


class Process(msgspec.Struct, frozen=True):
    """One process of a job, as the agent's supervisor sees it."""

    name: str
    state: str = ""


class AgentState(msgspec.Struct, frozen=True):
    """What an agent says of its VM."""

    job_state: str
    """running, starting, failing, stopped, or unknown."""

    processes: tuple[Process, ...]
    vitals: Mapping[str, Any]
    document: Mapping[str, Any]
    """The answer as it came: the applied spec with the above in it."""


class Executed(msgspec.Struct, frozen=True):
    """What a command said in the guest; bytes that are no UTF-8 come as lone surrogates."""

    status: int
    stdout: str
    stderr: str


class _ToldState(msgspec.Struct, frozen=True):
    job_state: str | None = None
    processes: tuple[Process, ...] | None = None
    vitals: dict[str, Any] | None = None


class Agent:
    """One VM's agent. Any number of threads may use it; every method raises AgentError."""

    def __init__(self, transport: Transport, deadlines: Deadlines | None = None) -> None:
        self._transport = transport
        self.deadlines = deadlines or Deadlines()

    def __repr__(self) -> str:
        return f"Agent({self._transport!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of connections; the agent goes on."""
        self._transport.close()

    # ------------------------------------------------------------------ is it there

    def ping(self, deadline_seconds: float = _PING_SECONDS) -> None:
        """Make sure that it answers. Asked twice: the first message after a start can get lost."""
        self._asked("ping", deadline_seconds=deadline_seconds)

    def wait_until_ready(self, deadline_seconds: float | None = None) -> None:
        """Ping until it answers. Raises AgentUnreachable with the last fault."""
        deadline = deadline_seconds if deadline_seconds is not None else self.deadlines.ready
        last: list[AgentError] = []

        def answers() -> bool:
            try:
                # briefly at first: what is asked on a bus before the agent is there gets lost
                self.ping(min(_PING_SECONDS, 1 + len(last), max(deadline, 1)))
            except _LOST as error:
                last.append(error)
                return False
            return True

        try:
            wait_until(answers, "the agent", deadline_seconds=deadline, longest_pause_seconds=1)
        except Overdue as error:
            raise AgentUnreachable(f"the agent was not ready within {deadline:g} s: {last[-1]}") from error

    def info(self) -> Mapping[str, Any]:
        """What it says of itself: api_version."""
        return _shaped("info", self._asked("info"), dict[str, Any])

    def get_state(self, *, full: bool = False) -> AgentState:
        """The state of its jobs; full has the VM's vitals as well."""
        document = _shaped("get_state", self._asked("get_state", *(["full"] if full else [])), dict[str, Any])
        told = _shaped("get_state", document, _ToldState)
        return AgentState(told.job_state or "unknown", told.processes or (), told.vitals or {}, document)

    # ------------------------------------------------------------------ jobs

    def prepare(self, spec: Mapping[str, Any]) -> None:
        """Fetch what spec needs, without using it yet."""
        self._done("prepare", spec)

    def apply(self, spec: Mapping[str, Any]) -> None:
        """Make spec the one that the jobs run by."""
        self._done("apply", spec)

    def start(self) -> None:
        """Start the jobs; whether they run is told by get_state."""
        self._done("start")

    def stop(self) -> None:
        """Stop the jobs."""
        self._done("stop")

    def drain(self, kind: Literal["shutdown", "update", "status"] = "shutdown", spec: Mapping[str, Any] | None = None) -> int:
        """Tell the jobs that they will be stopped: wait so many seconds, or ask "status" after -N of them."""
        return _shaped("drain", self._done("drain", kind, *([spec] if spec is not None else [])), int)

    def run_script(self, name: str, env: Mapping[str, str] | None = None) -> None:
        """Run the script of that name of every job that has one."""
        self._done("run_script", name, {"env": dict(env)} if env else {})

    # ------------------------------------------------------------------ disks

    def list_disk(self) -> tuple[DiskCid, ...]:
        """The persistent disks that are mounted. An agent does one task after another: this waits for those under way."""
        answer = self._done("list_disk", deadline_seconds=self.deadlines.copy)
        return _shaped("list_disk", answer, tuple[DiskCid, ...])

    def add_persistent_disk(self, disk_cid: DiskCid, hint: DiskHint) -> None:
        """Tell it how to find a disk. An agent that does not know the message reads its settings instead."""
        self._done_if_known("add_persistent_disk", str(disk_cid), hint.to_wire())

    def remove_persistent_disk(self, disk_cid: DiskCid) -> None:
        """Make it forget a disk."""
        self._done_if_known("remove_persistent_disk", str(disk_cid))

    def add_dynamic_disk(self, disk_cid: DiskCid, hint: DiskHint) -> None:
        """Tell it of a disk that a job asked for while it runs: the agent links it, and mounts nothing (RFC 53)."""
        self._done("add_dynamic_disk", str(disk_cid), hint.to_wire())

    def remove_dynamic_disk(self, disk_cid: DiskCid) -> None:
        """Make it take the link away."""
        self._done("remove_dynamic_disk", str(disk_cid))

    def mount_disk(self, disk_cid: DiskCid) -> None:
        """Mount a disk as the store, or beside it if there is one; make or grow its filesystem."""
        self._done("mount_disk", str(disk_cid))

    def unmount_disk(self, disk_cid: DiskCid) -> None:
        """Unmount a disk."""
        self._done("unmount_disk", str(disk_cid))

    def migrate_disk(self, old: DiskCid, new: DiskCid) -> None:
        """Copy the store to the disk mounted beside it, and put that in its place."""
        self._done("migrate_disk", str(old), str(new), deadline_seconds=self.deadlines.copy)

    # ------------------------------------------------------------------ settings and tasks

    def update_settings(self, settings: Mapping[str, Any]) -> None:
        """Lay settings over those it was born with."""
        self._done("update_settings", settings)

    def get_task(self, task_id: str) -> Any:
        """What a task answered, or its running marker. Raises AgentTaskFailed."""
        return self._asked("get_task", task_id)

    def cancel_task(self, task_id: str) -> None:
        """Ask for a task to be given up; few can be."""
        self._asked("cancel_task", task_id)

    # ------------------------------------------------------------------ a way into the guest

    def ssh(self, command: Literal["setup", "cleanup"], parameters: Mapping[str, str]) -> dict[str, Any]:
        """Make a user that a key lets in, or remove such users. cpi.agent.shell does both."""
        return _shaped("ssh", self._asked("ssh", command, dict(parameters)), dict[str, Any])

    def exec(self, command: Sequence[str], stdin: str, deadline_seconds: float) -> Executed:
        """Run a command in the guest; only agents know this that offer it as the answer to ssh. Overdue, it is ended there."""
        answer = self._asked("exec", list(command), stdin)
        task_id = _task_in(answer)
        if task_id is not None:
            try:
                answer = self._awaited("exec", task_id, deadline_seconds)
            except AgentTimeout:
                with contextlib.suppress(AgentError):
                    self.cancel_task(task_id)
                raise
        return _shaped("exec", answer, Executed)

    # ------------------------------------------------------------------ how

    def _done_if_known(self, method: str, *arguments: object) -> None:
        try:
            self._done(method, *arguments)
        except AgentUnknownMessage:
            return

    def _done(self, method: str, *arguments: object, deadline_seconds: float | None = None) -> Any:
        answer = self._asked(method, *arguments)
        task_id = _task_in(answer)
        if task_id is None:
            return answer
        deadline = deadline_seconds if deadline_seconds is not None else self.deadlines.task
        return self._awaited(method, task_id, deadline)

    def _awaited(self, method: str, task_id: str, deadline_seconds: float) -> Any:
        def finished() -> tuple[Any] | None:
            answer = self.get_task(task_id)
            return None if _task_in(answer) else (answer,)

        try:
            (answer,) = wait_until(
                finished,
                method,
                deadline_seconds=deadline_seconds,
                first_pause_seconds=_FIRST_POLL_SECONDS,
                longest_pause_seconds=_LONGEST_POLL_SECONDS,
            )
        except AgentTaskFailed as error:
            raise AgentTaskFailed(f"{method}: {error.message.removeprefix('get_task: ')}") from error
        except Overdue as error:
            raise AgentTimeout(f"{method}: the agent's task {task_id} was not done within {deadline_seconds:g} s") from error
        return answer

    def _asked(self, method: str, *arguments: object, deadline_seconds: float | None = None) -> Any:
        deadline = deadline_seconds if deadline_seconds is not None else self.deadlines.message
        request = {"protocol": PROTOCOL, "method": method, "arguments": list(arguments)}
        reply = repeated(lambda: self._transport.exchange(request, deadline), on=_LOST, attempts=_ATTEMPTS.get(method, 1))
        return _value(method, reply)


def _value(method: str, reply: Mapping[str, Any]) -> Any:
    exception = reply.get("exception")
    if exception is None:
        if "value" not in reply:
            raise AgentTaskFailed(f"{method}: the agent answered neither a value nor an exception")
        return reply["value"]
    message = str(exception.get("message", exception)) if isinstance(exception, Mapping) else str(exception)
    if message.startswith("unknown message"):
        raise AgentUnknownMessage(f"the agent does not know the message {method}")
    raise AgentTaskFailed(f"{method}: {_TASK_FAULT.sub('', message)}")


def _task_in(answer: object) -> str | None:
    if isinstance(answer, Mapping) and answer.get("state") == "running" and "agent_task_id" in answer:
        return str(answer["agent_task_id"])
    return None


def _shaped(method: str, answer: object, wanted: type[T]) -> T:
    try:
        return from_plain(answer, wanted)
    except msgspec.ValidationError as error:
        raise AgentTaskFailed(f"{method}: invalid answer from the agent: {error}") from error
