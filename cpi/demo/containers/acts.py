"""The acts of the demonstration with containers, one after the other."""

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil

from cpi.agent.jobs import start
from cpi.agent.shell import shell_by_agent
from cpi.contract import errors
from cpi.contract.ids import DiskCid, StemcellCid
from cpi.contract.units import MiB
from cpi.demo.acts import Scene, Watcher
from cpi.demo.client import Writer
from cpi.demo.containers.clients import Pinger, PostgresWriter, RedisWriter
from cpi.demo.containers.images import postgres_root, redis_root
from cpi.demo.stage import Guest, Stage
from cpi.demo.watching import killed_and_back
from cpi.migration import migrate_disk

SIZE: Final = MiB(256)
LARGER: Final = MiB(512)
SMALLER: Final = MiB(192)
REDIS_PORT: Final = 6379
REPLICA_PORT: Final = 6380
POSTGRES_PORT: Final = 5432
_ROWS_BETWEEN: Final = 50
_DOWN_SECONDS: Final = 0.25


class ContainerScene(Scene):
    """What an act has come to; before the services run it begins before 0."""

    began: float = -1
    down: Mapping[str, float] = {}
    """The longest that each service did not answer, in seconds."""


class Service(msgspec.Struct, frozen=True):
    """A container as its client saw it: what was acknowledged, what is lost, and when it did not answer."""

    name: str
    acknowledged: int
    lost: int
    silences: tuple[tuple[float, float], ...]
    is_database: bool = True


class Outcome(msgspec.Struct, frozen=True):
    """The demonstration as a whole; times are in seconds since the services ran."""

    scenes: tuple[ContainerScene, ...]
    services: tuple[Service, ...]
    seconds: float

    @property
    def rows_lost(self) -> int:
        """Of all services."""
        return sum(service.lost for service in self.services)


def redis_spec(image: Path) -> dict[str, Any]:
    """A Redis that has each row on its disk before it answers, and a second one that follows it."""
    program = ["redis-server", "--bind", "$(BOSH_ADDRESS)", "--protected-mode", "no", "--dir", "/data"]
    common = {"image": str(image), "user": "data", "bind_volumes": ["/data"], "stop_grace": 20}
    first = {
        **common,
        "name": "redis",
        "command": [*program, "--port", str(REDIS_PORT), "--appendonly", "yes", "--appendfsync", "always", "--save", ""],
        "bind_ports": [str(REDIS_PORT)],
        "health": {"port": REDIS_PORT, "interval": 0.5},
    }
    second = {
        **common,
        "name": "replica",
        "command": [*program, "--port", str(REPLICA_PORT), "--save", "", "--replicaof", "$(BOSH_ADDRESS)", str(REDIS_PORT)],
        "bind_ports": [str(REPLICA_PORT)],
        "depends_on": ["redis"],
        "health": {"port": REPLICA_PORT, "interval": 0.5},
    }
    return {"deployment": "demo", "jobs": [first, second]}


def postgres_spec(image: Path) -> dict[str, Any]:
    """A PostgreSQL; SIGINT stops it without waiting for its clients."""
    job = {
        "name": "postgres",
        "image": str(image),
        "command": ["/run-postgres"],
        "env": {"PORT": str(POSTGRES_PORT)},
        "user": "data",
        "bind_ports": [str(POSTGRES_PORT)],
        "bind_volumes": ["/data"],
        "health": {"port": POSTGRES_PORT, "interval": 0.5},
        "stop_signal": "SIGINT",
        "stop_grace": 20,
    }
    return {"deployment": "demo", "jobs": [job]}


class House(msgspec.Struct):
    """A VM with its disk and its containers."""

    guest: Guest
    disk_cid: DiskCid
    spec: Mapping[str, Any]


