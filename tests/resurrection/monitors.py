"""A monitor in this process that ticks until something is true."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from cpi.durable.database import Database, database
from cpi.kit.waiting import wait_until
from cpi.resurrection.alert import Alert, Kind
from cpi.resurrection.clouds import Clouds
from cpi.resurrection.durable.runner import Runner
from cpi.resurrection.monitor import Monitor
from cpi.resurrection.pulse import Pulse
from cpi.resurrection.watchfile import read_watchfile
from tests.resurrection.deployment import Deployment

SECONDS = 120.0
"""Until something hangs for sure: on a machine that does much else, all of it takes long."""


class Watch:
    """A monitor, and what it told."""

    def __init__(self, monitor: Monitor, runner: Runner, alerts: list[Alert]) -> None:
        self.monitor = monitor
        self.runner = runner
        self.alerts = alerts

    def until(self, come: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
        """Tick until it has come."""

        def ticked() -> bool:
            self.monitor.tick()
            return come()

        wait_until(ticked, f"{what}; told: {self.told()}", deadline_seconds=seconds, longest_pause_seconds=0.1)

    def for_seconds(self, seconds: float) -> None:
        """Tick for so long."""
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end, "time passes", seconds + SECONDS)

    def told(self) -> list[tuple[Kind, str]]:
        """What kinds of alerts there were, and of whom."""
        return [(alert.kind, alert.instance) for alert in self.alerts]


def kept_in(folder: Path) -> Database:
    """A database of its own."""
    return database(f"sqlite:///{folder}/state/resurrections.sqlite")


@contextmanager
def watching(deployment: Deployment) -> Iterator[Watch]:
    """A monitor of all the deployment's instances."""
    alerts: list[Alert] = []
    plan = read_watchfile(deployment.file)
    with ExitStack() as made:
        clouds = made.enter_context(Clouds())
        runner = made.enter_context(Runner(kept_in(deployment.folder), pytest.fail, alerts.append))
        pulse = made.enter_context(Pulse(plan.rules, clouds, deployment.bus))
        monitor = made.enter_context(Monitor(plan, runner, pulse, clouds, alerts.append))
        yield Watch(monitor, runner, alerts)
        made.callback(wait_until, lambda: runner.is_idle, "what is under way ends", deadline_seconds=SECONDS)


@contextmanager
def monitor_process(file: Path, kept: Database) -> Iterator["subprocess.Popen[bytes]"]:
    """A monitor in a process of its own, killed at the end; what it tells is added to the file `told` beside its file."""
    program = str(Path(sys.executable).with_name("cpi"))
    command = [program, "watch", str(file), "--json", "--database", kept.url]
    with file.with_name("told").open("ab") as told:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=told, stderr=told)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
