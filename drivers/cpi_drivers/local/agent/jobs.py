"""The jobs of an apply spec: read, checked all at once, and put in order."""

import enum
import graphlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from cpi.contract.errors import CpiError
from cpi.kit.settings import read_settings
from cpi_drivers.local.agent.faults import Fault

_CONTAINER_KEYS: Final = ("image", "dockerfile")


class Restart(enum.StrEnum):
    """What becomes of a job that ended."""

    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    NEVER = "no"

    def follows(self, status: int) -> bool:
        """Whether the job is started again after an end with this status."""
        return self is Restart.ALWAYS or (self is Restart.ON_FAILURE and status != 0)


class Drain(msgspec.Struct, frozen=True):
    """What lets a job finish its work before it is stopped; the last line it prints is the seconds still to wait."""

    command: tuple[str, ...]


class Job(msgspec.Struct, frozen=True):
    """One supervised process."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str] = {}
    depends_on: tuple[str, ...] = ()
    working_directory: str | None = None
    drain: Drain | None = None
    stop_grace_seconds: float = 10
    pidfile: str | None = None
    """The job runs once this file names a living process."""

    stop: tuple[str, ...] = ()
    """What is run to stop it, before its processes are told to end."""

    restart: Restart = Restart.ALWAYS
    well: str | None = None
    """Of a container: it runs once this file holds the number of its process, which ends all others when it gets SIGTERM.
    It is stopped, and started again, when a job dies that it depends on."""

    description: str = ""
    """Of a container: what it was made from; one that is described otherwise is another."""

    def __post_init__(self) -> None:
        if not self.name or self.name.startswith(".") or "/" in self.name:
            raise ValueError(f"{self.name!r} cannot be the name of a job: it names its log file")
        if not self.command or (self.drain is not None and not self.drain.command):
            raise ValueError(f"a command of job {self.name} is empty")
        if self.stop_grace_seconds < 0:
            raise ValueError(f"stop_grace_seconds of job {self.name} is negative")


def documents_of(spec: Mapping[str, Any]) -> Sequence[Any]:
    """What a spec says of its jobs. Raises Fault if it is no list."""
    documents = spec.get("jobs") or []
    if not isinstance(documents, Sequence) or isinstance(documents, str):
        raise Fault("the spec's jobs must be a list")
    return documents


def is_container(document: Any) -> bool:
    """Whether a job of a spec is a container, and no process."""
    return isinstance(document, Mapping) and any(key in document for key in _CONTAINER_KEYS)


def read_jobs(spec: Mapping[str, Any]) -> tuple[Job, ...]:
    """The processes of a spec, which may depend on its containers. Raises Fault for what cannot be run."""
    jobs: dict[str, Job] = {}
    for index, document in enumerate(documents_of(spec)):
        if is_container(document):
            continue
        try:
            job = read_settings(Job, document, f"jobs[{index}]")
        except CpiError as error:
            raise Fault(f"the spec's jobs: {error}") from error
        if job.name in jobs:
            raise Fault(f"the spec has two jobs named {job.name}")
        jobs[job.name] = job
    return tuple(jobs.values())


def in_order(jobs: Sequence[Job]) -> tuple[Job, ...]:
    """Each after those it depends on. Raises Fault for two of one name, and for what they depend on and is not there."""
    by_name = {job.name: job for job in jobs}
    if len(by_name) < len(jobs):
        names = [job.name for job in jobs]
        raise Fault(f"there are two processes named {', '.join(sorted({name for name in names if names.count(name) > 1}))}")
    return tuple(by_name[name] for name in _in_order(by_name))


def _in_order(jobs: Mapping[str, Job]) -> list[str]:
    for job in jobs.values():
        unknown = [name for name in job.depends_on if name not in jobs]
        if unknown:
            raise Fault(f"job {job.name} depends on {', '.join(unknown)}, which the spec does not have; it has {', '.join(jobs)}")
    try:
        return list(graphlib.TopologicalSorter({job.name: job.depends_on for job in jobs.values()}).static_order())
    except graphlib.CycleError as error:
        raise Fault(f"jobs depend on each other in a circle: {' -> '.join(error.args[1])}") from error
