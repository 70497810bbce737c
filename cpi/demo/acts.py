"""The acts of the demonstration, one after the other."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from cpi.agent.shell import shell_by_agent
from cpi.contract import errors
from cpi.contract.ids import DiskCid
from cpi.contract.units import MiB, bytes_from_mib
from cpi.demo.client import Writer, asked
from cpi.demo.stage import Guest, Stage, job_spec
from cpi.demo.watching import killed_and_back
from cpi.kit.waiting import wait_until
from cpi.migration import Event, Report, Strategy, migrate_disk

SIZE: Final = MiB(320)
LARGER: Final = MiB(512)
SMALLER: Final = MiB(352)
OLD_DATA_BYTES: Final = bytes_from_mib(MiB(256))
ROWS_BETWEEN: Final = 100
_ANSWER_SECONDS: Final = 30.0


class Scene(msgspec.Struct):
    """What an act has come to."""

    act: str
    seconds: float = 0
    jobs_down_seconds: float | None = None
    """The longest that the client went without an acknowledgement, where it was made to."""

    rows: int = 0
    """What was acknowledged meanwhile."""

    bytes: int | None = None
    """What was on the disk."""

    report: Report | None = None


class Outcome(msgspec.Struct, frozen=True):
    """The demonstration as a whole."""

    scenes: tuple[Scene, ...]
    rows_acknowledged: int
    rows_lost: int


class Watcher:
    """Who looks on. Does nothing: for a screen to override."""

    def begins(self, act: str) -> None:
        """An act begins."""

    def happens(self, event: Event) -> None:
        """A disk move goes on."""

    def ends(self, scene: Scene) -> None:
        """An act is over."""


def perform(stage: Stage, watcher: Watcher) -> Outcome:
    """Every act in order, then the count. Raises cpi.Error; what was made is still there, however this ends."""
    play = Play(watcher)
    with play.act("make a stemcell"):
        stemcell_cid = stage.make_stemcell()
    with play.act("make a VM"):
        guest = stage.make_vm(stemcell_cid)
    with play.act(f"nearly fill a disk of {SIZE} MiB") as scene:
        disk_cid = stage.cloud.create_disk(SIZE, {}, guest.vm_cid)
        before = run_job(stage, guest, disk_cid)
        scene.bytes = before["bytes"]
    with writing(guest) as writer:
        with play.act("take a snapshot of it in use"):
            stage.cloud.snapshot_disk(disk_cid, {"made_by": "cpi demo"})
        writer.wait_for_more(ROWS_BETWEEN)
        with play.act(f"grow it to {LARGER} MiB, the job stopped") as scene, interrupting(writer, scene):
            disk_cid = _move(Wish(stage, guest, disk_cid, LARGER, Strategy.COPY), scene, watcher)
        writer.wait_for_more(ROWS_BETWEEN)
        with play.act("kill the VM: it comes back by itself") as scene, interrupting(writer, scene):
            guest = killed_and_back(stage, guest, stemcell_cid, disk_cid, job_spec(OLD_DATA_BYTES))
        writer.wait_for_more(ROWS_BETWEEN)
        with play.act(f"shrink it to {SMALLER} MiB, the job running") as scene, interrupting(writer, scene):
            _move(Wish(stage, guest, disk_cid, SMALLER), scene, watcher)
            if scene.report is not None and scene.report.strategy is not Strategy.LIVE_COPY:
                scene.act = f"shrink it to {SMALLER} MiB, the job stopped"
        writer.wait_for_more(ROWS_BETWEEN)
    with play.act("read every row back"):
        lost = count_lost(guest, writer, before["digest"])
    return Outcome(tuple(play.scenes), writer.acknowledged, lost)


def run_job(stage: Stage, guest: Guest, disk_cid: DiskCid) -> Any:
    """The job runs on the disk; what it says of it."""
    stage.attach(guest, disk_cid)
    stage.run_job(guest, OLD_DATA_BYTES)
    return wait_until(lambda: _examined(guest), "the job answers", deadline_seconds=_ANSWER_SECONDS)


def _examined(guest: Guest) -> Any:
    try:
        return asked(guest.address, {"do": "examine"})
    except errors.CloudError:
        return None


class Wish(msgspec.Struct, frozen=True):
    """A move; left to choose, it goes live where the guest has what that takes."""

    stage: Stage
    guest: Guest
    disk_cid: DiskCid
    size: MiB
    strategy: Strategy | str = "auto"


def _move(wish: Wish, scene: Scene, watcher: Watcher) -> DiskCid:
    guest = wish.guest
    scene.bytes = asked(guest.address, {"do": "examine"})["bytes"]
    with shell_by_agent(guest.agent) as shell:
        report = migrate_disk(
            wish.stage.cloud,
            guest.agent,
            guest.vm_cid,
            wish.disk_cid,
            wish.size,
            strategy=wish.strategy,
            shell=shell,
            on_event=watcher.happens,
        )
    scene.report = report
    return report.disk_cid


def count_lost(guest: Guest, writer: Writer, digest: str) -> int:
    """How many acknowledged rows are not there. Raises CloudError if the old data is not what it was."""
    if asked(guest.address, {"do": "examine"})["digest"] != digest:
        raise errors.CloudError("the old data on the disk is not what it was")
    return writer.lost(dict(asked(guest.address, {"do": "read"})["rows"]))


@contextmanager
def writing(guest: Guest) -> Iterator[Writer]:
    """A client writes to the job until the block ends."""
    writer = Writer(guest.address)
    writer.start()
    try:
        writer.wait_for_more()
        yield writer
    finally:
        writer.stop()


@contextmanager
def interrupting(writer: Writer, scene: Scene) -> Iterator[None]:
    """The client is without the job for a while; it is told for how long, once rows are acknowledged again."""
    began, before = time.monotonic(), writer.acknowledged
    yield
    scene.rows = writer.acknowledged - before
    writer.wait_for_more()
    scene.jobs_down_seconds = writer.longest_silence(began)


class Play:
    """The acts, one after the other."""

    def __init__(self, watcher: Watcher) -> None:
        self.scenes: list[Scene] = []
        self._watcher = watcher

    @contextmanager
    def act(self, name: str) -> Iterator[Scene]:
        """One act, timed."""
        self._watcher.begins(name)
        scene, began = Scene(name), time.monotonic()
        yield scene
        scene.seconds = time.monotonic() - began
        self.scenes.append(scene)
        self._watcher.ends(scene)