def perform(stage: Stage, watcher: Watcher) -> Outcome:
    """Every act in order, then the count. Raises cpi.Error; what was made is still there, however this ends."""
    play = _Play(watcher)
    with play.act("make the images"):
        specs = redis_spec(redis_root()), postgres_spec(postgres_root())
    with play.act("make two VMs with their disks, and start three containers"):
        stemcell_cid = stage.make_stemcell()
        first, second = (_made(stage, stemcell_cid, spec) for spec in specs)
    writers: dict[str, Writer] = {
        "redis": RedisWriter(first.guest.address, REDIS_PORT),
        "replica": Pinger(first.guest.address, REPLICA_PORT),
        "postgres": PostgresWriter(second.guest.address, POSTGRES_PORT),
    }
    with ExitStack() as ending:
        for writer in writers.values():
            writer.start()
            ending.callback(writer.stop)
        play.look_at(writers)
        with play.act("kill the process of redis", "redis", "replica"):
            _kill(stage, first.guest, "redis-server", str(REDIS_PORT))
        with play.act("kill the engine under postgres", "postgres"):
            _kill(stage, second.guest, "conmon")
        with play.act("lose the VM of redis and its replica", "redis", "replica"):
            first.guest = _replaced(stage, first, stemcell_cid)
        for verb, size in (("grow", LARGER), ("shrink", SMALLER)):
            with play.act(f"{verb} the disk of redis to {size} MiB, the containers running", "redis", "replica") as scene:
                _move(stage, first, size, scene, watcher)
    services = tuple(_service(name, writer, play.began) for name, writer in writers.items())
    return Outcome(tuple(play.scenes), services, play.seconds)


def _made(stage: Stage, stemcell_cid: StemcellCid, spec: Mapping[str, Any]) -> House:
    guest = stage.make_vm(stemcell_cid)
    # what cannot be run is refused before a disk is made
    guest.agent.prepare(spec)
    disk_cid = stage.cloud.create_disk(SIZE, {}, guest.vm_cid)
    stage.attach(guest, disk_cid)
    guest.agent.apply(spec)
    start(guest.agent)
    return House(guest, disk_cid, spec)


def _kill(stage: Stage, guest: Guest, name: str, word: str = "") -> None:
    found = [process for process in stage.processes_of(guest) if _is_it(process, name, word)]
    if not found:
        raise errors.CloudError(f"there is no process {name} to kill")
    os.kill(found[0].pid, signal.SIGKILL)


def _is_it(process: psutil.Process, name: str, word: str) -> bool:
    try:
        return bool(process.name() == name and word in " ".join(process.cmdline()))
    except psutil.Error:
        return False


def _replaced(stage: Stage, house: House, stemcell_cid: StemcellCid) -> Guest:
    return killed_and_back(stage, house.guest, stemcell_cid, house.disk_cid, house.spec)


def _move(stage: Stage, house: House, size: MiB, scene: ContainerScene, watcher: Watcher) -> None:
    guest = house.guest
    with shell_by_agent(guest.agent) as shell:
        report = migrate_disk(
            stage.cloud, guest.agent, guest.vm_cid, house.disk_cid, size, shell=shell, on_event=watcher.happens, strategy="auto"
        )
    house.disk_cid, scene.report = report.disk_cid, report


def _service(name: str, writer: Writer, began: float) -> Service:
    silences = tuple((max(begin - began, 0), end - began) for begin, end in writer.silences(_DOWN_SECONDS))
    if not isinstance(writer, RedisWriter | PostgresWriter):
        return Service(name, writer.acknowledged, 0, silences, is_database=False)
    return Service(name, writer.acknowledged, writer.lost(writer.read()), silences)


class _Play:
    def __init__(self, watcher: Watcher) -> None:
        self.scenes: list[ContainerScene] = []
        self.began = time.monotonic()
        self._watcher = watcher
        self._writers: Mapping[str, Writer] = {}

    @property
    def seconds(self) -> float:
        """Since the services ran."""
        return time.monotonic() - self.began

    def look_at(self, writers: Mapping[str, Writer]) -> None:
        """From here on, how long each service does not answer is measured."""
        for writer in writers.values():
            writer.wait_for_more(_ROWS_BETWEEN)
        self._writers = writers
        self.began = time.monotonic()

    @contextmanager
    def act(self, name: str, *falls: str) -> Iterator[ContainerScene]:
        """One act, timed; it is over when every service answers again, and those that fall have been away."""
        self._watcher.begins(name)
        before = {name: self._writers[name].connections for name in falls}
        began = time.monotonic()
        scene = ContainerScene(name, began=began - self.began if self._writers else -1)
        yield scene
        for fallen, connections in before.items():
            self._writers[fallen].wait_for_another(connections)
        for writer in self._writers.values():
            writer.wait_for_more(_ROWS_BETWEEN)
        scene.down = {name: writer.longest_silence(began) for name, writer in self._writers.items()}
        scene.seconds = time.monotonic() - began
        self.scenes.append(scene)
        self._watcher.ends(scene)
