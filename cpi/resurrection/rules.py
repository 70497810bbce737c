"""What an operator may say about watching: how long silence may last, and when nothing is to be recreated."""

import msgspec

from cpi.resurrection.growth.policy import Policy


def _positive(**figures: float) -> None:
    for name, figure in figures.items():
        if not figure > 0:
            raise ValueError(f"{name} must be more than 0, got {figure:g}")


def _at_least_one(**figures: int) -> None:
    for name, figure in figures.items():
        if figure < 1:
            raise ValueError(f"{name} must be at least 1, got {figure}")


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for the instances of one group."""

    resurrect: bool = True
    """Whether they are recreated; otherwise there are only alerts."""

    stateful: bool = True
    """Whether those with a persistent disk are recreated too."""

    at_once: int = 1
    """How many may be under way at the same time."""

    grow: Policy | None = None
    """How their disks grow by themselves; None: they do not."""

    def __post_init__(self) -> None:
        _at_least_one(at_once=self.at_once)


class Meltdown(msgspec.Struct, frozen=True, kw_only=True):
    """When so many are down that it is not them: as a BOSH director's resurrector has it, in the whole file."""

    count: int = 5
    percent: float = 20
    within: float = 600
    """Down now, or at any time in so many seconds."""

    def __post_init__(self) -> None:
        _at_least_one(count=self.count)
        _positive(percent=self.percent, within=self.within)


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """How long what keeps dying is left alone, in seconds: first, then twice as long each time, at most longest."""

    first: float = 30
    longest: float = 3600
    forget: float = 3600
    """What happened longer ago does not count."""

    def __post_init__(self) -> None:
        _positive(first=self.first, longest=self.longest, forget=self.forget)

    def seconds(self, tries: int) -> float:
        """How long after the last of so many tries the next one may begin."""
        return min(self.first * 2 ** min(tries - 1, 60), self.longest) if tries else 0.0


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How instances are watched. Seconds."""

    agent_timeout: float = 60
    """An agent that was not heard for so long is asked for."""

    ready: float = 600
    """How long the agent of a VM that boots may take to answer."""

    start: float = 600
    """How long the jobs may take to run once they are started."""

    meltdown: Meltdown = Meltdown()
    backoff: Backoff = Backoff()

    def __post_init__(self) -> None:
        _positive(agent_timeout=self.agent_timeout, ready=self.ready, start=self.start)

    @property
    def between_pings(self) -> float:
        """How often an agent is asked that is not heard by itself."""
        return min(self.agent_timeout / 4, 15.0)

    @property
    def suspicious(self) -> float:
        """After how long a silence it is asked, and counts for a meltdown."""
        return self.agent_timeout / 2
