"""Container jobs as a spec describes them: read, and checked together with all faults in one error. Pure."""

import graphlib
import re
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from cpi.contract.errors import CpiError
from cpi.kit.settings import Secret, read_settings
from cpi_drivers.local.agent.containers.mappings import Port, Volume, read_port, read_volume
from cpi_drivers.local.agent.faults import Fault
from cpi_drivers.local.agent.jobs import Drain, Restart, is_container

_NAME: Final = re.compile(r"[a-z0-9][a-zA-Z0-9_.-]{0,62}")
_MEMORY: Final = re.compile(r"[1-9][0-9]*[bkmgBKMG]?")
_LARGEST_PORT: Final = 65535


class HealthCheck(msgspec.Struct, frozen=True):
    """What says that a container is well: a command in it that ends with 0, or a port on which it takes connections."""

    command: tuple[str, ...] = ()
    port: int | None = None
    interval: float = 2
    timeout: float = 5
    retries: int = 3
    """So many looks in a row must fail before a container that was well is started again."""

    start_period: float = 30
    """Within so many seconds it has to be well for the first time."""

    def __post_init__(self) -> None:
        if bool(self.command) == (self.port is not None):
            raise ValueError("health needs either a command or a port")
        if self.port is not None and not 0 < self.port <= _LARGEST_PORT:
            raise ValueError(f"{self.port} is no port")
        if min(self.interval, self.timeout, self.start_period) <= 0 or self.retries < 1:
            raise ValueError("interval, timeout and start_period are more than 0 seconds, retries at least 1")


class Registry(msgspec.Struct, frozen=True):
    """Where an image is pulled from."""

    server: str = ""
    username: str = ""
    password: Secret | None = None
    mirrors: tuple[str, ...] = ()
    ca: str = ""
    """A PEM file of the authority that signed the registry's certificate."""

    def __post_init__(self) -> None:
        if bool(self.username) != (self.password is not None):
            raise ValueError("username and password go together")
        if (self.username or self.mirrors) and not self.server:
            raise ValueError("server is missing: it says whose credentials and mirrors these are")


class Container(msgspec.Struct, frozen=True):
    """One container."""

    name: str
    image: str = ""
    """A reference, an archive (an absolute path to a file), or the root folder of a container (an absolute path to a folder)."""

    dockerfile: str = ""
    """The absolute path of a Dockerfile, or its text."""

    context: str = ""
    """The folder that is sent to the build; by default that of the Dockerfile."""

    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    env: Mapping[str, str] = {}
    bind_ports: tuple[str, ...] = ()
    bind_volumes: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    user: str = ""
    memory: str = ""
    cpu_shares: int | None = None
    restart: Restart = Restart.ALWAYS
    registry: Registry | None = None
    stop_signal: str = ""
    stop_grace: float = 10
    health: HealthCheck | None = None
    drain: Drain | None = None

    def __post_init__(self) -> None:
        faults = [
            *([] if _NAME.fullmatch(self.name) else [f"{self.name!r} cannot be the name of a container"]),
            *([] if bool(self.image) != bool(self.dockerfile) else ["either image or dockerfile is needed"]),
            *([f"memory {self.memory!r} is no size, as 256m"] if self.memory and not _MEMORY.fullmatch(self.memory) else []),
            *([] if self.cpu_shares is None or self.cpu_shares > 1 else ["cpu_shares is at least 2"]),
            *([] if not self.stop_signal or signal_of(self.stop_signal) else [f"stop_signal {self.stop_signal!r} is unknown"]),
            *(["stop_grace is negative"] if self.stop_grace < 0 else []),
            *(f"{name!r} cannot be the name of a variable" for name in self.env if not name or "=" in name or "\0" in name),
            *_faults_of(read_port, self.bind_ports),
            *_faults_of(read_volume, self.bind_volumes),
        ]
        if faults:
            raise ValueError("; ".join(faults))

    def ports(self) -> tuple[Port, ...]:
        """bind_ports, read."""
        return tuple(map(read_port, self.bind_ports))

    def volumes(self) -> tuple[Volume, ...]:
        """bind_volumes, read."""
        return tuple(map(read_volume, self.bind_volumes))


def signal_of(name: str) -> int | None:
    """SIGINT, INT or 2. None for what is none."""
    word = name.upper().removeprefix("SIG")
    if word.isascii() and word.isdigit():
        return int(word) if 0 < int(word) < signal.NSIG else None
    return getattr(signal.Signals, f"SIG{word}", None) if word.isalnum() else None


def _faults_of(read: Callable[[str], object], texts: Sequence[str]) -> list[str]:
    faults = []
    for text in texts:
        try:
            read(text)
        except ValueError as error:
            faults.append(str(error))
    return faults


def read_container(document: Any, where: str = "container") -> Container:
    """One container. Raises Fault with all its faults."""
    try:
        return read_settings(Container, document, where)
    except CpiError as error:
        raise Fault(str(error)) from error


def read_containers(documents: Sequence[Any], processes: Mapping[str, Sequence[str]]) -> tuple[Container, ...]:
    """The containers among the jobs of a spec, beside these processes and what they depend on. Raises Fault with all faults."""
    containers: list[Container] = []
    faults: list[str] = []
    for index, document in enumerate(documents):
        if not is_container(document):
            continue
        try:
            containers.append(read_container(document, f"jobs[{index}]"))
        except Fault as fault:
            faults += [line.strip() for line in str(fault).splitlines()[1:]]
    faults += [*_names_taken(containers, processes), *_ports_taken(containers), *_dependencies(containers, processes, documents)]
    if faults:
        raise Fault("the spec's containers have faults:\n" + "\n".join(f"  {fault}" for fault in faults))
    return tuple(containers)


def _names_taken(containers: Sequence[Container], processes: Mapping[str, Sequence[str]]) -> list[str]:
    names = [*processes, *(container.name for container in containers)]
    return [f"the spec has two jobs named {name}" for name in dict.fromkeys(names) if names.count(name) > 1]


def _ports_taken(containers: Sequence[Container]) -> list[str]:
    holders: dict[int, str] = {}
    faults = []
    for container in containers:
        for port in container.ports():
            if port.host in holders:
                faults.append(f"port {port.host} is bound by {holders[port.host]} and by {container.name}")
            holders[port.host] = container.name
    return faults


def _dependencies(containers: Sequence[Container], processes: Mapping[str, Sequence[str]], documents: Sequence[Any]) -> list[str]:
    graph = {name: list(needed) for name, needed in processes.items()}
    for container in containers:
        graph.setdefault(container.name, []).extend(container.depends_on)
    # one that has faults of its own is there all the same
    known = {*graph, *(str(document.get("name")) for document in documents if isinstance(document, Mapping))}
    faults = [
        f"container {container.name} depends on {name}, which the spec does not have; it has {', '.join(sorted(known))}"
        for container in containers
        for name in container.depends_on
        if name not in known
    ]
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        faults.append(f"jobs depend on each other in a circle: {' -> '.join(error.args[1])}")
    return faults
