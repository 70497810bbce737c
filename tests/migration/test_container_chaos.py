"""Processes, engines, agents and VMs die at random, also while disks move: no acknowledged row is lost, nothing is left."""

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from cpi.contract import errors
from cpi.demo.stage import Stage
from fixtures.containers import small_root_folder
from tests.migration.container_site import Client, Site, mounted_below

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.nightly, pytest.mark.timeout(7200)]

_SITES = int(os.environ.get("CONTAINER_SITES", "5"))
_ROUNDS = int(os.environ.get("CONTAINER_ROUNDS", "60"))
_DEATHS_DURING_A_MOVE = 4
_VICTIMS = ("nc", "sh", "conmon", "podman", "python")


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A cloud of its own; at the end nothing of it is left."""
    stage = Stage(tmp_path / "stage")
    try:
        yield stage
    finally:
        left = stage.clear()
    assert left == []
    assert mounted_below(tmp_path) == []
    backing = [file.read_text() for file in Path("/sys/block").glob("loop*/loop/backing_file")]
    assert [line for line in backing if str(tmp_path) in line] == []


def _others(image: Path) -> list[dict[str, Any]]:
    """Two containers that depend on the one that takes rows, and on each other."""
    sleeping = {"image": str(image), "command": ["sh", "-c", "while true; do sleep 1; done"], "stop_grace": 0}
    return [{"name": "second", "depends_on": ["rows"], **sleeping}, {"name": "third", "depends_on": ["second"], **sleeping}]


def _kill_a_process(site: Site) -> None:
    with contextlib.suppress(psutil.Error, OSError):
        below = site.stage.processes_of(site.guest)
        chosen = [one for one in below if one.name().startswith(random.choice(_VICTIMS))]  # noqa: S311 - no secret
        if chosen:
            random.choice(chosen).kill()  # noqa: S311 - as above


def _lose_the_vm(site: Site) -> None:
    site.stage.kill(site.guest)
    site.recreate()


def _lose_the_agent(site: Site) -> None:
    lock = site.stage.folder / "cloud/vms" / site.guest.vm_cid / "agent.lock"
    os.kill(int(lock.read_text().split()[0]), signal.SIGKILL)
    site.recreate()


def _move(site: Site) -> None:
    """Meanwhile things die in the VM; the move may be undone, and no more."""
    ending = threading.Event()

    def kill() -> None:
        # not for ever: what dies again and again is started ever later
        for _ in range(_DEATHS_DURING_A_MOVE):
            if ending.wait(random.uniform(0.2, 3)):  # noqa: S311 - no secret
                return
            _kill_a_process(site)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with contextlib.suppress(errors.Error):
            site.move(random.choice((80, 96, 128, 160)))  # noqa: S311 - no secret
    finally:
        ending.set()
        killer.join()


_DEEDS: tuple[Callable[[Site], None], ...] = (*(4 * [_kill_a_process]), _lose_the_vm, _lose_the_agent, _move, _move)


def test_no_row_is_lost_whatever_dies(stage: Stage, tmp_path: Path) -> None:
    """On several VMs with three containers each."""
    image = small_root_folder(tmp_path)
    sites = [Site(stage, image, *_others(image)) for _ in range(_SITES)]
    with ExitStack() as ending:
        clients: list[Client] = [ending.enter_context(site.client()) for site in sites]
        for number in range(_ROUNDS):
            chosen = random.randrange(_SITES)  # noqa: S311 - no secret
            deed = random.choice(_DEEDS)  # noqa: S311 - as above
            began = time.monotonic()
            deed(sites[chosen])
            clients[chosen].wait_for_more()
            print(f"{number}: {deed.__name__} at {chosen}, {time.monotonic() - began:.1f} s")  # noqa: T201 - for whoever reads the run
    for site, client in zip(sites, clients, strict=True):
        site.assert_nothing_is_lost(client)
        site.guest.agent.close()
