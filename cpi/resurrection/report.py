"""What is told of a recreation."""

from enum import Enum

import msgspec

from cpi.contract.ids import VmCid


class Verdict(Enum):
    """What was found when an agent was silent."""

    MISSING = "missing VM"
    UNRESPONSIVE = "unresponsive agent"


class Standing(Enum):
    """How a recreation ended."""

    RECREATED = "recreated"
    ALIVE = "alive"
    """The agent answered after all: nothing was done."""

    FAILED = "failed"


class Order(msgspec.Struct, frozen=True):
    """Which instance is to be recreated, as it is kept: nothing secret."""

    file: str
    """The instances file, absolute: a process that takes the work up reads it there."""

    name: str
    vm: VmCid
    """The VM that is replaced."""

    plugin: str
    verdict: Verdict
    group: str = ""
    agent_id: str | None = None
    down_since: float | None = None
    """When it was heard last, in seconds since 1970."""

    ask: bool = True
    """Whether an agent that answers after all is left alone."""

    wait: bool = True
    """Whether the jobs have to run in the end; otherwise they are only started."""


class StepTime(msgspec.Struct, frozen=True):
    """One step that was done."""

    name: str
    began: float
    """Seconds since 1970."""

    seconds: float


class Report(msgspec.Struct, frozen=True):
    """How a recreation ended, as it is kept."""

    standing: Standing
    ended: float
    """Seconds since 1970."""

    vm: VmCid | None = None
    """The VM that was made."""

    agent_id: str | None = None
    message: str = ""
    failed_step: str = ""
    jobs_down_seconds: float | None = None
    steps: tuple[StepTime, ...] = ()
